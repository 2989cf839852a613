"""What Ray's own metrics do not tell: time to first audio, real-time factor, and how full the engine is.

Ray adds its prefix `ray_`, the deployment and the replica.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager

from ray.serve.metrics import Counter, Gauge, Histogram

from deployments.api.speech import Speaker
from pipeline.acoustic.engine import Engine
from pipeline.errors import TTSError
from pipeline.types import AudioChunk, SpeechRequest, Utterance

FIRST_AUDIO_BUCKETS_S = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0]
REAL_TIME_FACTOR_BUCKETS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]


class EngineMetrics:
    def __init__(self) -> None:
        self.tokens = Counter("tts_speech_tokens_total", description="Speech tokens sent to their readers.")
        self._running = Gauge("tts_running_sequences", description="Sequences that hold a slot of the KV cache.")
        self._waiting = Gauge("tts_waiting_sequences", description="Sequences that wait for a slot.")

    def observe(self, engine: Engine) -> None:
        self._running.set(engine.num_running)
        self._waiting.set(engine.num_waiting)


class SpeechMetrics:
    """The API's Observer, and what the synthesizer itself shows."""

    def __init__(self) -> None:
        self._first_audio = Histogram(
            "tts_first_audio_s",
            description="Time from the arrival of a speech request to its first audio, s.",
            boundaries=FIRST_AUDIO_BUCKETS_S,
        )
        self._audio = Counter("tts_audio_s_total", description="Audio sent to clients, s.")
        self._requests = Counter(
            "tts_requests_total",
            description="Finished HTTP requests.",
            tag_keys=("endpoint", "status"),  # type: ignore[arg-type]  # Ray's annotation allows one key only
        )
        self.real_time_factor = Histogram(
            "tts_real_time_factor",
            description="Time to make a speech divided by its length, without waiting for the client.",
            boundaries=REAL_TIME_FACTOR_BUCKETS,
        )
        self.errors = Counter("tts_errors_total", description="Failed speeches by code.", tag_keys=("code",))

    def first_audio(self, latency_s: float) -> None:
        self._first_audio.observe(latency_s)

    def audio_sent(self, duration_s: float) -> None:
        if duration_s > 0:
            self._audio.inc(duration_s)

    def request_done(self, endpoint: str, status: int, duration_s: float) -> None:
        self._requests.inc(tags={"endpoint": endpoint, "status": str(status)})


class MeteredSpeaker:
    """A speaker that reports the real-time factor of every speech, and the code of every failure."""

    def __init__(self, speaker: Speaker, metrics: SpeechMetrics) -> None:
        self._speaker = speaker
        self._metrics = metrics

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        with self._counted_errors():
            return await self._speaker.prepare(request)

    async def speak(self, utterances: Sequence[Utterance]) -> AsyncGenerator[AudioChunk, None]:
        clock = _Stopwatch()
        audio_s = 0.0
        async with aclosing(self._speaker.speak(utterances)) as chunks:
            with self._counted_errors():
                async for chunk in chunks:
                    clock.stop()
                    audio_s += len(chunk.samples) / chunk.sample_rate
                    yield chunk
                    clock.start()
        clock.stop()
        if audio_s > 0.0:
            self._metrics.real_time_factor.observe(clock.elapsed_s / audio_s)

    @contextmanager
    def _counted_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._metrics.errors.inc(tags={"code": error.code if isinstance(error, TTSError) else TTSError.code})
            raise


class _Stopwatch:
    """Adds up the time between start and stop."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.start()

    def start(self) -> None:
        self._started_at = time.perf_counter()

    def stop(self) -> None:
        self.elapsed_s += time.perf_counter() - self._started_at

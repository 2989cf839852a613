"""The acoustic model as a Ray Serve deployment: one continuous-batching engine per replica."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from deployments.batching import Batcher, BatchWindow
from deployments.metrics import EngineMetrics
from deployments.replica import replica_num_cpus
from pipeline.acoustic.engine import Engine
from pipeline.acoustic.token_stream import TokenStream
from pipeline.build import ENGINE_NICENESS, build_engine, open_bundle
from pipeline.config import ServiceConfig
from pipeline.errors import StageFailed
from pipeline.runtime.threads import num_threads_for
from pipeline.types import SpeechTokens, Utterance

MAX_SILENCE_S = 60.0  # one step, even the prefill of several long texts, takes seconds


def make_engine(config: ServiceConfig) -> Engine:
    num_threads = num_threads_for(replica_num_cpus(), config.acoustic.num_threads)
    return build_engine(config, open_bundle(config.model), num_threads, niceness=ENGINE_NICENESS)


@dataclass(eq=False)
class _Arrival:
    """An utterance at the door. Its stream is kept here, where a caller that is cancelled while it waits finds it."""

    utterance: Utterance
    stream: TokenStream | None = None


class AcousticModel:
    def __init__(self, config: ServiceConfig, make: Callable[[ServiceConfig], Engine] = make_engine) -> None:
        self._engine = make(config)
        self._metrics = EngineMetrics()
        acoustic = config.acoustic
        window = BatchWindow(batch_size=acoustic.admission_batch_size, batch_window_ms=acoustic.admission_window_ms)
        self._admit = Batcher(self._admit_batch, window, self._is_busy)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._admit.reconfigure(user_config)

    async def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        arrival = _Arrival(utterance)
        try:
            async for tokens in await self._admit(arrival):
                if len(tokens.ids):  # an utterance may end right after a group; a counter refuses 0
                    self._metrics.tokens.inc(len(tokens.ids))
                yield tokens
        finally:
            if arrival.stream is not None:
                await arrival.stream.aclose()
            self._metrics.observe(self._engine)

    def _is_busy(self) -> bool:
        """Whether anybody is inside. To an engine that idles a request goes at once: it is most often alone."""
        return self._engine.num_running + self._engine.num_waiting > 0

    async def _admit_batch(self, arrivals: list[_Arrival]) -> list[TokenStream | Exception]:
        """The arrivals of a window share one padded prefill."""
        streams = self._engine.submit([arrival.utterance for arrival in arrivals])
        for arrival, stream in zip(arrivals, streams, strict=True):
            arrival.stream = stream
        self._metrics.observe(self._engine)
        return [*streams]

    def record_autoscaling_stats(self) -> dict[str, float]:
        """For a custom autoscaling policy: it can add replicas while sequences wait, before any is refused."""
        return {
            "running_sequences": float(self._engine.num_running),
            "waiting_sequences": float(self._engine.num_waiting),
        }

    async def ready(self) -> None:
        if not self._engine.is_healthy(MAX_SILENCE_S):
            raise StageFailed("the acoustic engine does not answer: its replica is about to be restarted.")

    async def check_health(self) -> None:
        await self.ready()
        self._metrics.observe(self._engine)
        await self._admit.check_health()

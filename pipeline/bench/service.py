"""The product in process, from text to audio, as callers meet it: alone and several at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.acoustic.engine import Engine, LocalAcousticModel
from pipeline.acoustic.speech_lm import OnnxSpeechLM
from pipeline.bench.process import CpuMeter, peak_rss_mb
from pipeline.bench.variants import Streaming, UncachedLM, WindowedAcousticModel, caching
from pipeline.bench.workload import of_fixed_length, offline_config, open_served, renumbered, request_for, utterances_of
from pipeline.build import (
    ENGINE_NICENESS,
    LocalToken2Wav,
    build_engine,
    build_frontend,
    build_token2wav,
    precision_of,
)
from pipeline.config import ChunkSchedule, ServiceConfig
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.synthesizer import Synthesizer
from pipeline.text.frontend import LocalFrontend
from pipeline.types import Profile

WHOLE = ChunkSchedule(first_s=600.0, max_s=600.0)  # one chunk per utterance: nothing is streamed


class Service:
    """Frontend, engine and token2wav put together as the row of a table asks. Close it."""

    def __init__(
        self,
        config: ServiceConfig,
        bundle: Bundle,
        num_threads: int,
        *,
        has_kv_cache: bool,
        window_s: float,
        token2wav_threads: int | None = None,
    ) -> None:
        self._engine = (
            build_engine(config, bundle, num_threads, max_threads=token2wav_threads, niceness=ENGINE_NICENESS)
            if has_kv_cache
            else _uncached_engine(config, bundle, num_threads)
        )
        self._token2wav = LocalToken2Wav(build_token2wav(config, bundle, token2wav_threads or num_threads))
        acoustic = WindowedAcousticModel(self._engine, window_s) if window_s else LocalAcousticModel(self._engine)
        self.synthesizer = Synthesizer(LocalFrontend(build_frontend(config, bundle)), acoustic, self._token2wav)

    def close(self) -> None:
        self._engine.close()
        self._token2wav.close()


def _uncached_engine(config: ServiceConfig, bundle: Bundle, num_threads: int) -> Engine:
    acoustic = config.acoustic
    lm = UncachedLM(
        OnnxSpeechLM(
            bundle,
            precision_of(config.model, bundle),
            num_threads=num_threads,
            max_batch_size=1,
            max_context=acoustic.max_context,
        )
    )
    return Engine(
        lm,
        spec=bundle.manifest.lm,
        token_rate=bundle.manifest.token_rate,
        max_batch_size=1,
        max_queued=acoustic.max_queued,
        chunks=acoustic.chunks,
    )


def configured(bundle: Bundle, precision: Precision, *, is_streamed: bool, profile: Profile = "exact") -> ServiceConfig:
    config = offline_config(bundle)
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"precision": precision}),
            "acoustic": config.acoustic.model_copy(update={"chunks": ChunkSchedule() if is_streamed else WHOLE}),
            "token2wav": config.token2wav.model_copy(update={"profile": profile}),
        }
    )


async def speak(synthesizer: Streaming, bundle: Bundle, text: str, seed: int, delay_s: float = 0.0) -> dict[str, float]:
    """One request: seconds until its first and its last audio, and how much audio it got."""
    await asyncio.sleep(delay_s)
    started = time.perf_counter()
    first_audio_s, num_samples = 0.0, 0
    async for chunk in synthesizer.stream(request_for(bundle, text, seed)):
        first_audio_s = first_audio_s or time.perf_counter() - started
        num_samples += len(chunk.samples)
    return {
        "first_audio_s": first_audio_s,
        "latency_s": time.perf_counter() - started,
        "audio_s": num_samples / bundle.manifest.sample_rate,
    }


def measure_service(
    bundle: str,
    precision: Precision,
    text: str,
    duration_s: float,
    repeats: int,
    num_threads: int,
    num_requests: int = 1,
    interval_s: float = 0.0,
    window_s: float = 0.0,
    has_kv_cache: bool = True,
    is_streamed: bool = False,
    token2wav_threads: int | None = None,
    profile: Profile = "exact",
    is_text_new: bool = False,
    keeps_results: bool = False,
) -> dict[str, Any]:
    """Requests, `num_requests` at once or `interval_s` apart, `repeats` times over.

    Args:
        duration_s: of audio, forced on each request.
        token2wav_threads: None takes num_threads, which is then the acoustic model's alone.
        profile: of token2wav.
        is_text_new: other numbers in the text of each request, so that no cache of the frontend knows it.
        keeps_results: all requests name one seed, and are answered from the result cache after the first.
    """
    opened = open_served(bundle)
    with of_fixed_length(opened, utterances_of(opened, text), duration_s) as fixed:
        config = configured(fixed, precision, is_streamed=is_streamed, profile=profile)
        service = Service(
            config,
            fixed,
            num_threads,
            has_kv_cache=has_kv_cache,
            window_s=window_s,
            token2wav_threads=token2wav_threads,
        )
        load = _Load(text, repeats, num_requests, interval_s, is_text_new, keeps_results)
        try:
            with (
                caching(service.synthesizer, config, fixed)
                if keeps_results
                else nullcontext(service.synthesizer) as synthesizer
            ):
                return asyncio.run(_measure(synthesizer, fixed, load))
        finally:
            service.close()


@dataclass(frozen=True, slots=True)
class _Load:
    """What is asked for, and when."""

    text: str
    repeats: int
    num_requests: int
    interval_s: float
    is_text_new: bool
    has_one_seed: bool

    def text_of(self, index: int) -> str:
        return renumbered(self.text, index) if self.is_text_new else self.text

    def seed_of(self, index: int) -> int:
        return 0 if self.has_one_seed else index


async def _measure(synthesizer: Streaming, bundle: Bundle, load: _Load) -> dict[str, Any]:
    await speak(synthesizer, bundle, load.text if load.has_one_seed else load.text[:2], 0)  # warms up
    spoken: list[dict[str, float]] = []
    started = time.perf_counter()
    with CpuMeter() as cpu:
        for repeat in range(load.repeats):
            first = repeat * load.num_requests
            requests = [
                speak(synthesizer, bundle, load.text_of(first + k), load.seed_of(first + k), k * load.interval_s)
                for k in range(load.num_requests)
            ]
            spoken += await asyncio.gather(*requests)
    elapsed_s = time.perf_counter() - started
    return {
        "latencies_s": [request["latency_s"] for request in spoken],
        "first_audio_s": median(request["first_audio_s"] for request in spoken),
        "audio_s": median(request["audio_s"] for request in spoken),
        "s_per_request": elapsed_s / len(spoken),
        "cpu_peak_percent": cpu.peak,
        "cpu_mean_percent": cpu.mean,
        "peak_rss_mb": peak_rss_mb(),
    }

"""Where the time of one utterance goes: every stage of the product, whole, on its own, one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.bench.process import CpuMeter, peak_rss_mb
from pipeline.bench.stopwatch import StageTimes, Stopwatch
from pipeline.bench.workload import Piece, offline_config, open_served, request_for
from pipeline.build import build_frontend
from pipeline.config import AcousticConfig, Operators
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.noise import NoiseStream, gaussian_frames
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, I64

MAX_CONTEXT = AcousticConfig().max_context
WARM_UP_TOKENS = 50
TEXT_REPEATS = 6


class StagedSynthesizer:
    """The stages of the product without engine, streaming and threads between them."""

    def __init__(self, bundle: Bundle, precision: Precision, num_threads: int) -> None:
        self._lm = OnnxSpeechLM(bundle, precision, num_threads=num_threads, max_batch_size=1, max_context=MAX_CONTEXT)
        self._flow = OnnxFlow(bundle, precision, num_threads)
        self._vocoder = OnnxVocoder(bundle, precision, num_threads)
        self._spec = bundle.manifest.lm
        self._voice = bundle.voice(bundle.manifest.voices[0])

    def speak_all(self, pieces: Sequence[Piece]) -> StageTimes:
        return StageTimes.total([self.speak(**piece)[1] for piece in pieces])

    def speak(self, text_ids: Sequence[int], num_tokens: int, seed: int = 0) -> tuple[F32, StageTimes]:
        """Samples f32 [n] of exactly `num_tokens` speech tokens, and what they took."""
        watch = Stopwatch()
        tokens = self._tokens(text_ids, num_tokens, seed, watch)
        condition = self._flow.condition(tokens, self._voice)
        watch.lap()
        num_frames, mel_bins = condition.mu.shape[1:]
        mel = self._flow.solve(condition, gaussian_frames(seed, NoiseStream.FLOW, 0, num_frames, mel_bins))
        watch.lap()
        f0 = self._vocoder.f0(mel)
        source = self._vocoder.source.make(f0, self._vocoder.source.phases(f0, 0.0)[:-1], seed, 0)
        samples = self._vocoder.wave(mel, source)
        watch.lap()
        return samples, watch.stage_times()

    def _tokens(self, text_ids: Sequence[int], num_tokens: int, seed: int, watch: Stopwatch) -> I64:
        """i64 [num_tokens]; the end token is barred."""
        sampler = Sampler.seeded(self._spec.sampling, self._spec.num_speech_tokens, seed)
        prompt = LMPrompt(np.array(text_ids, np.int64), self._voice.embedding, np.zeros(0, np.int64))
        logits = self._lm.prefill([prompt])
        watch.lap()
        sampler.draw(logits[0], may_end=False)
        while len(sampler.history) < num_tokens:
            logits = self._lm.decode(np.array(sampler.history[-1:], np.int64))
            sampler.draw(logits[0], may_end=False)
        self._lm.retire(0)
        watch.lap()
        return np.array(sampler.history, np.int64)


def measure_stages(
    bundle: str,
    precision: Precision,
    pieces: list[Piece],
    repeats: int,
    num_threads: int,
    operators: Operators = "auto",
) -> dict[str, Any]:
    """Median StageTimes, CPU use and memory of the product's stages."""
    synthesizer = StagedSynthesizer(open_served(bundle, operators), precision, num_threads)
    first = pieces[0]
    synthesizer.speak(first["text_ids"], min(first["num_tokens"], WARM_UP_TOKENS))
    with CpuMeter() as cpu:
        runs = [synthesizer.speak_all(pieces) for _ in range(repeats)]
    return {
        "stages": asdict(StageTimes.median(runs)),
        "latencies_s": [run.total_s for run in runs],
        "cpu_s": cpu.used_s / repeats,
        "cpu_peak_percent": cpu.peak,
        "cpu_mean_percent": cpu.mean,
        "peak_rss_mb": peak_rss_mb(),
    }


def measure_text(bundle: str, text: str) -> dict[str, Any]:
    """Milliseconds of the warm text frontend: the first time it sees this text, and the median when it returns."""
    opened = Bundle.open(bundle)
    frontend = build_frontend(offline_config(opened), opened)
    frontend.warm_up()
    times_ms = []
    for _ in range(TEXT_REPEATS):
        started = time.perf_counter()
        frontend.prepare(request_for(opened, text))
        times_ms.append(1000 * (time.perf_counter() - started))
    return {"first_ms": times_ms[0], "again_ms": median(times_ms[1:])}

"""The plain baseline: the official arithmetic in torch, one request at a time.

Each decode step projects the positions again and makes a new cache by concatenation, the flow takes ten guided Euler
steps, and nothing is streamed: what the official inference computes, at its cost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.acoustic.sampling import Sampler
from pipeline.bench.process import CpuMeter, peak_rss_mb
from pipeline.bench.stopwatch import StageTimes, Stopwatch
from pipeline.bench.workload import Piece
from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.runtime.bundle import SamplingSpec
from pipeline.types import F32

NUM_STEPS = 10  # of the official flow
FIRST_CHUNK_TOKENS = 120  # the official streaming rule: a hop of 100 tokens and 20 of overlap
POLL_S = 0.1  # between looks at how many tokens there are


class PlainSynthesizer:
    """Speaks one utterance at a time with the torch modules of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._lm, self._flow, self._hift = checkpoint.llm, checkpoint.flow, checkpoint.hift
        self._speaker = torch.from_numpy(checkpoint.voices[0].embedding)[None]
        sampling = checkpoint.config.lm.sampling
        self._sampling = SamplingSpec(
            top_p=sampling.top_p, top_k=sampling.top_k, window=sampling.window, tau_r=sampling.tau_r
        )

    def speak_all(self, pieces: Sequence[Piece]) -> StageTimes:
        return StageTimes.total([self.speak(**piece)[1] for piece in pieces])

    @torch.inference_mode()
    def speak(self, text_ids: Sequence[int], num_tokens: int, seed: int = 0) -> tuple[F32, StageTimes]:
        """Samples f32 [n] of exactly `num_tokens` speech tokens, and what they took."""
        watch = Stopwatch()
        tokens = self._tokens(text_ids, num_tokens, seed, watch)
        mu = self._flow.mu(tokens)
        watch.lap()
        torch.manual_seed(seed)
        z = torch.randn_like(mu)
        mel = self._flow.solve(z, mu, self._flow.speaker(self._speaker), self._flow.condition(mu), NUM_STEPS)
        watch.lap()
        samples, _ = self._hift(mel)
        watch.lap()
        return samples[0].numpy(), watch.stage_times()

    def _tokens(self, text_ids: Sequence[int], num_tokens: int, seed: int, watch: Stopwatch) -> Tensor:
        """i64 [1, num_tokens]; the end token is barred."""
        sampler = Sampler.seeded(self._sampling, self._lm.end_token, seed)
        x, cache = self._lm.prefill_input(torch.tensor([text_ids]), self._speaker), None
        while len(sampler.history) < num_tokens:
            log_probs, layers = self._lm.step(x, cache)
            cache = list(torch.stack(layers))  # the official cache is one tensor, made anew at each step
            if not sampler.history:
                watch.lap()
            token = sampler.draw(log_probs[0, -1].numpy(), may_end=False)
            x = self._lm.speech_embedding(torch.tensor([[token]]))
        watch.lap()
        return torch.tensor([sampler.history])


def measure_stages(checkpoint: str, pieces: list[Piece], repeats: int, num_threads: int) -> dict[str, Any]:
    """Median StageTimes, CPU use and memory of the baseline."""
    torch.set_num_threads(num_threads)
    synthesizer = PlainSynthesizer(load_checkpoint(Path(checkpoint)))
    synthesizer.speak(pieces[0]["text_ids"], 1)
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


def measure_fresh(checkpoint: str, pieces: list[Piece], num_threads: int, spawned_at: float) -> dict[str, Any]:
    """One request in a process that starts, imports and loads for it alone; its time counts from before all that."""
    with CpuMeter() as cpu:
        torch.set_num_threads(num_threads)
        synthesizer = PlainSynthesizer(load_checkpoint(Path(checkpoint)))
        ready_s = time.monotonic() - spawned_at
        synthesizer.speak_all(pieces)
        latency_s = time.monotonic() - spawned_at
    return {
        "latencies_s": [latency_s],
        "ready_s": ready_s,
        "cpu_peak_percent": cpu.peak,
        "cpu_mean_percent": cpu.mean,
        "peak_rss_mb": peak_rss_mb(),
    }


def measure_first_audio(checkpoint: str, text_ids: list[int], num_threads: int) -> dict[str, Any]:
    """Time to the first chunk under the official streaming rule, without what its two threads take from each other.

    The chunk is made of the first 120 tokens, half a poll later on average.
    """
    torch.set_num_threads(num_threads)
    synthesizer = PlainSynthesizer(load_checkpoint(Path(checkpoint)))
    synthesizer.speak(text_ids, 1)
    times = synthesizer.speak(text_ids, FIRST_CHUNK_TOKENS)[1]
    return {"first_audio_s": times.total_s + POLL_S / 2}

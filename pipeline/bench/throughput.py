"""How the two heavy stages scale: decode steps by batch and context, mel frames and audio by batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.bench.memory import MemoryReader
from pipeline.bench.process import peak_rss_mb
from pipeline.bench.workload import num_speech_tokens, open_served
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.token2wav import DecodeJob, OnnxToken2Wav
from pipeline.types import SpeechTokens, Utterance

NUM_STEPS, NUM_WARM_UP_STEPS = 24, 3
TEXT_LENGTH = 40


def measure_decode(
    bundle: str, precision: Precision, batch_size: int, context: int, num_threads: int
) -> dict[str, Any]:
    """Milliseconds of a decode step and of drawing its tokens, for `batch_size` sequences of `context` positions.

    `read_mb` is what a step must read at least: the LM's weights and the keys and values of the sequences. `read_ms` is
    what reading as much takes, measured in turn with the steps: other machines of a host share its memory's bandwidth.
    """
    opened = open_served(bundle)
    spec = opened.manifest.lm
    max_context = context + NUM_STEPS + NUM_WARM_UP_STEPS + 1
    lm = OnnxSpeechLM(opened, precision, num_threads=num_threads, max_batch_size=batch_size, max_context=max_context)
    random = np.random.default_rng(0)
    prefix = random.integers(0, spec.num_speech_tokens, max(0, context - 3 - TEXT_LENGTH))
    text_ids = random.integers(0, spec.num_text_tokens, min(TEXT_LENGTH, context - 3))
    prompt = LMPrompt(text_ids, opened.voice(opened.manifest.voices[0]).embedding, prefix)
    logits = np.concatenate([lm.prefill([prompt]) for _ in range(batch_size)])
    samplers = [Sampler.seeded(spec.sampling, spec.num_speech_tokens, row) for row in range(batch_size)]
    read_bytes = weights_size(opened, precision) + lm.position_size * context * batch_size
    rss_mb, reader = peak_rss_mb(), MemoryReader(read_bytes, num_threads)
    steps_ms, sampling_ms, reads_ms = [], [], []
    for _ in range(NUM_STEPS + NUM_WARM_UP_STEPS):
        started = time.perf_counter()
        drawn = [sampler.draw(row, may_end=False) for sampler, row in zip(samplers, logits, strict=True)]
        sampled = time.perf_counter()
        logits = lm.decode(np.array(drawn, np.int64))
        steps_ms.append(1000 * (time.perf_counter() - sampled))
        sampling_ms.append(1000 * (sampled - started))
        reads_ms.append(1000 * reader.read())
    return {
        "precision": precision,
        "batch_size": batch_size,
        "context": context,
        "step_ms": median(steps_ms[NUM_WARM_UP_STEPS:]),
        "best_step_ms": min(steps_ms[NUM_WARM_UP_STEPS:]),
        "sampling_ms": median(sampling_ms[NUM_WARM_UP_STEPS:]),
        "peak_rss_mb": rss_mb,
        "read_mb": read_bytes / 1e6,
        "read_ms": median(reads_ms[NUM_WARM_UP_STEPS:]),
    }


def weights_size(bundle: Bundle, precision: Precision) -> int:
    """Bytes of the LM's graph, with the file of weights beside it."""
    name = bundle.manifest.graphs[precision]["lm"]
    return sum(info.size for file, info in bundle.manifest.files.items() if file.startswith(name))


def measure_token2wav(
    bundle: str, precision: Precision, batch_size: int, duration_s: float, num_threads: int
) -> dict[str, Any]:
    """Mel frames per second of token2wav on `batch_size` whole utterances, in one `decode_batch`."""
    opened = open_served(bundle)
    token2wav = OnnxToken2Wav(opened, precision, num_threads)
    num_tokens = num_speech_tokens(opened, duration_s)
    random = np.random.default_rng(0)
    voice = opened.voice(opened.manifest.voices[0])
    jobs = [
        DecodeJob(
            SpeechTokens(random.integers(0, opened.manifest.lm.num_speech_tokens, num_tokens), is_last=True),
            Utterance("", (0,), voice, seed),
            None,
        )
        for seed in range(batch_size)
    ]
    seconds = _seconds(lambda: token2wav.decode_batch(jobs))
    return {
        "precision": precision,
        "batch_size": batch_size,
        "audio_s": duration_s,
        "frames_per_s": batch_size * opened.manifest.num_mel_frames(num_tokens) / seconds,
        "peak_rss_mb": peak_rss_mb(),
    }


def _seconds(compute: Callable[[], object]) -> float:
    started = time.perf_counter()
    compute()
    return time.perf_counter() - started

"""Gaussian noise as a pure function of (seed, stream, absolute frame), so that chunks and the whole draw the same."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from pipeline.types import F32

FRAMES_PER_BLOCK = 32
_WORD = (1 << 64) - 1


class NoiseStream(IntEnum):
    """Independent uses of one seed; the values are part of what a seed means."""

    FLOW = 0
    PROMPT = 1
    SOURCE = 2
    PHASE = 3


def generator(seed: int, stream: NoiseStream, block: int = 0) -> np.random.Generator:
    """The random generator of one block. Philox (Salmon et al. 2011) is counter-based: no block needs another."""
    key = np.array([seed & _WORD, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, block, 0, 0]))


def gaussian_frames(seed: int, stream: NoiseStream, start: int, stop: int, size: int) -> F32:
    """Standard normal frames [start, stop) of the stream: f32 [stop - start, size]."""
    if stop <= start:
        return np.zeros((0, size), np.float32)
    first, last = start // FRAMES_PER_BLOCK, (stop - 1) // FRAMES_PER_BLOCK
    blocks = [
        generator(seed, stream, block).standard_normal((FRAMES_PER_BLOCK, size), np.float32)
        for block in range(first, last + 1)
    ]
    offset = first * FRAMES_PER_BLOCK
    return np.concatenate(blocks)[start - offset : stop - offset]


def initial_phases(seed: int, num_harmonics: int) -> F32:
    """Phase of every sine at time 0, in radians: f32 [num_harmonics]; 0 for the fundamental, as in NSF SineGen."""
    phases = generator(seed, NoiseStream.PHASE).uniform(-np.pi, np.pi, num_harmonics).astype(np.float32)
    phases[:1] = 0.0
    return phases

"""Where each mel frame lies between speech tokens: the interpolation of the official inference, and its streamed form.

The official code stretches the first 20 tokens, the last 20 and those between apart, each to a whole number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.runtime.bundle import Manifest
from pipeline.types import F32, I64

EDGE_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Interpolation:
    """Frame t is (1 - upper_weight[t]) of token lower[t] and upper_weight[t] of token upper[t]."""

    lower: I64  # i64 [T]
    upper: I64  # i64 [T]
    upper_weight: F32  # f32 [T]

    def frames(self, start: int, stop: int | None = None) -> Interpolation:
        return Interpolation(self.lower[start:stop], self.upper[start:stop], self.upper_weight[start:stop])

    def moved(self, num_tokens: int) -> Interpolation:
        return Interpolation(self.lower + num_tokens, self.upper + num_tokens, self.upper_weight)

    def within(self, first: int, stop: int) -> Interpolation:
        """Renumbered to a window of tokens; what lies outside becomes the window's edge."""
        lower, upper = (np.clip(index, first, stop - 1) - first for index in (self.lower, self.upper))
        return Interpolation(lower, upper, self.upper_weight)


def joined(*parts: Interpolation) -> Interpolation:
    return Interpolation(
        np.concatenate([part.lower for part in parts]),
        np.concatenate([part.upper for part in parts]),
        np.concatenate([part.upper_weight for part in parts]),
    )


def stretch(num_tokens: int, num_frames: int) -> Interpolation:
    """Linear, half-pixel centres: torch's F.interpolate(mode="linear", align_corners=False), with its rounding.

    torch has the scale in float32 and the position from one fused multiply-add.
    """
    scale = float(np.float32(num_tokens / max(num_frames, 1)))
    positions = scale * (np.arange(num_frames) + 0.5) - 0.5
    return _between(np.maximum(positions, 0.0).astype(np.float32), num_tokens)


def _between(positions: F32, num_tokens: int) -> Interpolation:
    lower = np.minimum(positions.astype(np.int64), num_tokens - 1)
    return Interpolation(lower, np.minimum(lower + 1, num_tokens - 1), (positions - lower).astype(np.float32))


def whole(manifest: Manifest, num_tokens: int) -> Interpolation:
    """All frames of an utterance of `num_tokens` tokens."""
    num_frames = manifest.num_mel_frames(num_tokens)
    if num_tokens <= 2 * EDGE_TOKENS:
        return stretch(num_tokens, num_frames)
    edge_frames = manifest.num_mel_frames(EDGE_TOKENS)
    edge = stretch(EDGE_TOKENS, edge_frames)
    middle = stretch(num_tokens - 2 * EDGE_TOKENS, num_frames - 2 * edge_frames)
    return joined(edge, middle.moved(EDGE_TOKENS), edge.moved(num_tokens - EDGE_TOKENS))


def unfinished(manifest: Manifest, num_tokens: int) -> Interpolation:
    """All frames so far of an utterance that goes on after `num_tokens` tokens, taken for its first half.

    The rate between the edges depends a little on the length, which is not known yet. Any guess is off by less than
    half a token; of fixed and proportional ones this came closest to the finished mel over utterances of 2 to 20 s.
    """
    expected = max(2 * num_tokens, 2 * EDGE_TOKENS + 1)
    return whole(manifest, expected).frames(0, manifest.num_mel_frames(num_tokens))

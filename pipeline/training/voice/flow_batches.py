"""What the flow's training draws: segments of utterances, times, noise, and which conditions are hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.training.voice.dataset import Dataset, Item
from pipeline.training.voice.features import MEL_HOP, TOKEN_SAMPLES
from pipeline.types import F32, I64

FRAMES_PER_TOKEN = TOKEN_SAMPLES / MEL_HOP

SEGMENT_TOKENS = (24, 32, 48, 80)  # drawn alike; a shorter utterance is taken whole
EDGE_SHARE = 0.25  # of segments that begin or end with their utterance
PROMPT_SHARE, MAX_PROMPT = 0.3, 0.3  # of segments that know their first frames; of those frames


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments of equal length."""

    tokens: Tensor  # i64 [B, N]
    positions: Tensor  # f32 [B, T], of each frame between the tokens' centres, in tokens from 0 to N - 1
    mel: Tensor  # f32 [B, mel_bins, T]
    speaker: Tensor  # f32 [B, speaker_size]
    f0: Tensor  # f32 [B, T], Hz; 0 where unvoiced


class Segments:
    """Draws batches of segments from a dataset; long utterances are drawn more often."""

    def __init__(self, data: Dataset, speakers: F32, seed: int) -> None:
        self._data = data
        self._order = np.argsort(data.num_speech, kind="stable")
        self._lengths = data.num_speech[self._order]
        self._shares = np.cumsum(self._lengths) / self._lengths.sum()
        self._speakers = torch.from_numpy(speakers)
        self._random = np.random.default_rng(seed)

    def batch(self, num_frames: int, lengths: Sequence[int] = SEGMENT_TOKENS) -> Batch:
        """About `num_frames` mel frames in all, in segments of one of `lengths` or of a whole utterance, if shorter."""
        first = int(np.searchsorted(self._shares, self._random.random()))
        size = int(min(self._lengths[first], self._random.choice(lengths)))
        count = max(1, round(num_frames / (size * FRAMES_PER_TOKEN)))
        shortest = int(np.searchsorted(self._lengths, size))
        others = self._random.integers(shortest, len(self._order), count - 1)
        return self._join([self._cut(self._data.item(int(self._order[index])), size) for index in (first, *others)])

    def _cut(self, item: Item, size: int) -> _Segment:
        """The frames that lie inside `size` tokens, one less where the segment begins between two frames."""
        assert item.mel is not None
        assert item.f0 is not None
        num_frames = int((size - 1) * FRAMES_PER_TOKEN)
        start = self._start(len(item.speech) - size)
        frame = min(math.ceil(start * FRAMES_PER_TOKEN), len(item.mel) - num_frames)
        centres = (frame + np.arange(num_frames) + 0.5) / FRAMES_PER_TOKEN - 0.5 - start
        return _Segment(
            item.speech[start : start + size],
            np.clip(centres, 0.0, size - 1).astype(np.float32),
            item.mel[frame : frame + num_frames],
            item.speaker,
            item.f0[frame : frame + num_frames],
        )

    def _start(self, last: int) -> int:
        if self._random.random() < EDGE_SHARE:
            return int(self._random.choice([0, last]))
        return int(self._random.integers(last + 1))

    def _join(self, segments: Sequence[_Segment]) -> Batch:
        return Batch(
            tokens=torch.from_numpy(np.stack([segment.tokens for segment in segments])),
            positions=torch.from_numpy(np.stack([segment.positions for segment in segments])),
            mel=torch.from_numpy(np.stack([segment.mel for segment in segments])).transpose(1, 2).contiguous(),
            speaker=self._speakers[[segment.speaker for segment in segments]],
            f0=torch.from_numpy(np.stack([segment.f0 for segment in segments])),
        )


def whole(item: Item, speakers: Tensor) -> Batch:
    """One utterance with all its frames; speakers f32 [num_speakers, speaker_size]."""
    assert item.mel is not None
    assert item.f0 is not None
    centres = (np.arange(len(item.mel)) + 0.5) / FRAMES_PER_TOKEN - 0.5
    positions = np.clip(centres, 0.0, len(item.speech) - 1).astype(np.float32)
    mel = torch.from_numpy(np.ascontiguousarray(item.mel.T))
    return Batch(
        tokens=torch.from_numpy(item.speech)[None],
        positions=torch.from_numpy(positions)[None],
        mel=mel[None],
        speaker=speakers[[item.speaker]],
        f0=torch.from_numpy(item.f0[: len(item.mel)])[None],
    )


@dataclass(frozen=True, slots=True)
class _Segment:
    tokens: I64  # i64 [N]
    positions: F32  # f32 [T]
    mel: F32  # f32 [T, mel_bins]
    speaker: int
    f0: F32  # f32 [T], Hz


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decides for a batch."""

    noise: Tensor  # f32 [B, mel_bins, T]
    t: Tensor  # f32 [B] in [0, 1]
    is_guided: Tensor  # bool [B]; the others see neither mu nor speaker nor prompt
    is_known: Tensor  # bool [B, T], frames of the prompt


def draw(batch: Batch, drop: float, generator: torch.Generator | None = None) -> Draws:
    """t is spread evenly over the batch, then bent as the official training does; `drop` hides whole conditions."""
    size, _, num_frames = batch.mel.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    u = (torch.randperm(size, generator=generator) + uniform(size)) / size
    num_known = uniform(size) * MAX_PROMPT * num_frames * (uniform(size) < PROMPT_SHARE)
    return Draws(
        noise=torch.randn(batch.mel.shape, generator=generator),
        t=1 - torch.cos(0.5 * math.pi * u),
        is_guided=uniform(size) >= drop,
        is_known=torch.arange(num_frames) < num_known.long()[:, None],
    )

"""What the language model learns from: scripts (text, speech tokens, alignment) in batches with little padding."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.training.voice.dataset import Dataset
from pipeline.types import I64

FIRST_TEXT = 2  # position of a row's first text token, behind sos and speaker
FIRST_POSITIONS, MORE_POSITIONS = 100, 0.4  # the longest utterance at first, and per step more
MIN_ALLOWED, NUM_SAMPLED = 500, 2000  # utterances
GLUED_SHARE, GLUED_LATER = 0.2, 300  # of the pairs, which come when utterances longer by that are allowed
REPEATED_SHARE = 0.4  # of the pairs that say the same twice, where attention must keep its place
MAX_POSITIONS = 800  # of a glued pair: text and speech


@dataclass(frozen=True, slots=True)
class Script:
    """One utterance without its sound."""

    text: I64  # i64 [N], the first is the start mark
    speech: I64  # i64 [S]
    align: I64  # i64 [S], for each speech token the index of its text token
    speaker: int
    language: int

    def __len__(self) -> int:
        """Positions in the decoder."""
        return FIRST_TEXT + len(self.text) + 1 + len(self.speech)

    def followed_by(self, other: Script) -> Script:
        """Both as one utterance: the other loses its start mark and the silence that belongs to it."""
        is_kept = other.align > 0
        return Script(
            np.concatenate([self.text, other.text[1:]]),
            np.concatenate([self.speech, other.speech[is_kept]]),
            np.concatenate([self.align, other.align[is_kept] + len(self.text) - 1]),
            self.speaker,
            self.language,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of T positions; n is the number of predictions, one per speech token and one per end."""

    text: Tensor  # i64 [B, N]
    text_length: Tensor  # i64 [B]
    speaker: Tensor  # i64 [B]
    speech: Tensor  # i64 [speech tokens of all rows]
    source: Tensor  # i64 [B, T] into [sos, task, speakers (B), text (B * N), speech]: what stands at each position
    predicting: Tensor  # i64 [n] into [B * T]: the positions that predict
    target: Tensor  # i64 [n]
    current: Tensor  # i64 [n], the position of the text token that the last speech token belongs to
    following: Tensor  # i64 [n], the position of the next text token that is heard


def make_batch(scripts: Sequence[Script], end_token: int) -> Batch:
    num_rows, width = len(scripts), max(map(len, scripts))
    num_text = max(len(script.text) for script in scripts)
    text: I64 = np.zeros((num_rows, num_text), np.int64)
    source: I64 = np.zeros((num_rows, width), np.int64)
    first_speech = 2 + num_rows + num_rows * num_text
    predicting, target, current, following = [], [], [], []
    for row, script in enumerate(scripts):
        n, s = len(script.text), len(script.speech)
        text[row, :n] = script.text
        task = FIRST_TEXT + n
        source[row, 1] = 2 + row
        source[row, FIRST_TEXT:task] = 2 + num_rows + row * num_text + np.arange(n)
        source[row, task] = 1
        source[row, task + 1 : task + 1 + s] = first_speech + np.arange(s)
        first_speech += s
        predicting.append(row * width + task + np.arange(s + 1))
        target.append(np.append(script.speech, end_token))
        now, then = _current_and_following(script.align)
        current.append(FIRST_TEXT + now)
        following.append(FIRST_TEXT + then)
    return Batch(
        torch.from_numpy(text),
        torch.tensor([len(script.text) for script in scripts]),
        torch.tensor([script.speaker for script in scripts]),
        torch.from_numpy(np.concatenate([script.speech for script in scripts])),
        torch.from_numpy(source),
        *(torch.from_numpy(np.concatenate(parts)) for parts in (predicting, target, current, following)),
    )


def _current_and_following(align: I64) -> tuple[I64, I64]:
    """Text indices i64 [S + 1] before each speech token and before the end: of the last token, and the next heard."""
    heard = np.unique(align)
    current = np.concatenate([heard[:1], align])
    after = np.minimum(np.searchsorted(heard, current) + 1, len(heard) - 1)
    return current, heard[after]


class Curriculum:
    """Batches without end: first short utterances, then ever longer ones, at last also glued pairs.

    Args:
        num_positions: of a batch, padding included.
    """

    def __init__(self, scripts: Sequence[Script], end_token: int, num_positions: int, seed: int) -> None:
        self._scripts = sorted(scripts, key=len)
        self._lengths = [len(script) for script in self._scripts]
        self._end_token = end_token
        self._num_positions = num_positions
        self._generator = np.random.default_rng(seed)
        self._waiting: list[list[Script]] = []

    def batch(self, step: int) -> Batch:
        if not self._waiting:
            waiting = list(buckets(self._sample(step), self._num_positions, self._generator))
            self._waiting = [waiting[index] for index in self._generator.permutation(len(waiting))]
        return make_batch(self._waiting.pop(), self._end_token)

    def _sample(self, step: int) -> list[Script]:
        """Enough scripts for batches of like length, and few enough to keep up with the step."""
        longest = FIRST_POSITIONS + MORE_POSITIONS * step
        num_allowed = max(bisect_right(self._lengths, longest), min(len(self._scripts), MIN_ALLOWED))
        size = min(num_allowed, NUM_SAMPLED)
        drawn = [self._scripts[index] for index in self._generator.choice(num_allowed, size, replace=False)]
        return drawn + self._glued(round(GLUED_SHARE * size), longest)

    def _glued(self, num_pairs: int, longest: float) -> list[Script]:
        pairs = self._generator.integers(len(self._scripts), size=(num_pairs, 2))
        num_repeated = round(REPEATED_SHARE * num_pairs)
        pairs[:num_repeated, 1] = pairs[:num_repeated, 0]
        joined = (self._scripts[first].followed_by(self._scripts[second]) for first, second in pairs)
        return [pair for pair in joined if len(pair) <= min(longest - GLUED_LATER, MAX_POSITIONS)]


def buckets(scripts: Sequence[Script], num_positions: int, generator: np.random.Generator) -> Iterator[list[Script]]:
    """Groups of like length, each at most `num_positions` with padding; who meets whom changes every time."""
    lengths = np.array([len(script) for script in scripts])
    bucket: list[Script] = []
    for index in np.argsort(lengths * generator.uniform(0.95, 1.05, len(lengths))):
        longest = max(map(len, [*bucket, scripts[index]]))
        if bucket and longest * (len(bucket) + 1) > num_positions:
            yield bucket
            bucket = []
        bucket.append(scripts[index])
    if bucket:
        yield bucket


def read_scripts(folder: Path, split: str) -> list[Script]:
    """A split of the corpus; its audio, where it has any, stays on disk."""
    scripts: list[Script] = []
    for shard in Dataset.open(folder, split).shards:
        text, speech, align = (shard[name].astype(np.int64) for name in ("text", "speech", "align"))
        texts = pairwise(shard["text_offset"].tolist())
        speeches = pairwise(shard["speech_offset"].tolist())
        speakers, languages = shard["speaker"].tolist(), shard["language"].tolist()
        for (a, b), (c, d), speaker, language in zip(texts, speeches, speakers, languages, strict=True):
            scripts.append(Script(text[a:b], speech[c:d], align[c:d], speaker, language))
    return scripts

"""Distances between two ways of saying the same: of phone strings, and of spectra after time alignment."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.types import F32, F64, I64

NUM_CEPSTRA = 13  # c1 .. c13: the vocal tract, without loudness and pitch
_QUIET = -8.0  # natural log of a mel magnitude; below, one silence is like another
_DB_PER_NEPER = 20 / np.log(10)


@dataclass(frozen=True, slots=True)
class EditPath:
    """How one string becomes another. A pair (i, j) is a match or a substitution; None on one side is a gap."""

    pairs: tuple[tuple[int | None, int | None], ...]
    num_edits: int

    @property
    def num_missing_at_end(self) -> int:
        """Wanted ones after the last that was heard."""
        heard = [index for index, (_, hear) in enumerate(self.pairs) if hear is not None]
        return len(self.pairs) - 1 - heard[-1] if heard else len(self.pairs)


def edit_path(wanted: Sequence[Hashable], heard: Sequence[Hashable]) -> EditPath:
    """The fewest insertions, deletions and substitutions (Levenshtein)."""
    costs = np.zeros((len(wanted) + 1, len(heard) + 1), np.int64)
    costs[:, 0], costs[0] = np.arange(len(wanted) + 1), np.arange(len(heard) + 1)
    for i, want in enumerate(wanted):
        for j, hear in enumerate(heard):
            costs[i + 1, j + 1] = min(costs[i, j] + (want != hear), costs[i, j + 1] + 1, costs[i + 1, j] + 1)
    return EditPath(_trace(wanted, heard, costs), int(costs[-1, -1]))


def _trace(
    wanted: Sequence[Hashable], heard: Sequence[Hashable], costs: I64
) -> tuple[tuple[int | None, int | None], ...]:
    i, j = len(wanted), len(heard)
    pairs: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (wanted[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return tuple(reversed(pairs))


def mel_cepstra(mel: F32) -> F64:
    """Natural-log mel f32 [T, K] -> f64 [T, 13]: c with log|X(w)| = c0 + sum of c_m cos(m w) on the mel axis."""
    num_bands = mel.shape[1]
    angle = np.pi * np.outer(np.arange(num_bands) + 0.5, np.arange(1, NUM_CEPSTRA + 1)) / num_bands
    cepstra: F64 = np.maximum(mel, _QUIET).astype(np.float64) @ np.cos(angle) * (2 / num_bands)
    return cepstra


@dataclass(frozen=True, slots=True)
class Alignment:
    """Frames of one utterance and of another that stand for the same; both rise."""

    ours: I64  # i64 [L]
    theirs: I64  # i64 [L]
    distance_db: float  # mean over the path of the rms difference of the smoothed spectra

    def ours_between(self, start: int, end: int) -> slice:
        """Our frames for their frames [start, end)."""
        first = min(int(np.searchsorted(self.theirs, start)), len(self.ours) - 1)
        last = max(int(np.searchsorted(self.theirs, end)) - 1, first)
        return slice(int(self.ours[first]), int(self.ours[last]) + 1)


def align(ours: F64, theirs: F64) -> Alignment:
    """Dynamic time warping of mel cepstra f64 [T, 13]; the distance is mel-cepstral distortion (Kubichek 1993)."""
    squared = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
    distance = np.sqrt(np.maximum(squared, 0.0))
    i, j = _warp(distance)
    return Alignment(i, j, float(distance[i, j].mean() * _DB_PER_NEPER / np.sqrt(2)))


def _warp(distance: F64) -> tuple[I64, I64]:
    """The cheapest path from corner to corner, computed along anti-diagonals, which are vectors."""
    rows, columns = distance.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        best = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = best + distance[i, j]
    return _backtrack(total)


def _backtrack(total: F64) -> tuple[I64, I64]:
    i, j = total.shape[0] - 2, total.shape[1] - 2
    path = [(i, j)]
    while i or j:
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda step: total[step[0] + 1, step[1] + 1])
        path.append((i, j))
    ours, theirs = np.array(path[::-1], np.int64).T
    return ours, theirs

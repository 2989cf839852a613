"""Repetition-aware sampling (VALL-E 2, arXiv 2406.05370, section 4.2): nucleus draws that do not get stuck.

A draw depends on one sequence's logits, its history and its generator, never on who shares the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.runtime.bundle import SamplingSpec
from pipeline.types import F32, F64

_BLOCK_SIZE = 64
_SEED_MASK = (1 << 128) - 1  # a negative seed is as good as any other


@dataclass(slots=True, eq=False)
class Sampler:
    """Draws one sequence's tokens; `history` holds what was drawn so far, without the end token."""

    spec: SamplingSpec
    end_token: int
    generator: np.random.Generator
    history: list[int] = field(default_factory=list)

    @classmethod
    def seeded(cls, spec: SamplingSpec, end_token: int, seed: int) -> Sampler:
        return cls(spec, end_token, np.random.Generator(np.random.PCG64(seed & _SEED_MASK)))

    def draw(self, logits: F32, *, may_end: bool) -> int:
        """The next token from f32 [V + 1]. Raises ValueError when the logits hold no distribution (NaN, infinity)."""
        scores = logits.astype(np.float64)
        if not may_end:
            scores[self.end_token] = -np.inf
        token = self._draw_nucleus(_weights(scores))
        if self._is_repeated(token):
            scores[token] = -np.inf
            token = _draw(_weights(scores), self.generator)
        if token != self.end_token:
            self.history.append(token)
        return token

    def _draw_nucleus(self, weights: F64) -> int:
        """From the likeliest tokens until their mass reaches top_p, at most top_k; ties go to the lower id."""
        top_k = min(self.spec.top_k, len(weights))
        candidates = np.flatnonzero(weights >= _lower_bound(weights, top_k))  # i64 [>= top_k], ascending ids
        candidates = candidates[np.argsort(-weights[candidates], kind="stable")][:top_k]
        mass = np.cumsum(weights[candidates])
        size = 1 + int(np.searchsorted(mass[:-1], self.spec.top_p * weights.sum()))
        return int(candidates[_draw(weights[candidates[:size]], self.generator)])

    def _is_repeated(self, token: int) -> bool:
        recent = self.history[-self.spec.window :]
        return recent.count(token) >= self.spec.window * self.spec.tau_r


def _weights(scores: F64) -> F64:
    """Softmax without its normalizer, f64 [V + 1]."""
    peak = scores.max()
    if not np.isfinite(peak):
        raise ValueError(f"the largest of {len(scores)} logits is {peak}: that is no distribution")
    weights: F64 = np.exp(scores - peak)
    return weights


def _lower_bound(weights: F64, top_k: int) -> float:
    """At most the weight of rank top_k, and near it: the same rank among the largest of each block, or of all if few.

    A sixth of the time that it takes to find the very weight.
    """
    num_blocks = len(weights) // _BLOCK_SIZE
    if num_blocks < 2 * top_k:
        return float(np.partition(weights, -top_k)[-top_k])
    largest = weights[: num_blocks * _BLOCK_SIZE].reshape(num_blocks, _BLOCK_SIZE).max(axis=1)
    return float(np.partition(largest, -top_k)[-top_k])


def _draw(weights: F64, generator: np.random.Generator) -> int:
    mass = np.cumsum(weights)
    drawn = np.searchsorted(mass, generator.random() * mass[-1], side="right")
    return min(int(drawn), int(np.searchsorted(mass, mass[-1])))  # the product may round up to the total

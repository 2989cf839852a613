"""How far two computations of the same thing lie from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.types import F32, F64, I64

Pairs = Sequence[tuple[F32, F32]]  # (reference, other), of one shape each


def snr_db(pairs: Pairs) -> float:
    """Power of the references over that of the differences, in decibels; infinite where there is none."""
    signal = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
    noise = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in pairs)
    return float(10 * np.log10(signal / noise)) if noise else float("inf")


def mean_distance(pairs: Pairs) -> float:
    """Mean absolute difference of all values; of log mels, in nepers."""
    return float(np.mean(np.concatenate([np.abs(a - b).ravel() for a, b in pairs])))


def divergence_nat(logits: F32, others: F32) -> F64:
    """Kullback-Leibler divergence of each row's distribution from the first one's: f32 [n, V] twice -> f64 [n]."""
    p, q = log_softmax(logits), log_softmax(others)
    divergence: F64 = (np.exp(p) * (p - q)).sum(axis=1)
    return divergence


def log_softmax(logits: F32) -> F64:
    """f32 [n, V] -> f64 [n, V]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: F64 = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def num_same_at_start(tokens: I64, others: I64) -> int:
    """Tokens before the first that differs, or that only one of them has."""
    shared = min(len(tokens), len(others))
    differs = np.flatnonzero(tokens[:shared] != others[:shared])
    return int(differs[0]) if len(differs) else shared

"""How far the next-token distributions of a rounded LM are from the exact ones, whatever their shape."""

from __future__ import annotations

import numpy as np

from pipeline.types import F32, F64


def divergence(exact: F32, rounded: F32) -> float:
    """Kullback-Leibler divergence in nats, mean over positions, of log probabilities f32 [S, tokens]."""
    exact_64, rounded_64 = exact.astype(np.float64), rounded.astype(np.float64)
    weights: F64 = np.exp(exact_64)
    with np.errstate(invalid="ignore"):  # 0 x infinity, of a token that is never drawn
        terms = np.where(weights > 0, weights * (exact_64 - rounded_64), 0.0)
    return float(terms.sum(axis=1).mean())


def draw_distance(exact: F32, rounded: F32) -> float:
    """Total variation, mean over positions: the share of draws that no choice of random numbers can make equal."""
    difference = np.exp(exact.astype(np.float64)) - np.exp(rounded.astype(np.float64))
    return float(np.abs(difference).sum(axis=1).mean() / 2)

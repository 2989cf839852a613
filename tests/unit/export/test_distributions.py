"""Distances of next-token distributions, on ones small enough to compute by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.export.distributions import divergence, draw_distance
from pipeline.types import F32

EXACT: F32 = np.log(np.array([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]], np.float32))
ROUNDED: F32 = np.log(np.array([[0.25, 0.5, 0.25], [0.9, 0.05, 0.05]], np.float32))


def test_distances_are_means_over_positions() -> None:
    assert divergence(EXACT, ROUNDED) == pytest.approx(0.25 * np.log(2) / 2, abs=1e-6)
    assert draw_distance(EXACT, ROUNDED) == pytest.approx(0.25 / 2, abs=1e-6)
    assert divergence(EXACT, EXACT) == draw_distance(EXACT, EXACT) == 0


def test_a_token_that_is_never_drawn_may_be_barred() -> None:
    exact = np.array([[0.0, -np.inf]], np.float32)
    assert divergence(exact, np.array([[0.0, -3.0]], np.float32)) == 0
    assert divergence(np.array([[-0.05, -3.0]], np.float32), exact) == np.inf

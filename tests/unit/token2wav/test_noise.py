from __future__ import annotations

import numpy as np
import pytest

from pipeline.token2wav.noise import NoiseStream, gaussian_frames, initial_phases


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (31, 33), (32, 64), (5, 100), (99, 100), (40, 40)])
def test_a_frame_has_the_same_noise_in_every_window(start: int, stop: int) -> None:
    whole = gaussian_frames(3, NoiseStream.FLOW, 0, 100, 7)
    np.testing.assert_array_equal(gaussian_frames(3, NoiseStream.FLOW, start, stop, 7), whole[start:stop])


def test_noise_is_standard_normal_and_uncorrelated() -> None:
    noise = gaussian_frames(0, NoiseStream.FLOW, 0, 4000, 20)
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.08)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(20), atol=0.1)
    assert abs((noise[:-1] * noise[1:]).mean()) < 0.02


def test_seeds_and_streams_are_independent() -> None:
    draws = [
        gaussian_frames(seed, stream, 0, 50, 20).ravel()
        for seed in (0, 1, 2**63)
        for stream in (NoiseStream.FLOW, NoiseStream.SOURCE)
    ]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.15


def test_any_integer_is_a_seed() -> None:
    np.testing.assert_array_equal(
        gaussian_frames(-1, NoiseStream.FLOW, 0, 2, 3), gaussian_frames(2**64 - 1, NoiseStream.FLOW, 0, 2, 3)
    )


def test_overtones_begin_at_random_phases_and_the_fundamental_at_zero() -> None:
    phases = initial_phases(5, 9)
    assert phases[0] == 0
    assert len(set(phases.tolist())) == 9
    assert np.abs(phases).max() <= np.pi
    np.testing.assert_array_equal(phases, initial_phases(5, 9))

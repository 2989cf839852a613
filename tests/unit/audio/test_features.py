from __future__ import annotations

import numpy as np
import pytest

from pipeline.audio.features import MelSpectrogram, hz_to_mel, mel_to_hz


def sine(hz: float, num_samples: int = 22050) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(num_samples) / 22050)).astype(np.float32)


def test_one_frame_per_hop() -> None:
    assert MelSpectrogram()(sine(440, 256 * 37)).shape == (37, 80)


def test_silence_is_the_floor() -> None:
    features = MelSpectrogram(floor=1e-3)(np.zeros(2560, np.float32))
    np.testing.assert_allclose(features, np.log(1e-3), atol=1e-5)


@pytest.mark.parametrize("hz", [150.0, 440.0, 1000.0, 3000.0, 7000.0])
def test_a_sine_is_loudest_in_the_band_around_it(hz: float) -> None:
    loudest = MelSpectrogram()(sine(hz)).mean(axis=0).argmax()
    edges = mel_to_hz(np.linspace(0, hz_to_mel(8000.0), 82))
    assert edges[loudest] < hz < edges[loudest + 2]


def test_twice_the_amplitude_is_log_two_more() -> None:
    features = MelSpectrogram()
    difference = features(2 * sine(440)) - features(sine(440))
    loud = features(sine(440)) > -3
    np.testing.assert_allclose(difference[loud], np.log(2), atol=1e-3)


def test_mel_scale_is_slaneys() -> None:
    assert hz_to_mel(1000.0) == pytest.approx(15.0)
    assert hz_to_mel(6400.0) == pytest.approx(42.0)
    for hz in (0.0, 300.0, 999.0, 1001.0, 8000.0):
        assert mel_to_hz(np.array([hz_to_mel(hz)]))[0] == pytest.approx(hz)

"""The vocoder on one thread and on two."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.vocoder import OnnxVocoder


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("num_frames", [1, 28, 29, 60, 101])
def test_two_halves_are_the_whole_up_to_float_rounding(bundle: Bundle, precision: Precision, num_frames: int) -> None:
    one, two = (OnnxVocoder(bundle, precision, num_threads) for num_threads in (1, 2))
    random = np.random.default_rng(num_frames)
    mel = random.standard_normal((num_frames, 80), np.float32)
    source = 0.1 * random.standard_normal(num_frames * one.spec.hop_length, np.float32)
    whole, halves = one.wave(mel, source), two.wave(mel, source)
    assert halves.shape == whole.shape == (num_frames * one.spec.hop_length,)
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(halves, whole, atol=2e-5)

"""The vocoder on one thread and on two, with and without context around the frames that get samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.session import Session
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


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_context_gets_no_samples_and_changes_none(bundle: Bundle, precision: Precision, num_threads: int) -> None:
    vocoder = OnnxVocoder(bundle, precision, num_threads)
    random = np.random.default_rng(0)
    hop, context = vocoder.spec.hop_length, vocoder.spec.context_frames
    mel = random.standard_normal((100, 80), np.float32)
    source = 0.1 * random.standard_normal(100 * hop, np.float32)
    whole = vocoder.wave(mel, source)
    for first, stop in ((0, 30), (40, 41), (context, 70), (60, 100)):
        start, end = max(0, first - context), min(100, stop + context)
        part = mel[start:end], source[start * hop : end * hop]
        wave = vocoder.wave(*part, before=first - start, after=end - stop)
        np.testing.assert_allclose(wave, whole[first * hop : stop * hop], atol=2e-5)


class OldSession:
    """A graph of an exporter that knew no context: samples of all frames."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.inputs = {name: shape for name, shape in session.inputs.items() if name != "context"}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert set(inputs) == set(self.inputs)
        return self._session.run({**inputs, "context": np.zeros(2, np.int64)})


def test_a_bundle_of_an_older_exporter_speaks_the_same(bundle: Bundle) -> None:
    vocoder, old = (OnnxVocoder(bundle, "int8", num_threads=1) for _ in range(2))
    old._lanes.left = OldSession(old._lanes.left)
    random = np.random.default_rng(0)
    mel = random.standard_normal((50, 80), np.float32)
    source = 0.1 * random.standard_normal(50 * vocoder.spec.hop_length, np.float32)
    waves = [each.wave(mel, source, before=14, after=16) for each in (vocoder, old)]
    np.testing.assert_allclose(waves[0], waves[1], atol=2e-5)
    assert len(waves[0]) == 20 * vocoder.spec.hop_length

"""The vocoder's harmonic source and its length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.model.config import read_config
from pipeline.model.hift import HiFTGenerator

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def vocoder() -> HiFTGenerator:
    torch.manual_seed(0)
    return HiFTGenerator(read_config(GOLDEN / "reference-50hz" / "cosyvoice.yaml").hift).eval()


def test_the_source_has_its_sines_at_multiples_of_f0(vocoder: HiFTGenerator) -> None:
    f0 = torch.full((1, 86), 220.0)
    samples = f0.repeat_interleave(vocoder.config.samples_per_frame, dim=1)
    num_harmonics = vocoder.config.num_harmonics
    silence = torch.zeros(1, num_harmonics, samples.shape[1])
    with torch.inference_mode():
        source = vocoder.m_source(samples, torch.zeros(1, num_harmonics), silence)[0, 0].numpy()
    spectrum = np.abs(np.fft.rfft(source * np.hanning(len(source))))
    hz = np.fft.rfftfreq(len(source), 1 / vocoder.config.sample_rate)
    peak = hz[np.argsort(spectrum)[-1]]
    assert min(abs(peak - 220.0 * n) for n in range(1, num_harmonics + 1)) < 2
    near = np.min(np.abs(hz[:, None] - 220.0 * np.arange(0, 60)), axis=1) < 20
    assert spectrum[~near].max() < 0.01 * spectrum.max()


def test_unvoiced_frames_are_noise_of_a_third_of_the_sines(vocoder: HiFTGenerator) -> None:
    length, num_harmonics = 500, vocoder.config.num_harmonics
    noise = torch.randn(1, num_harmonics, length)
    with torch.inference_mode():
        source = vocoder.m_source(torch.zeros(1, length), torch.zeros(1, num_harmonics), noise)
        merged = vocoder.m_source.l_linear((noise * vocoder.config.sine_amplitude / 3).transpose(1, 2))
    torch.testing.assert_close(source, torch.tanh(merged).transpose(1, 2))


def test_a_generator_makes_the_source_reproducible(vocoder: HiFTGenerator) -> None:
    f0 = torch.full((2, 5), 150.0)
    first, second, other = (vocoder.source(f0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("num_frames", [5, 12])
def test_audio_has_whole_frames_and_stays_below_the_limit(vocoder: HiFTGenerator, num_frames: int) -> None:
    with torch.inference_mode():
        audio, f0 = vocoder(torch.randn(2, 80, num_frames) * 3)
    assert audio.shape == (2, num_frames * vocoder.config.samples_per_frame)
    assert f0.shape == (2, num_frames)
    assert (f0 >= 0).all()
    assert audio.abs().max() <= vocoder.config.audio_limit

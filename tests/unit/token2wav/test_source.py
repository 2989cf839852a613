"""The closed-form harmonic source against the literal one: a cumulative sum over samples, one sine per harmonic."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.runtime.bundle import VocoderSpec
from pipeline.token2wav.noise import NoiseStream, gaussian_frames, initial_phases
from pipeline.token2wav.source import HarmonicSource

SAMPLE_RATE = 22050
HOP = 256


def spec(num_harmonics: int) -> VocoderSpec:
    weights = np.random.default_rng(0).standard_normal(num_harmonics)
    return VocoderSpec(
        hop_length=HOP,
        num_harmonics=num_harmonics,
        sine_amplitude=0.1,
        noise_std=0.003,
        voiced_threshold_hz=10.0,
        harmonic_weights=tuple(weights.tolist()),
        harmonic_bias=0.02,
        context_frames=1,
        f0_context_frames=1,
    )


def pitch(num_frames: int) -> np.ndarray:
    """A glide between 90 and 410 Hz with unvoiced gaps, f32 [T]."""
    f0 = 250 + 160 * np.sin(np.arange(num_frames) / 9)
    f0[5:9] = f0[40:60] = 2.5
    return f0.astype(np.float32)


def literal(spec: VocoderSpec, f0: np.ndarray, seed: int) -> np.ndarray:
    """Sample by sample in float64, with the same phases and the same merged noise."""
    per_sample = np.repeat(f0.astype(np.float64), HOP)
    voiced = per_sample > spec.voiced_threshold_hz
    weights = np.array(spec.harmonic_weights)
    total = np.full(len(per_sample), spec.harmonic_bias)
    for index, phase in enumerate(initial_phases(seed, spec.num_harmonics)):
        theta = 2 * np.pi * (np.cumsum(per_sample * (index + 1) / SAMPLE_RATE) % 1)
        total += weights[index] * spec.sine_amplitude * np.sin(theta + phase) * voiced
    amplitude = np.where(voiced, spec.noise_std, spec.sine_amplitude / 3)
    noise = gaussian_frames(seed, NoiseStream.SOURCE, 0, len(f0), HOP).reshape(-1)
    return np.tanh(total + amplitude * np.linalg.norm(weights) * noise)


@pytest.mark.parametrize("num_harmonics", [1, 9, 33])
def test_source_equals_the_literal_form(num_harmonics: int) -> None:
    source, f0 = HarmonicSource(spec(num_harmonics), SAMPLE_RATE), pitch(120)
    made = source.make(f0, source.phases(f0, 0.0)[:-1], 11, 0)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, literal(spec(num_harmonics), f0, 11), atol=2e-5)


def test_chunks_joined_are_the_whole() -> None:
    source, f0 = HarmonicSource(spec(9), SAMPLE_RATE), pitch(100)
    whole = source.make(f0, source.phases(f0, 0.0)[:-1], 4, 0)
    chunks, phase = [], 0.0
    for start, stop in ((0, 1), (1, 33), (33, 34), (34, 100)):
        phases = source.phases(f0[start:stop], phase)
        chunks.append(source.make(f0[start:stop], phases[:-1], 4, start))
        phase = float(phases[-1])
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=1e-5)


def test_unvoiced_frames_hold_noise_alone() -> None:
    source = HarmonicSource(spec(9), SAMPLE_RATE)
    f0 = np.zeros(200, np.float32)
    made = np.arctanh(source.make(f0, source.phases(f0, 0.0)[:-1], 0, 0).astype(np.float64)) - 0.02
    expected = 0.1 / 3 * np.linalg.norm(spec(9).harmonic_weights)
    assert made.std() == pytest.approx(expected, rel=0.02)
    assert abs(made.mean()) < 0.01 * expected


def test_phase_stays_exact_after_an_hour() -> None:
    source = HarmonicSource(spec(1), SAMPLE_RATE)
    num_frames = 3600 * SAMPLE_RATE // HOP
    phases = source.phases(np.full(num_frames, 100.0, np.float32), 0.0)
    expected = (num_frames * HOP * 100.0 / SAMPLE_RATE) % 1.0
    assert phases[-1] == pytest.approx(expected, abs=1e-6)

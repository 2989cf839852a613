"""The excitation of the vocoder: harmonics of F0 where speech is voiced, noise elsewhere (NSF, arXiv 1904.12088).

F0 is constant within a mel frame, so the phase has a closed form per frame and is carried in float64 from chunk to
chunk. All harmonics share their noise amplitude, so their merged noise is one Gaussian with the norm of the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.bundle import VocoderSpec
from pipeline.token2wav.noise import NoiseStream, gaussian_frames, initial_phases
from pipeline.types import F32, F64


class HarmonicSource:
    """Makes the source signal of any run of frames of an utterance."""

    def __init__(self, spec: VocoderSpec, sample_rate: int) -> None:
        self._hop_length = spec.hop_length
        self._sample_rate = sample_rate
        self._spec = spec
        self._weights = np.asarray(spec.harmonic_weights, np.float32)
        self._noise_gain = float(np.linalg.norm(self._weights))

    def phases(self, f0: F32, start_cycles: float) -> F64:
        """Phase of the fundamental at the start of each frame and after the last one, in cycles: f64 [T + 1]."""
        steps = f0.astype(np.float64) * (self._hop_length / self._sample_rate)
        return (start_cycles + np.concatenate(([0.0], np.cumsum(steps)))) % 1.0

    def make(self, f0: F32, frame_phases: F64, seed: int, start_frame: int) -> F32:
        """Source f32 [T * hop_length] of frames [start_frame, start_frame + T).

        Args:
            f0: f32 [T], Hz.
            frame_phases: f64 [T], cycles of the fundamental at the start of each frame.
            start_frame: absolute, after the speed change; it selects the noise.
        """
        spec = self._spec
        noise = gaussian_frames(seed, NoiseStream.SOURCE, start_frame, start_frame + len(f0), self._hop_length)
        voiced = f0 > spec.voiced_threshold_hz  # bool [T]
        noise_amplitude = np.where(voiced, spec.noise_std, spec.sine_amplitude / 3).astype(np.float32)
        merged = noise * (noise_amplitude * self._noise_gain)[:, None] + np.float32(spec.harmonic_bias)
        if voiced.any():
            merged[voiced] += self._harmonics(f0[voiced], frame_phases[voiced], seed)
        return np.tanh(merged, out=merged).reshape(-1)

    def _harmonics(self, f0: F32, frame_phases: F64, seed: int) -> F32:
        """Weighted sum of the sines, f32 [T, hop_length]: the imaginary part of a polynomial in exp(i phase)."""
        ramp = np.arange(1, self._hop_length + 1) / self._sample_rate  # the first sample is one step in, as a cumsum
        cycles = frame_phases[:, None] + f0[:, None].astype(np.float64) * ramp
        fundamental = unit_circle(cycles)
        coefficients = self._spec.sine_amplitude * self._weights * np.exp(1j * initial_phases(seed, len(self._weights)))
        total = np.full_like(fundamental, coefficients[-1])
        for coefficient in coefficients[-2::-1].astype(np.complex64):  # Horner
            total *= fundamental
            total += coefficient
        total *= fundamental
        return np.ascontiguousarray(total.imag)


def unit_circle(cycles: F64) -> NDArray[np.complex64]:
    """exp(2 pi i cycles), with the argument reduced in float64."""
    angle = (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
    point = np.empty(angle.shape, np.complex64)
    np.cos(angle, out=point.real)
    np.sin(angle, out=point.imag)
    return point

"""The log-mel spectrogram that the flow predicts and the vocoder reads, in numpy, for evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.types import F32, F64


@dataclass(frozen=True)
class MelSpectrogram:
    """HiFi-GAN's settings (arXiv 2010.05646), as CosyVoice-300M uses them: Slaney filters up to 8 kHz."""

    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 256
    mel_bins: int = 80
    max_hz: float = 8000.0
    floor: float = 1e-5

    def __call__(self, samples: F32) -> F32:
        """Natural logarithm of the mel magnitudes: f32 [n] in [-1, 1] -> f32 [n // hop_length, mel_bins]."""
        pad = (self.n_fft - self.hop_length) // 2
        padded = np.pad(samples.astype(np.float64), pad, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        magnitude = np.sqrt(np.abs(np.fft.rfft(frames * self._window, axis=1)) ** 2 + 1e-9)
        mel = magnitude @ self.filters.T
        return np.log(np.maximum(mel, self.floor)).astype(np.float32)

    @cached_property
    def _window(self) -> F64:
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)

    @cached_property
    def filters(self) -> F64:
        """Triangles of equal area on Slaney's mel scale: f64 [mel_bins, n_fft // 2 + 1]."""
        edges = mel_to_hz(np.linspace(0.0, hz_to_mel(self.max_hz), self.mel_bins + 2))
        bins = np.linspace(0.0, self.sample_rate / 2, self.n_fft // 2 + 1)
        rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
        falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
        return np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]


# Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def mel_to_hz(mel: F64) -> F64:
    return np.where(
        mel < _BREAK_MEL, mel * _LINEAR_HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    ).astype(np.float64)

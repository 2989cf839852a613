"""Spectrograms of the voice above its teacher's, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.types import F32, I16

_WINDOW, _HOP = 512, 128
_RANGE_DB = 75.0
_TOP_HZ = 8000
_INCHES_PER_S = 2.5


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    samples: I16


def spectrogram_db(samples: I16) -> F32:
    """Magnitude below the loudest bin, f32 [frames, bins], in dB."""
    padded = np.pad(samples / 32768.0, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP] * np.hanning(_WINDOW)
    magnitude = np.abs(np.fft.rfft(frames, axis=1))
    level = 20 * np.log10(magnitude + 1e-6)
    below: F32 = np.maximum(level - level.max(), -_RANGE_DB).astype(np.float32)
    return below


def draw_spectrograms(panels: Sequence[Panel], sample_rate: int, file: Path) -> None:
    """One above the other on the same axes of time and frequency."""
    from matplotlib.figure import Figure

    duration_s = max(len(panel.samples) for panel in panels) / sample_rate
    figure = Figure(figsize=(max(6.0, _INCHES_PER_S * duration_s), 2.6 * len(panels)), layout="constrained")
    for axes, panel in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels, strict=True):
        extent = (0.0, len(panel.samples) / sample_rate, 0.0, sample_rate / 2)
        axes.imshow(spectrogram_db(panel.samples).T, origin="lower", aspect="auto", extent=extent, cmap="magma")
        axes.set(title=panel.title, ylim=(0, _TOP_HZ), xlim=(0, duration_s), ylabel="Hz")
    axes.set_xlabel("s")
    figure.savefig(file, dpi=110)

"""HiFT on ONNX Runtime: mel spectrogram to F0, and mel with source signal to samples."""

from __future__ import annotations

import numpy as np

from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.prepared import open_session
from pipeline.token2wav.source import HarmonicSource
from pipeline.types import F32


class OnnxVocoder:
    """Holds the sessions of the F0 predictor and the vocoder and nothing between calls."""

    def __init__(self, bundle: Bundle, precision: Precision, num_threads: int) -> None:
        self.spec = bundle.manifest.vocoder
        self.source = HarmonicSource(self.spec, bundle.manifest.sample_rate)
        self._f0_predictor = open_session(bundle, "f0_predictor", precision, num_threads=num_threads)
        self._vocoder = open_session(bundle, "vocoder", precision, num_threads=num_threads)

    def f0(self, mel: F32) -> F32:
        """Fundamental frequency in Hz, f32 [T], of mel f32 [T, mel_bins]."""
        f0: F32 = self._f0_predictor.run({"mel": np.ascontiguousarray(mel)[None]})["f0"][0]
        return f0

    def wave(self, mel: F32, source: F32) -> F32:
        """Samples in [-1, 1], f32 [T * hop_length], of mel f32 [T, mel_bins] and source f32 [T * hop_length]."""
        wave: F32 = self._vocoder.run({"mel": np.ascontiguousarray(mel)[None], "source": source[None]})["wave"][0]
        return wave

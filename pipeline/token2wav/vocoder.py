"""HiFT on ONNX Runtime: mel spectrogram to F0, and mel with source signal to samples."""

from __future__ import annotations

import numpy as np

from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.prepared import open_session
from pipeline.runtime.session import Session
from pipeline.token2wav.lanes import Lanes
from pipeline.token2wav.source import HarmonicSource
from pipeline.types import F32


class OnnxVocoder:
    """Holds the sessions of the F0 predictor and the vocoder and nothing between calls."""

    def __init__(self, bundle: Bundle, precision: Precision, num_threads: int) -> None:
        self.spec = bundle.manifest.vocoder
        self.source = HarmonicSource(self.spec, bundle.manifest.sample_rate)
        # One thread, 6 ms in a second of audio: threads that share a convolution round its sums by its length, and as
        # phases add F0 up over the utterance, chunks would move away from the whole.
        self._f0_predictor = open_session(bundle, "f0_predictor", precision, num_threads=1)
        self._lanes = Lanes(bundle, "vocoder", precision, num_threads)

    def f0(self, mel: F32) -> F32:
        """Fundamental frequency in Hz, f32 [T], of mel f32 [T, mel_bins]."""
        f0: F32 = self._f0_predictor.run({"mel": np.ascontiguousarray(mel)[None]})["f0"][0]
        return f0

    def wave(self, mel: F32, source: F32) -> F32:
        """Samples in [-1, 1], f32 [T * hop_length], of mel f32 [T, mel_bins] and source f32 [T * hop_length].

        On several threads the two halves are made side by side, each with the context that its frames depend on.
        """
        num_frames, context = len(mel), self.spec.context_frames
        if not self._lanes.is_parallel or num_frames <= 2 * context:  # each half would be the whole
            return self._frames(self._lanes.left, mel, source, 0, num_frames)
        middle = num_frames // 2
        first, second = self._lanes.run(
            lambda session: self._frames(session, mel, source, 0, middle + context),
            lambda session: self._frames(session, mel, source, middle - context, num_frames),
        )
        hop_length = self.spec.hop_length
        return np.concatenate([first[: middle * hop_length], second[context * hop_length :]])

    def _frames(self, session: Session, mel: F32, source: F32, start: int, stop: int) -> F32:
        """Samples of frames [start, stop), right where they are `context_frames` from either end."""
        part = np.ascontiguousarray(mel[start:stop])[None]
        excitation = source[start * self.spec.hop_length : stop * self.spec.hop_length][None]
        wave: F32 = session.run({"mel": part, "source": excitation})["wave"][0]
        return wave

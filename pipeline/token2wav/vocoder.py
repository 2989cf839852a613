"""HiFT on ONNX Runtime: mel spectrogram to F0, and mel with source signal to samples."""

from __future__ import annotations

from copy import copy

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

    @property
    def num_lanes(self) -> int:
        """How many jobs may be computed side by side."""
        return 2 if self._lanes.is_parallel else 1

    def on_lane(self, lane: int) -> OnnxVocoder:
        """The same sessions and values on one lane, so that two jobs can be made side by side."""
        vocoder = copy(self)
        vocoder._lanes = self._lanes.single(lane)
        return vocoder

    def f0(self, mel: F32) -> F32:
        """Fundamental frequency in Hz, f32 [T], of mel f32 [T, mel_bins]."""
        f0: F32 = self._f0_predictor.run({"mel": np.ascontiguousarray(mel)[None]})["f0"][0]
        return f0

    def wave(self, mel: F32, source: F32, *, before: int = 0, after: int = 0) -> F32:
        """Samples in [-1, 1], f32 [n * hop_length], of mel f32 [T, mel_bins] and source f32 [T * hop_length].

        On several threads the two halves are made side by side, each with the context that its frames depend on.

        Args:
            before: frames at the start that are context only, and get no samples.
            after: the same at the end; n = T - before - after.
        """
        first, stop = before, len(mel) - after
        if not self._lanes.is_parallel or stop - first <= self.spec.context_frames:  # a half would be near the whole
            return self._frames(self._lanes.left, mel, source, first, stop)
        middle = (first + stop) // 2
        halves = self._lanes.run(
            lambda session: self._frames(session, mel, source, first, middle),
            lambda session: self._frames(session, mel, source, middle, stop),
        )
        return np.concatenate(halves)

    def _frames(self, session: Session, mel: F32, source: F32, first: int, stop: int) -> F32:
        """Samples of frames [first, stop), from the frames on either side that they depend on, as far as there are."""
        hop_length, context = self.spec.hop_length, self.spec.context_frames
        start, end = max(0, first - context), min(len(mel), stop + context)
        inputs = {
            "mel": np.ascontiguousarray(mel[start:end])[None],
            "source": source[start * hop_length : end * hop_length][None],
        }
        if "context" in session.inputs:
            around = np.array([first - start, end - stop])
            wave: F32 = session.run({**inputs, "context": around})["wave"][0]
            return wave
        wave = session.run(inputs)["wave"][0]  # a graph of an older exporter makes samples of the context as well
        return wave[(first - start) * hop_length : (stop - start) * hop_length]

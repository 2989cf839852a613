"""Streaming sample-rate conversion (soxr, high quality), so that no seam is heard between chunks."""

from __future__ import annotations

import numpy as np
import soxr

from pipeline.types import F32, I16


class Resampler:
    """Converts one mono stream. Equal rates pass samples through untouched."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._stream = None
        if source_rate != target_rate:
            # soxr dithers int16 with noise that depends on how the stream was cut; float32 comes out the same anyway.
            self._stream = soxr.ResampleStream(source_rate, target_rate, num_channels=1, dtype="float32", quality="HQ")

    def resample(self, samples: I16) -> I16:
        """int16 [n] at the source rate -> int16 [m], what became final at the target rate."""
        return self._process(samples, is_last=False)

    def finish(self) -> I16:
        """The rest of the stream: in all, round(n * target_rate / source_rate) samples."""
        return self._process(np.zeros(0, np.int16), is_last=True)

    def _process(self, samples: I16, is_last: bool) -> I16:
        if self._stream is None:
            return samples
        resampled: F32 = self._stream.resample_chunk(samples.astype(np.float32), last=is_last)
        return np.rint(resampled).clip(-32768, 32767).astype(np.int16)

"""Speed without pitch: the mel spectrogram is stretched along time before F0 and source are made from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.types import F32


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Output frame d lies at frame (d + 0.5) * speed - 0.5 of the original, whatever is still to come."""

    speed: float

    def position(self, output_frame: int) -> float:
        return max(0.0, (output_frame + 0.5) * self.speed - 0.5)

    def num_total(self, num_frames: int) -> int:
        """Output frames of a finished utterance."""
        return int(num_frames / self.speed)

    def num_ready(self, num_frames: int) -> int:
        """Output frames that need none after the first `num_frames`."""
        return math.floor((num_frames - 0.5) / self.speed + 0.5) if num_frames else 0

    def first_needed(self, output_frame: int) -> int:
        """The first original frame that `output_frame` and later ones need."""
        return int(self.position(output_frame))

    def stretch(self, mel: F32, offset: int, start: int, stop: int) -> F32:
        """Output frames [start, stop), f32 [stop - start, mel_bins]; mel f32 [t, mel_bins] begins at frame `offset`."""
        if self.speed == 1.0:
            return mel[start - offset : stop - offset]
        positions = np.maximum(0.0, (np.arange(start, stop) + 0.5) * self.speed - 0.5) - offset
        lower = np.minimum(positions.astype(np.int64), len(mel) - 1)
        upper = np.minimum(lower + 1, len(mel) - 1)
        weight = (positions - lower).astype(np.float32)[:, None]
        stretched: F32 = mel[lower] * (1 - weight) + mel[upper] * weight
        return stretched

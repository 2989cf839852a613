"""Who is speaking: pitch and long-term spectrum of each voice against each of the teacher's speakers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.types import F32, F64

_DB_PER_NEPER = 20 / np.log(10)
_DB_PER_SEMITONE = 1.0  # how much a difference of pitch weighs beside one of the spectrum
_AUDIBLE = -5.0  # natural log of a mel magnitude, averaged over the bands: frames of speech


@dataclass
class Portrait:
    """What is remembered of one speaker's utterances."""

    _f0: list[F32] = field(default_factory=list)
    _mel: list[F32] = field(default_factory=list)

    def add(self, f0: F32, mel: F32) -> None:
        self._f0.append(f0[f0 > 0])
        self._mel.append(mel[mel.mean(axis=1) > _AUDIBLE])

    @property
    def median_hz(self) -> float:
        f0 = np.concatenate(self._f0)
        return float(np.median(f0)) if len(f0) else float("nan")

    @property
    def spectrum_db(self) -> F64:
        """The mean log-mel spectrum without its loudness: f64 [mel_bins]."""
        mean: F64 = np.concatenate(self._mel).mean(axis=0, dtype=np.float64) * _DB_PER_NEPER
        level: F64 = mean - mean.mean()
        return level

    def distance(self, other: Portrait) -> float:
        """Root mean square of the spectra's difference in dB, and the difference of pitch in semitones."""
        spectral = float(np.sqrt(np.mean((self.spectrum_db - other.spectrum_db) ** 2)))
        semitones = 12 * abs(np.log2(self.median_hz / other.median_hz))
        return float(np.hypot(spectral, _DB_PER_SEMITONE * semitones))


def nearest(portrait: Portrait, others: Mapping[str, Portrait]) -> str:
    return min(others, key=lambda name: portrait.distance(others[name]))


def compare_voices(voices: Mapping[str, Portrait], teachers: Mapping[str, Portrait]) -> list[dict[str, object]]:
    """For each voice: its pitch and its teacher's, the distance between them, and which teacher it is nearest to."""
    return [
        {
            "voice": name,
            "median_hz": voice.median_hz,
            "teacher_median_hz": teachers[name].median_hz,
            "distance": voice.distance(teachers[name]),
            "distance_to_others": float(
                np.mean([voice.distance(other) for key, other in teachers.items() if key != name] or [np.nan])
            ),
            "nearest_teacher": nearest(voice, teachers),
        }
        for name, voice in voices.items()
        if name in teachers
    ]


def is_lower(voices: Mapping[str, Portrait], low: str, high: str) -> bool | None:
    """Whether one voice is lower than another; None where one of them has not spoken."""
    if low not in voices or high not in voices:
        return None
    return voices[low].median_hz < voices[high].median_hz

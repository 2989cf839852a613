"""Seconds per stage of one utterance, in the order of the path."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from statistics import median


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds. `prefill_s` includes the text encoder, `vocoder_s` F0 and source."""

    prefill_s: float
    decode_s: float
    flow_encoder_s: float
    estimator_s: float
    vocoder_s: float

    @property
    def total_s(self) -> float:
        return float(sum(astuple(self)))

    @classmethod
    def total(cls, pieces: Sequence[StageTimes]) -> StageTimes:
        """Of the pieces of one text, spoken one after the other."""
        return cls(*map(sum, zip(*map(astuple, pieces), strict=True)))

    @classmethod
    def median(cls, runs: Sequence[StageTimes]) -> StageTimes:
        return cls(**{field.name: median(getattr(run, field.name) for run in runs) for field in fields(cls)})


class Stopwatch:
    """Collects the time since the last lap, lap after lap."""

    def __init__(self) -> None:
        self.laps_s: list[float] = []
        self._marked = time.perf_counter()

    def lap(self) -> None:
        now = time.perf_counter()
        self.laps_s.append(now - self._marked)
        self._marked = now

    def stage_times(self) -> StageTimes:
        return StageTimes(*self.laps_s)

"""Speech tokens: one id per 40 ms for (phone, pitch level, position in the phone), the same for every speaker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.export.tokenizer_files import UNITS_FILE
from pipeline.training.voice.teacher import SILENCE
from pipeline.types import F32, I64

MAX_UNITS = 4096
UNVOICED = 0  # the pitch level of a phone without pitch; levels of voiced phones count from 1


@dataclass(frozen=True, slots=True)
class Grid:
    """How finely pitch and position are told apart; chosen by measurement of the corpus."""

    pitch_step: float = 1.25  # semitones
    num_levels: int = 8
    num_positions: int = 6  # of a phone; later tokens count as the last of these
    num_silence_positions: int = 12
    middle: float = -1.1  # semitones above the speaker's base at which the middle level lies

    def levels(self, pitch_hz: F32, base_hz: float) -> I64:
        """1 .. num_levels of each pitch."""
        semitones = 12 * np.log2(np.maximum(pitch_hz, 1.0) / base_hz) - self.middle
        level = np.round(semitones / self.pitch_step + (self.num_levels - 1) / 2)
        return np.clip(level, 0, self.num_levels - 1).astype(np.int64) + 1

    def semitones(self, level: int) -> float:
        """Of a voiced level, above the speaker's base."""
        return (level - 1 - (self.num_levels - 1) / 2) * self.pitch_step + self.middle


@dataclass(frozen=True)
class Units:
    """`table[id]` is (phone, pitch level, position): i64 [n <= 4096, 3]; ids beyond n are never used."""

    phones: tuple[str, ...]
    is_voiced: tuple[bool, ...]
    grid: Grid
    base_hz: Mapping[str, float]  # by speaker: its median pitch
    table: I64

    @property
    def num_phones(self) -> int:
        return len(self.phones)

    @property
    def num_levels(self) -> int:
        """With the level of unvoiced phones."""
        return self.grid.num_levels + 1

    @property
    def num_positions(self) -> int:
        return max(self.grid.num_positions, self.grid.num_silence_positions)

    @cached_property
    def factors(self) -> I64:
        """(phone, level, position) of all 4,096 ids: i64 [4096, 3]; unused ids are silence."""
        padded = np.zeros((MAX_UNITS, 3), np.int64)
        padded[:, 0] = self.phones.index(SILENCE)
        padded[: len(self.table)] = self.table
        return padded

    def ids(self, phone: I64, level: I64, position: I64) -> I64:
        """The id of each combination, of the nearest one of the same phone where there is none of its own."""
        return self._lookup[phone, level, np.minimum(position, self.num_positions - 1)]

    def encode(self, phones: Sequence[str], positions: I64, pitch_hz: F32, speaker: str) -> I64:
        """Ids of an utterance's tokens. `pitch_hz` f32 [n] is filled in where nothing is voiced."""
        index = self._index
        phone = np.array([index[name] for name in phones], np.int64)
        return self.ids(phone, self.levels(phone, pitch_hz, speaker), positions)

    def knows(self, phones: Iterable[str]) -> bool:
        return self._index.keys() >= set(phones)

    def levels(self, phone: I64, pitch_hz: F32, speaker: str) -> I64:
        """Pitch levels of tokens whose phones are known by index; UNVOICED where a phone has no pitch."""
        return np.where(
            np.array(self.is_voiced)[phone], self.grid.levels(pitch_hz, self.base_hz[speaker]), UNVOICED
        ).astype(np.int64)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.phones)}

    @cached_property
    def _lookup(self) -> I64:
        """i64 [phones, levels, positions]; distance counts a pitch level as much as two positions."""
        lookup = np.zeros((self.num_phones, self.num_levels, self.num_positions), np.int64)
        level, position = np.mgrid[: self.num_levels, : self.num_positions]
        for phone in range(self.num_phones):
            own = np.flatnonzero(self.table[:, 0] == phone)
            if not len(own):
                lookup[phone] = lookup[self.phones.index(SILENCE), UNVOICED, 0]
                continue
            known = self.table[own]
            far = np.abs(level[..., None] - known[:, 1]) * 2.0 + np.abs(position[..., None] - known[:, 2])
            lookup[phone] = own[np.argmin(far, axis=-1)]
        return lookup

    def save(self, folder: Path) -> None:
        content = {
            "phones": self.phones,
            "is_voiced": self.is_voiced,
            "grid": {name: getattr(self.grid, name) for name in Grid.__slots__},
            "base_hz": dict(self.base_hz),
            "table": self.table.tolist(),
        }
        (folder / UNITS_FILE).write_text(json.dumps(content, ensure_ascii=False), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> Units:
        content = json.loads((folder / UNITS_FILE).read_text("utf-8"))
        return cls(
            tuple(content["phones"]),
            tuple(content["is_voiced"]),
            Grid(**content["grid"]),
            content["base_hz"],
            np.array(content["table"], np.int64),
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a choice of units keeps of a corpus."""

    num_combinations: int
    share: float  # of tokens whose combination has an id of its own


def choose_units(
    phones: Sequence[str], is_voiced: Sequence[bool], grid: Grid, base_hz: Mapping[str, float], combinations: I64
) -> tuple[Units, Coverage]:
    """The 4,096 most frequent of the corpus's combinations, i64 [tokens, 3] of (phone, level, position)."""
    seen, counts = np.unique(clip_positions(combinations, phones, grid), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_UNITS]
    kept = seen[np.sort(order)]
    units = Units(tuple(phones), tuple(bool(v) for v in is_voiced), grid, dict(base_hz), kept)
    return units, Coverage(len(seen), float(counts[order].sum() / counts.sum()))


def clip_positions(combinations: I64, phones: Sequence[str], grid: Grid) -> I64:
    is_silence = combinations[:, 0] == list(phones).index(SILENCE)
    last = np.where(is_silence, grid.num_silence_positions, grid.num_positions) - 1
    clipped = combinations.copy()
    clipped[:, 2] = np.minimum(clipped[:, 2], last)
    return clipped

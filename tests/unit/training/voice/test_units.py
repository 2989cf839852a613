from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.training.voice.units import MAX_UNITS, UNVOICED, Grid, Units, choose_units

PHONES = ("a", "s", "sil")
GRID = Grid(pitch_step=2.0, num_levels=5, num_positions=3, num_silence_positions=4, middle=0.0)
BASES = {"someone": 100.0}


def units_of(combinations: list[tuple[int, int, int]]) -> Units:
    return choose_units(PHONES, (True, False, False), GRID, BASES, np.array(combinations))[0]


@pytest.fixture
def units() -> Units:
    return units_of([(0, 2, 0), (0, 3, 0), (0, 3, 1), (1, UNVOICED, 0), (1, UNVOICED, 1), (2, UNVOICED, 0)])


def test_a_level_is_two_semitones_around_the_speakers_base() -> None:
    semitones = np.array([-90.0, -4.0, -2.0, -0.9, 0.0, 0.9, 2.0, 4.0, 90.0])
    levels = GRID.levels((100.0 * 2 ** (semitones / 12)).astype(np.float32), 100.0)
    assert levels.tolist() == [1, 1, 2, 3, 3, 3, 4, 5, 5]


def test_a_level_names_the_pitch_that_it_stands_for() -> None:
    for level in range(1, GRID.num_levels + 1):
        hz = np.array([100.0 * 2 ** (GRID.semitones(level) / 12)], np.float32)
        assert GRID.levels(hz, 100.0)[0] == level


def test_every_kept_combination_has_its_own_id(units: Units) -> None:
    phone, level, position = units.table.T
    assert units.ids(phone, level, position).tolist() == list(range(len(units.table)))


def test_an_unknown_combination_gets_the_nearest_of_its_phone(units: Units) -> None:
    (high,) = units.ids(np.array([0]), np.array([5]), np.array([1]))
    (late,) = units.ids(np.array([1]), np.array([UNVOICED]), np.array([99]))
    assert units.table[high].tolist() == [0, 3, 1]
    assert units.table[late].tolist() == [1, UNVOICED, 1]


def test_an_utterance_keeps_its_phones_and_loses_pitch_where_there_is_none(units: Units) -> None:
    pitch = np.array([100.0, 100.0, 100.0], np.float32)
    ids = units.encode(["sil", "s", "a"], np.zeros(3, np.int64), pitch, "someone")
    assert units.table[ids].tolist() == [[2, UNVOICED, 0], [1, UNVOICED, 0], [0, 3, 0]]


def test_unused_ids_are_silence(units: Units) -> None:
    assert units.factors.shape == (MAX_UNITS, 3)
    assert units.factors[len(units.table) :].tolist() == [[2, 0, 0]] * (MAX_UNITS - len(units.table))


def test_coverage_is_the_share_of_tokens_with_an_id_of_their_own() -> None:
    rng = np.random.default_rng(0)
    many = np.stack([np.arange(8000), rng.integers(1, 5, 8000), rng.integers(0, 3, 8000)], axis=1)
    often = np.repeat(many[:4096], 9, axis=0)
    phones = [*map(str, range(8000)), "sil"]
    units, coverage = choose_units(phones, [True] * 8001, GRID, BASES, np.concatenate([many, often]))
    assert len(units.table) == MAX_UNITS
    assert coverage.num_combinations == 8000
    assert coverage.share == pytest.approx((9 * 4096 + 4096) / (9 * 4096 + 8000))


def test_late_positions_of_a_phone_are_one() -> None:
    units = units_of([(0, 3, 2), (0, 3, 3), (0, 3, 9), (2, UNVOICED, 3), (2, UNVOICED, 9)])
    assert units.table.tolist() == [[0, 3, 2], [2, UNVOICED, 3]]


def test_units_survive_the_disk(units: Units, tmp_path: Path) -> None:
    units.save(tmp_path)
    loaded = Units.open(tmp_path)
    assert loaded.table.tolist() == units.table.tolist()
    assert (loaded.phones, loaded.is_voiced, loaded.grid) == (units.phones, units.is_voiced, units.grid)
    assert loaded.base_hz == units.base_hz


def test_it_is_known_whether_a_phone_was_in_the_corpus(units: Units) -> None:
    assert units.knows(["a", "sil"])
    assert not units.knows(["a", "z"])

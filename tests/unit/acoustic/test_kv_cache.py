"""The KV cache: slots without holes, sequences that move when another one ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.acoustic.kv_cache import KVCache


@pytest.fixture
def cache() -> KVCache:
    """Three sequences of 3, 5 and 2 positions; every position holds its slot and its index."""
    cache = KVCache(num_layers=2, num_slots=4, num_heads=2, num_positions=8, head_dim=4)
    cache.append(np.array([3, 5]))
    cache.append(np.array([2]))
    for buffer in (*cache.keys, *cache.values):
        buffer += 10 * np.arange(4)[:, None, None, None] + np.arange(8)[None, None, :, None]
    return cache


def test_sequences_take_the_next_slots(cache: KVCache) -> None:
    assert cache.num_running == 3
    np.testing.assert_array_equal(cache.lengths, [3, 5, 2])


def test_a_step_adds_one_position_to_every_running_sequence(cache: KVCache) -> None:
    cache.advance()
    np.testing.assert_array_equal(cache.lengths, [4, 6, 3])


def test_the_last_sequence_moves_into_the_hole(cache: KVCache) -> None:
    assert cache.retire(0) == 2
    np.testing.assert_array_equal(cache.lengths, [2, 5])
    for buffer in (*cache.keys, *cache.values):
        np.testing.assert_array_equal(buffer[0, 1, :, 0], [20, 21, 2, 3, 4, 5, 6, 7])  # only what it used is copied
        np.testing.assert_array_equal(buffer[1, 0, :, 0], np.arange(10, 18))


def test_nothing_moves_when_the_last_sequence_ends(cache: KVCache) -> None:
    assert cache.retire(2) is None
    np.testing.assert_array_equal(cache.lengths, [3, 5])


def test_a_freed_slot_is_used_again(cache: KVCache) -> None:
    cache.retire(0)
    cache.append(np.array([7]))
    np.testing.assert_array_equal(cache.lengths, [2, 5, 7])


def test_a_slot_that_does_not_run_cannot_end(cache: KVCache) -> None:
    with pytest.raises(IndexError, match="slot 3 is not running"):
        cache.retire(3)


def test_any_range_of_slots_is_one_piece_of_memory(cache: KVCache) -> None:
    assert all(buffer[1:3].flags.c_contiguous for buffer in (*cache.keys, *cache.values))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells how much memory is committed")
def test_memory_is_committed_only_where_positions_are_written() -> None:
    before = committed_bytes()
    cache = KVCache(num_layers=4, num_slots=8, num_heads=16, num_positions=2048, head_dim=64)
    for buffer in (*cache.keys, *cache.values):
        buffer[:, :, :100] = 1
    reserved = sum(buffer.nbytes for buffer in (*cache.keys, *cache.values))
    assert committed_bytes() - before < 0.1 * reserved


def committed_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))

"""The keys and values of the running sequences, in buffers that the LM's graph reads and writes in place."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.types import I64


class KVCache:
    """Slots 0 .. num_running - 1 hold the running sequences, without holes, so any range of them is one array.

    Memory is committed by the operating system only as positions are written.

    Args:
        dtype: f32, or i8 for keys and values in steps that the graph knows.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_slots: int,
        num_heads: int,
        num_positions: int,
        head_dim: int,
        dtype: DTypeLike = np.float32,
    ) -> None:
        shape = (num_slots, num_heads, num_positions, head_dim)
        self.keys: list[NDArray[Any]] = [_lazy_zeros(shape, dtype) for _ in range(num_layers)]
        self.values: list[NDArray[Any]] = [_lazy_zeros(shape, dtype) for _ in range(num_layers)]
        self.position_size = 2 * num_layers * num_heads * head_dim * np.dtype(dtype).itemsize  # bytes
        self.num_slots = num_slots
        self.num_running = 0
        self._lengths: I64 = np.zeros(num_slots, np.int64)

    @property
    def lengths(self) -> I64:
        """i64 [num_running], positions used in each slot."""
        return self._lengths[: self.num_running]

    def append(self, lengths: I64) -> None:
        """Counts new sequences in, whose keys and values were just written to the next slots."""
        end = self.num_running + len(lengths)
        self._lengths[self.num_running : end] = lengths
        self.num_running = end

    def advance(self) -> None:
        """Counts in one position of every running sequence."""
        self.lengths[:] += 1

    @property
    def spare_slot(self) -> int:
        """The slot that new sequences reach last: one may be written there while others start and end."""
        return self.num_slots - 1

    def adopt_spare(self, length: int) -> None:
        """Counts in the sequence in the spare slot, which moves to the next free one."""
        if self.num_running == self.num_slots:
            raise IndexError(f"all {self.num_slots} slots are running: the spare one is overwritten")
        self._copy(self.spare_slot, self.num_running, length)
        self.append(np.array([length]))

    def retire(self, slot: int) -> int | None:
        """Frees a slot. The last sequence moves into it; returns the slot that it left, None when none had to move."""
        if not 0 <= slot < self.num_running:
            raise IndexError(f"slot {slot} is not running: there are {self.num_running} sequences")
        last = self.num_running - 1
        length = int(self._lengths[last])
        self._copy(last, slot, length)
        self._lengths[slot] = length
        self.num_running = last
        return last if slot != last else None

    def _copy(self, source: int, target: int, length: int) -> None:
        if source != target:
            for buffer in (*self.keys, *self.values):
                buffer[target, :, :length] = buffer[source, :, :length]


def _lazy_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros in pages of their own. numpy's would be huge pages: each head's few first positions would commit 2 MB."""
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(dtype).itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)

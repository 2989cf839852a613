"""Who waits, who runs, and in which slot: the bookkeeping of continuous batching, without threads or a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

S = TypeVar("S")


class Scheduler(Generic[S]):
    """First come, first served. `running[slot]` mirrors the slots of the KV cache, which have no holes.

    Args:
        max_batch_size: slots, the sequences that decode together.
        prefill_batch_size: the most sequences that share one padded prefill.
    """

    def __init__(self, max_batch_size: int, prefill_batch_size: int) -> None:
        self.max_batch_size = max_batch_size
        self.prefill_batch_size = prefill_batch_size
        self.waiting: deque[S] = deque()
        self.running: list[S] = []

    def add(self, sequences: Iterable[S]) -> None:
        self.waiting.extend(sequences)

    def next_group(self) -> list[S]:
        """Takes from the queue what the next prefill starts; empty when no slot is free or nobody waits."""
        num_free = self.max_batch_size - len(self.running)
        size = min(num_free, self.prefill_batch_size, len(self.waiting))
        return [self.waiting.popleft() for _ in range(size)]

    def start(self, group: Iterable[S]) -> None:
        """Gives the sequences the next free slots, in order."""
        self.running.extend(group)

    def retire(self, slot: int) -> S:
        """Frees a slot; the last running sequence moves into the hole."""
        sequence, last = self.running[slot], self.running.pop()
        if slot < len(self.running):
            self.running[slot] = last
        return sequence

    def withdraw(self, is_gone: Callable[[S], bool]) -> list[S]:
        """Takes those out of the queue that no longer want to run."""
        gone = [sequence for sequence in self.waiting if is_gone(sequence)]
        self.waiting = deque(sequence for sequence in self.waiting if sequence not in gone)
        return gone

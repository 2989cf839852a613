"""Who waits, who runs, and in which slot: the bookkeeping of continuous batching, without threads or a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

S = TypeVar("S")


class Scheduler(Generic[S]):
    """First come, first served, but those who continue a stream that is being heard go first.

    `running[slot]` mirrors the slots of the KV cache, which have no holes.

    Args:
        max_batch_size: slots, the sequences that decode together.
        prefill_batch_size: the most sequences that share one padded prefill.
    """

    def __init__(self, max_batch_size: int, prefill_batch_size: int) -> None:
        self.max_batch_size = max_batch_size
        self.prefill_batch_size = prefill_batch_size
        self.running: list[S] = []
        self.begun: S | None = None  # its prefill takes several steps, in which nobody else is started
        self._continuing: list[S] = []
        self._starting: list[S] = []

    @property
    def waiting(self) -> list[S]:
        """In the order in which they get a slot."""
        return self._continuing + self._starting

    def add(self, sequence: S, *, is_continuation: bool = False) -> None:
        (self._continuing if is_continuation else self._starting).append(sequence)

    def next_group(self, fits: Callable[[Sequence[S]], bool]) -> list[S]:
        """Takes from the queue what the next prefill starts; empty when no slot is free or nobody waits.

        Args:
            fits: whether one prefill may take all of these; a single one always gets its turn.
        """
        if self.begun is not None:
            return []
        num_free = self.max_batch_size - len(self.running)
        group = self.waiting[: min(num_free, self.prefill_batch_size)]
        while len(group) > 1 and not fits(group):
            group.pop()
        self.withdraw(lambda sequence: sequence in group)
        return group

    def begin(self, sequence: S) -> None:
        """From here to its start the sequence's prefill is under way; a slot stays free for it."""
        self.begun = sequence

    def start(self, group: Iterable[S]) -> None:
        """Gives the sequences the next free slots, in order."""
        self.running.extend(group)
        self.begun = None

    def retire(self, slot: int) -> S:
        """Frees a slot; the last running sequence moves into the hole."""
        sequence, last = self.running[slot], self.running.pop()
        if slot < len(self.running):
            self.running[slot] = last
        return sequence

    def withdraw(self, is_gone: Callable[[S], bool]) -> int:
        """Takes those out of the queue that no longer wait. Returns how many."""
        num_waiting = len(self.waiting)
        self._continuing = [sequence for sequence in self._continuing if not is_gone(sequence)]
        self._starting = [sequence for sequence in self._starting if not is_gone(sequence)]
        return num_waiting - len(self.waiting)

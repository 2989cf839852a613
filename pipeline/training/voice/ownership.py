"""Words as text symbols, and which of their symbols each spoken phone belongs to."""

from __future__ import annotations

from collections.abc import Sequence

Word = tuple[str, ...]  # text symbols, with their language's prefix
Owners = list[tuple[int, ...]]  # of each phone, the symbols that share it, counted over the whole phrase


def sound(symbol: str) -> str:
    """A text symbol without its language."""
    return symbol.split(":", 1)[1]


def share_out(counts: Sequence[int], num_phones: int) -> Owners | None:
    """Owners by the number of phones of each symbol; one with none shares the first phone of the next symbol."""
    if sum(counts) != num_phones:
        return None
    owners: Owners = []
    waiting: tuple[int, ...] = ()
    for index, count in enumerate(counts):
        if count:
            owners += [(*waiting, index), *[(index,)] * (count - 1)]
        waiting = () if count else (*waiting, index)
    return owners

"""Where the sentences of one language get their words from."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from pipeline.text.inventory import text_symbols
from pipeline.training.voice.ownership import Word

Clause = tuple[str, tuple[Word, ...]]  # text, and its words as text symbols

_DRILL_SHARE = 0.2  # of clauses


@dataclass(frozen=True)
class Source:
    """One language: what may be said in it.

    Args:
        read: words as written -> words as text symbols.
        pick_common, pick_rare: draw one word as written.
        drills: syllables (or words) as text symbols, so that every sound occurs; dealt out like cards.
        glue: what stands between written words.
    """

    language: str
    read: Callable[[list[str]], tuple[Word, ...]]
    pick_common: Callable[[random.Random], str]
    pick_rare: Callable[[random.Random], str]
    drills: Sequence[Word]
    glue: str
    rare_share: float
    _deck: list[Word] = field(default_factory=list)

    def clause(self, rng: random.Random, size: int) -> Clause:
        """About `size` words."""
        if rng.random() < _DRILL_SHARE:
            return self._drill(rng, size)
        pick = [self.pick_rare if rng.random() < self.rare_share else self.pick_common for _ in range(size)]
        written = [choose(rng) for choose in pick]
        return self.glue.join(written), self.read(written)

    def _drill(self, rng: random.Random, size: int) -> Clause:
        words = tuple(self._deal(rng) for _ in range(size))
        return " ".join("".join(symbol.split(":", 1)[1] for symbol in word) for word in words), words

    def _deal(self, rng: random.Random) -> Word:
        if not self._deck:
            self._deck.extend(self.drills)
            rng.shuffle(self._deck)
        return self._deck.pop()


def sayable(words: Sequence[Word]) -> list[Word]:
    known = frozenset(text_symbols())
    return [word for word in words if word and known.issuperset(word)]


def packed_table(name: str, separator: str) -> list[tuple[str, str]]:
    """Words and readings of a packed table of the text frontend."""
    lines = gzip.decompress((files("pipeline.text") / "data" / name).read_bytes()).decode().splitlines()
    rows = (line.partition(separator) for line in lines if not line.startswith("#"))
    return [(word, reading) for word, _, reading in rows]


@lru_cache(maxsize=8)
def common_words(language: str) -> list[str]:
    return (files("pipeline.training.voice") / "data" / f"words_{language}.txt").read_text("utf-8").split()

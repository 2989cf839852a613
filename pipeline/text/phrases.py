"""Readings that need no context: a phrase table (longest match between word boundaries) and one reading per character."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

DATA = files("pipeline.text") / "data"


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found at `start`, with one tone-number syllable per character."""

    start: int
    syllables: tuple[str, ...]

    @property
    def end(self) -> int:
        return self.start + len(self.syllables)


class PhraseTable:
    """Phrases and their syllables; the longest match wins, from left to right."""

    def __init__(self, phrases: Mapping[str, str]) -> None:
        """`phrases` maps a word to its syllables, separated by spaces, one per character."""
        self._phrases = phrases
        self._longest: dict[str, int] = {}
        for phrase in phrases:
            self._longest[phrase[0]] = max(self._longest.get(phrase[0], 0), len(phrase))

    def __len__(self) -> int:
        return len(self._phrases)

    def matches(self, text: str, word_of: list[int]) -> Iterator[Match]:
        """Phrases of `text`. `word_of[i]` numbers the word that character i belongs to.

        A phrase lies inside one word or covers whole words, so that 了解 is not found in 为了|解决.
        """
        start = 0
        while start < len(text):
            match = self._match_at(text, start, word_of)
            if match:
                yield match
            start = match.end if match else start + 1

    def _match_at(self, text: str, start: int, word_of: list[int]) -> Match | None:
        longest = min(self._longest.get(text[start], 0), len(text) - start)
        for length in range(longest, 0, -1):
            syllables = self._phrases.get(text[start : start + length])
            if syllables and _respects_words(word_of, start, start + length):
                return Match(start, tuple(syllables.split()))
        return None


def _respects_words(word_of: list[int], start: int, end: int) -> bool:
    if word_of[start] == word_of[end - 1]:
        return True
    starts_word = start == 0 or word_of[start - 1] != word_of[start]
    ends_word = end == len(word_of) or word_of[end] != word_of[end - 1]
    return starts_word and ends_word


def read_table(path: Traversable) -> dict[str, str]:
    """A file of `key<TAB>value` lines, gzip by its suffix; empty lines and those that begin with # are notes."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


def read_words(path: Traversable) -> frozenset[str]:
    """Words separated by white space; the rest of a line after # is a note."""
    lines = path.read_text("utf-8").splitlines()
    return frozenset(word for line in lines for word in line.partition("#")[0].split())

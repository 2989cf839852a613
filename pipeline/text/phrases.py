"""Readings that need no model: phrase tables (longest match between word boundaries) and rules of context."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from importlib.resources import files
from operator import add
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # since Python 3.11

DATA = files("pipeline.text") / "data"

_TARGET = re.compile("<([\u3400-\u9fff])>")

Syllables = tuple[str | None, ...]  # tone-number syllables, one per character; None leaves it to others


class Match(NamedTuple):
    """A phrase found at `start`."""

    start: int
    syllables: Syllables

    @property
    def end(self) -> int:
        return self.start + len(self.syllables)


class PhraseTable:
    """Phrases and their syllables; the longest match wins, from left to right."""

    def __init__(self, phrases: Mapping[str, str | Syllables]) -> None:
        """`phrases` maps a word to its syllables, one per character; a string separates them by spaces.

        A single character is no phrase.
        """
        self._phrases = phrases
        self._lengths: dict[str, int] = {}  # of those with the same first two characters: bits
        for phrase in phrases:
            if len(phrase) > 1:
                self._lengths[phrase[:2]] = self._lengths.get(phrase[:2], 0) | 1 << len(phrase)
        self._part = _runs_of(self._lengths)

    def matches(self, text: str, word_of: Sequence[int]) -> Iterator[Match]:
        """Phrases of `text`. `word_of[i]` numbers the word that character i belongs to.

        A phrase lies inside one word or covers whole words, so that 了解 is not found in 为了|解决.
        """
        end = 0
        for part in self._part.finditer(text):
            first, chars = part.start(), part.group()
            for start, lengths in enumerate(map(self._lengths.get, map(add, chars, chars[1:])), first):
                if lengths and start >= end and (match := self._match_at(text, start, lengths, word_of)):
                    yield match
                    end = match.end

    def _match_at(self, text: str, start: int, lengths: int, word_of: Sequence[int]) -> Match | None:
        for length in _longest_first(lengths):
            end = start + length
            syllables = self._phrases.get(text[start:end])
            if syllables and end <= len(text) and _respects_words(word_of, start, end):
                return Match(start, _parted(syllables) if isinstance(syllables, str) else syllables)
        return None


def _runs_of(pairs: Iterable[str]) -> re.Pattern[str]:
    """Finds where a pair may stand: runs of hanzi and of what else the pairs have."""
    others = {char for pair in pairs for char in pair if not "\u3400" <= char <= "\u9fff"}
    return re.compile(f"[\u3400-\u9fff{re.escape(''.join(sorted(others)))}]{{2,}}")


@lru_cache(maxsize=1024)
def _longest_first(bits: int) -> tuple[int, ...]:
    return tuple(length for length in range(bits.bit_length(), 1, -1) if bits >> length & 1)


@lru_cache(maxsize=8192)
def _parted(syllables: str) -> tuple[str, ...]:
    return tuple(syllables.split())


def _respects_words(word_of: Sequence[int], start: int, end: int) -> bool:
    if word_of[start] == word_of[end - 1]:
        return True
    starts_word = start == 0 or word_of[start - 1] != word_of[start]
    ends_word = end == len(word_of) or word_of[end] != word_of[end - 1]
    return starts_word and ends_word


class ContextRules:
    """Regular expressions around one character; the first that fits decides its syllable."""

    def __init__(self, lines: Iterable[str]) -> None:
        """`lines`: a syllable, a tab, and an expression with the character between < and >."""
        self._rules: dict[str, list[tuple[str, re.Pattern[str]]]] = defaultdict(list)
        for line in lines:
            syllable, expression = line.split("\t")
            char = _TARGET.findall(expression)[0]
            pattern = re.compile(_TARGET.sub(r"(?P<at>\1)", expression))
            self._rules[char].append((syllable, pattern))

    def syllables(self, text: str, chars: Set[str]) -> dict[int, str]:
        """Position -> syllable of the characters that a rule decides. `chars` are those of the text."""
        found: dict[int, str] = {}
        for char in self._rules.keys() & chars:
            for syllable, pattern in self._rules[char]:
                for match in pattern.finditer(text):
                    found.setdefault(match.start("at"), syllable)
        return found


def read_lines(path: Traversable) -> list[str]:
    """The lines of a text file, gzip by its suffix; empty lines and those that begin with # are notes."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def read_table(path: Traversable) -> dict[str, str]:
    """A file of `key<TAB>value` lines."""
    return dict(line.split("\t") for line in read_lines(path))


def read_words(path: Traversable) -> frozenset[str]:
    """Words separated by white space."""
    return frozenset(word for line in read_lines(path) for word in line.split())


def read_polyphones(path: Traversable) -> dict[str, Syllables]:
    """Lines of a character, its syllable and words in which it is read so."""
    words: dict[str, list[str | None]] = {}
    for line in read_lines(path):
        char, syllable, *examples = line.split()
        for word in examples:
            syllables = words.setdefault(word, [None] * len(word))
            words[word] = [syllable if c == char else s for c, s in zip(word, syllables, strict=True)]
    return {word: tuple(syllables) for word, syllables in words.items()}

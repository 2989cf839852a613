"""How Cantonese is read: the longest words of a dictionary, then single characters, in jyutping."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from operator import add

from pipeline.text.inventory import YUE_INITIALS

DATA_FILE = "cantonese.tsv.gz"
_SYLLABLE = re.compile(rf"({'|'.join(sorted(YUE_INITIALS, key=len, reverse=True))}|)([a-z]+[1-6])")
_UNKNOWN = ""


class Cantonese:
    """Reads text by `words`: word -> jyutping syllables, separated by spaces, one per character."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._lengths: dict[str, int] = {}  # the longest word with the same first two characters
        for word in words:
            self._lengths[word[:2]] = max(len(word), self._lengths.get(word[:2], 0))

    def read(self, text: str) -> list[str]:
        """Jyutping of each character; empty for what the dictionary does not know."""
        syllables = [self._words.get(char, _UNKNOWN) for char in text]
        end = 0
        for start, longest in enumerate(map(self._lengths.get, map(add, text, text[1:]))):
            if longest and start >= end and (reading := self._longest(text, start, longest)):
                end = start + len(reading)
                syllables[start:end] = reading
        return syllables

    def _longest(self, text: str, start: int, longest: int) -> list[str]:
        """Of a word of two or more characters."""
        for length in range(min(longest, len(text) - start), 1, -1):
            if (reading := self._words.get(text[start : start + length])) is not None:
                return reading.split(" ")
        return []


@lru_cache(maxsize=4096)
def jyutping_symbols(syllable: str) -> tuple[str, ...]:
    """Text symbols of a syllable: jat6 -> yue:j yue:at6; hm4 and hng6 are m and ng."""
    base = syllable[1:] if syllable[:-1] in ("hm", "hng") else syllable
    match = None if base[:-1] == "ng" else _SYLLABLE.fullmatch(base)
    return tuple(f"yue:{sound}" for sound in (match.groups() if match else (base,)) if sound)


def symbols(text: str) -> list[str]:
    """Text symbols of Cantonese text; characters without a known reading are left out."""
    return [symbol for syllable in load_cantonese().read(text) if syllable for symbol in jyutping_symbols(syllable)]


@lru_cache(maxsize=1)
def load_cantonese() -> Cantonese:
    """The one of this process."""
    packed = (files("pipeline.text") / "data" / DATA_FILE).read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    return Cantonese(dict(line.split("\t") for line in lines if not line.startswith("#")))

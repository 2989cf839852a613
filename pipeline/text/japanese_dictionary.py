"""A compact Japanese dictionary: words with their sound, part of speech and costs, found by a hash of their letters.

The data is a selection of OpenJTalk's NAIST-jdic; costs and connections are MeCab's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

DATA_FILE = "japanese.npz"
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no letter is lost
_FIRST_KANA = 0x30A0
_MAX_CACHED_ROWS = 512
_SIEVE_BITS = 22  # one place in eleven is taken, so that ten of eleven words that are none need no search
EDGE = 0  # the class of a text's edges
BLANK = " "  # in no word
_64_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a text, in the order of their starts; text[starts[k]:ends[k]] is word entries[k]."""

    starts: NDArray[np.int64]  # [K]
    ends: NDArray[np.int64]  # [K]
    entries: NDArray[np.int64]  # [K]


class JapaneseDictionary:
    """Holds U surfaces and their E entries. `costs_after` gives for a class what it costs after each class.

    Args:
        surfaces: u16 [sum of lengths], code points of all surfaces, one after another.
        lengths, counts: u8 [U], letters and entries of each surface.
        classes: u16 [E], an entry's row of `connection`; a class is a part of speech with its form.
        costs: i16 [E].
        sounds: u8, katakana of all entries less 0x30A0; sound_lengths: u8 [E].
        connection: i16 [C, C], the cost of a class (row) after another (column). Class 0 is an edge of the text.
    """

    def __init__(
        self,
        surfaces: NDArray[np.uint16],
        lengths: NDArray[np.uint8],
        counts: NDArray[np.uint8],
        classes: NDArray[np.uint16],
        costs: NDArray[np.int16],
        sounds: NDArray[np.uint8],
        sound_lengths: NDArray[np.uint8],
        connection: NDArray[np.int16],
    ) -> None:
        hashes = _surface_hashes(surfaces, lengths)
        order = np.argsort(hashes)
        self._hashes = hashes[order]
        self._firsts = (np.cumsum(counts, dtype=np.int32) - counts)[order]
        self._counts = counts[order]
        self._sieve = _sieve_of(hashes)
        self.classes, self.costs = classes, costs
        self.costs_after = lru_cache(_MAX_CACHED_ROWS)(lambda kind: array("h", connection[kind].tobytes()))
        self._views = self._hashes.data, self._firsts.data, self._counts.data
        self._sieve_view, self._class_view, self._cost_view = self._sieve.data, classes.data, costs.data
        self._sounds = (sounds.astype("<u2") + _FIRST_KANA).tobytes().decode("utf-16-le")
        self._sound_ends = np.cumsum(sound_lengths, dtype=np.int32).data
        self._sound_lengths = sound_lengths.data
        self._max_length = int(lengths.max())

    @classmethod
    def load(cls) -> JapaneseDictionary:
        with (files("pipeline.text") / "data" / DATA_FILE).open("rb") as file, np.load(file) as arrays:
            return cls(**arrays)

    def find(self, text: str) -> Words:
        """All words that stand somewhere in the text."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
        num_chars = len(codes)
        hashes = np.zeros((num_chars, min(self._max_length, num_chars)), np.uint64)  # of text[k : k + length + 1]
        for length in range(hashes.shape[1]):
            before = hashes[: num_chars - length, length - 1] if length else np.uint64(0)
            hashes[: num_chars - length, length] = before * _FACTOR + codes[length:]
        starts, lengths = np.nonzero(self._may_be_words(hashes))
        wanted = hashes[starts, lengths]
        places = np.searchsorted(self._hashes, wanted)
        np.minimum(places, len(self._hashes) - 1, out=places)
        is_word = (self._hashes[places] == wanted) & (wanted > 0)
        starts, lengths, rows = starts[is_word], lengths[is_word], places[is_word]
        counts = self._counts[rows].astype(np.int64)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return Words(
            np.repeat(starts, counts),
            np.repeat(starts + lengths + 1, counts),
            np.repeat(self._firsts[rows].astype(np.int64), counts) + within,
        )

    def _may_be_words(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        places = hashes >> np.uint64(64 - _SIEVE_BITS)
        bits: NDArray[np.uint8] = self._sieve[places >> np.uint64(3)] >> (places & np.uint64(7)).astype(np.uint8)
        return bits & np.uint8(1)

    def rows(self, text: str) -> list[tuple[int, int, int, int, int]]:
        """As `find`, for a short text: start, end, entry, class and cost of each word."""
        classes, costs = self._class_view, self._cost_view
        return [
            (start, end, entry, classes[entry], costs[entry])
            for start, end, value in self._likely(text)
            for entry in self._entries(value)
        ]

    def _likely(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Start, end and hash of what the sieve lets through."""
        factor, sieve, shift = int(_FACTOR), self._sieve_view, 64 - _SIEVE_BITS
        for start in range(len(text)):
            value = 0
            for end, char in enumerate(text[start : start + self._max_length], start + 1):
                if char == BLANK:
                    break
                value = (value * factor + ord(char)) & _64_BITS
                place = value >> shift
                if sieve[place >> 3] >> (place & 7) & 1:
                    yield start, end, value

    def _entries(self, value: int) -> range:
        """Those of the surface with this hash."""
        hashes, firsts, counts = self._views
        row = bisect_left(hashes, value)
        is_known = row < len(hashes) and hashes[row] == value
        return range(firsts[row], firsts[row] + counts[row]) if is_known else range(0)

    def sound(self, entry: int) -> str:
        """An entry's katakana, as it is pronounced."""
        end = self._sound_ends[entry]
        return self._sounds[end - self._sound_lengths[entry] : end]


def _sieve_of(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Bits, one for each beginning of a hash that a word has."""
    is_taken = np.zeros(1 << _SIEVE_BITS, np.bool_)
    is_taken[hashes >> np.uint64(64 - _SIEVE_BITS)] = True
    return np.packbits(is_taken, bitorder="little")


def _surface_hashes(surfaces: NDArray[np.uint16], lengths: NDArray[np.uint8]) -> NDArray[np.uint64]:
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    hashes = np.zeros(len(lengths), np.uint64)
    for place in range(int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        hashes[longer] = hashes[longer] * _FACTOR + surfaces[starts[longer] + place]
    return hashes


@lru_cache(maxsize=1)
def load_dictionary() -> JapaneseDictionary:
    """The one of this process."""
    return JapaneseDictionary.load()

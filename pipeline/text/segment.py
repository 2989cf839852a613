"""Chinese word segmentation: the dictionary and cuts of jieba by rjieba, which loads in a fraction of its time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, count, repeat

SINGLE, BEGIN, MIDDLE, END = range(4)  # tags: a character is a word, or begins, continues or ends one
_AS_FIRST = bytes.maketrans(bytes([MIDDLE, END]), bytes([BEGIN, SINGLE]))
_AS_LAST = bytes.maketrans(bytes([BEGIN, MIDDLE]), bytes([SINGLE, END]))
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # which Rust's strings cannot hold


class Segmenter:
    """The words of jieba 0.42 without its hidden Markov model, which guesses words that the dictionary lacks."""

    def __init__(self) -> None:
        import rjieba

        self._cut = rjieba.cut

    def cut(self, sentence: str) -> list[str]:
        """Words in order, together as long as the sentence; half a surrogate pair comes back as a question mark."""
        return self._cut(_HALF_PAIR.sub("?", sentence), False)


@lru_cache(maxsize=1)
def load_segmenter() -> Segmenter:
    """The one of this process: its dictionary takes 33 MB and a tenth of a second."""
    return Segmenter()


def numbers_of(words: Iterable[str]) -> list[int]:
    """For each character, the number of its word."""
    return list(chain.from_iterable(map(repeat, count(), map(len, words))))


def tags_of(words: Iterable[str]) -> bytes:
    """The tag of each character."""
    return b"".join(map(_tags_of_word, map(len, words)))


@lru_cache(maxsize=256)
def _tags_of_word(length: int) -> bytes:
    return bytes([BEGIN, *[MIDDLE] * (length - 2), END]) if length > 1 else bytes([SINGLE] * length)


def tags_between(tags: bytes, start: int, end: int) -> bytes:
    """Of a part; words that it cuts begin and end there."""
    part = tags[start:end]
    part = part[:1].translate(_AS_FIRST) + part[1:]
    return part[:-1] + part[-1:].translate(_AS_LAST)

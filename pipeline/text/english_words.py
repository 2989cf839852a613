"""The dictionary of English words: a sorted table in memory, searched by halving; nothing is unpacked into objects."""

from __future__ import annotations

import gzip

from pipeline.text.phrases import DATA

FILE = "english_words.txt.gz"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
PHONES = (*_CONSONANTS.split(), *(vowel + stress for vowel in _VOWELS.split() for stress in "012"))
_FIRST_CODE = 58  # the 69 phones are the characters : to ~
_PHONE_OF = {chr(_FIRST_CODE + k): phone for k, phone in enumerate(PHONES)}
_CODE_OF = {phone: code for code, phone in _PHONE_OF.items()}


def encode_line(word: str, phones: tuple[str, ...]) -> str:
    """A line of the table: the word, a space, one character for each phone."""
    return f"{word} {''.join(_CODE_OF[phone] for phone in phones)}\n"


class WordTable:
    """`lines` are sorted lines of `encode_line`, in ASCII."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    @staticmethod
    def load() -> WordTable:
        return WordTable(gzip.decompress((DATA / FILE).read_bytes()))

    def get(self, word: str) -> tuple[str, ...] | None:
        """ARPAbet phones of a lower-case word, None for one that the table lacks."""
        if not word.isascii() or " " in word or "\n" in word:
            return None
        key = f"{word} ".encode("ascii")
        line = self._line_from(key)
        return tuple(map(_PHONE_OF.__getitem__, line[len(key) :].decode("ascii"))) if line.startswith(key) else None

    def _line_from(self, key: bytes) -> bytes:
        """The first line that is not before the key."""
        low, high = 0, len(self._lines)
        while low < high:
            start = self._lines.rfind(b"\n", 0, (low + high) // 2) + 1
            end = self._lines.index(b"\n", start)
            if self._lines[start:end] < key:
                low = end + 1
            else:
                high = start
        return self._lines[low : self._lines.find(b"\n", low)]

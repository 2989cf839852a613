"""How the bundled voice reads English: word list, suffixes, compounds, then letter-to-sound contexts.

Pronunciations are strings of phones joined by `_`, a stressed vowel preceded by `'` (primary) or `,` (secondary).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

MAX_SPELLED_LENGTH = 5  # capitals up to this length are read letter by letter
_SUFFIXES = (("s", "z"), ("ed", "d"), ("ing", "I_N"), ("ly", "l_i"))
_MIN_COMPOUND_PART = 3
_CONTEXTS = ((3, 3), (2, 3), (2, 2), (1, 2), (1, 1), (0, 1), (0, 0))  # letters (before, after), longest first
_VOWELS = frozenset("aeiouAEIOUV03@")
_NOT_PHONE = "',-;|*=% "


@dataclass(frozen=True)
class EspeakEnglish:
    """`words` maps lower-case words, and `@` + letter, to pronunciations; `letters` maps contexts to phones."""

    words: Mapping[str, str]
    letters: Mapping[str, str]

    def pronounce(self, word: str) -> str:
        """Phones of one word of ASCII letters and apostrophes; empty when it has none."""
        if word.isupper() and 1 < len(word) <= MAX_SPELLED_LENGTH:
            return self.spell(word)
        word = word.lower()
        for rule in (self.words.get, self._letter, self._possessive, self._suffixed, self._compound):
            if (phones := rule(word)) is not None:
                return phones
        return self._guess(word)

    def spell(self, word: str) -> str:
        names = (self.words.get(f"@{letter}") for letter in word.lower())
        return "_".join(name for name in names if name is not None)

    def _letter(self, word: str) -> str | None:
        return self.words.get(f"@{word}", "") if len(word) == 1 else None

    def _possessive(self, word: str) -> str | None:
        stem = self.words.get(word[:-2]) if word.endswith("'s") else None
        return None if stem is None else f"{stem}_z"

    def _suffixed(self, word: str) -> str | None:
        for suffix, phones in _SUFFIXES:
            if word.endswith(suffix) and (stem := self.words.get(word[: -len(suffix)])) is not None:
                return f"{stem}_{phones}"
        return None

    def _compound(self, word: str) -> str | None:
        """Two known words, the first as long as possible; the second keeps no primary stress."""
        for cut in range(len(word) - _MIN_COMPOUND_PART, _MIN_COMPOUND_PART - 1, -1):
            first, second = self.words.get(word[:cut]), self.words.get(word[cut:])
            if first is not None and second is not None:
                return f"{first}_{second.replace(chr(39), ',')}"
        return None

    def _guess(self, word: str) -> str:
        phones = [phone for index in range(len(word)) for phone in self._sounds(word, index)]
        return "_".join(_stress_once(phones))

    def _sounds(self, word: str, index: int) -> list[str]:
        """Phones of one letter by the longest context that was learned."""
        padded, at = f"###{word}###", index + 3
        for before, after in _CONTEXTS:
            key = f"{padded[at - before : at]}<{padded[at]}>{padded[at + 1 : at + 1 + after]}"
            if (phones := self.letters.get(key)) is not None:
                return [phone for phone in phones.split("_") if phone]
        return []


def _stress_once(phones: list[str]) -> list[str]:
    """Keeps the first primary stress; a word without one gets it on its first full vowel."""
    vowels = [index for index, phone in enumerate(phones) if phone.strip("',")[:1] in _VOWELS]
    stressed = [index for index in vowels if phones[index][0] == "'"]
    for index in stressed[1:]:
        phones[index] = "," + phones[index][1:]
    if vowels and not stressed:
        first = next((index for index in vowels if not phones[index].startswith("@")), vowels[0])
        phones[first] = "'" + phones[first].lstrip(",")
    return phones


def english_symbols(pronunciation: str) -> list[str]:
    """Text symbols of a pronunciation: `h_@_l_'oU` -> en:h en:@0 en:l en:oU1 (vowels carry their stress)."""
    symbols = []
    for part in pronunciation.split("_"):
        stress = "1" if "'" in part else "2" if "," in part else "0"
        if phone := part.strip(_NOT_PHONE):
            symbols.append(f"en:{phone}{stress if phone[0] in _VOWELS else ''}")
    return symbols


@lru_cache(maxsize=1)
def load_espeak_english() -> EspeakEnglish:
    return EspeakEnglish(_read("english_words.json.gz"), _read("english_letters.json.gz"))


def _read(name: str) -> dict[str, str]:
    packed = (files("pipeline.text") / "data" / name).read_bytes()
    table: dict[str, str] = json.loads(gzip.decompress(packed))
    return table

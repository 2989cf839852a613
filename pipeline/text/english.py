"""How English words are read: dictionary, spelling of capitals, endings, compounds, then letter by letter.

Phones are CMUdict's ARPAbet; vowels end in their stress 0, 1 or 2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from pipeline.text.english_endings import BEGINNINGS, ENDINGS, plural
from pipeline.text.english_letters import load_letter_model
from pipeline.text.english_words import WordTable
from pipeline.text.readings import letter_name

Phones = tuple[str, ...]

MAX_SPELLED_LENGTH = 5  # capitals up to this length are read letter by letter unless they are a word
_MAX_CACHED_WORDS = 8192
_MIN_COMPOUND_PART = 4  # shorter parts are rather endings of names: 57 % against 29 % right in CMUdict
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+(?:'[a-z]+)*|\d+")
_VOWEL_LETTERS = frozenset("aeiouy")
_TWO_AND_THREE_LETTERS = (
    "AN AND ANY ARE AS ASK AT BAD BE BIG BOX BOY BUT BUY BY CAN CAR CUT DAD DAY DID DO DOG EAT END FAR FEW FOR FUN GET "
    "GIF GO GOD GOT GUY HAD HAS HE HER HEY HIM HIS HOT HOW IF IN IS JOB LAN LAW LET LOT LOW MAN MAY ME MEN MOM MY NEW "
    "NO NOT NOW OF OFF OH OLD ON ONE OUR OUT OWN PAY PIN PUT RAM RAN RED ROM RUN SAD SAW SAY SEE SHE SIM SIR SIT SIX "
    "SO SUN TEN THE TO TOO TOP TRY TWO UP VAT WAN WAR WAS WAY WE WHY WIN YES YET YOU ZIP"
)
_SHORT_WORDS = frozenset(_TWO_AND_THREE_LETTERS.split())  # capitals of this length are spelled otherwise

_UNDER_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_DECADES = "- - twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL, _TENS = _UNDER_TWENTY.split(), _DECADES.split()
_GROUPS = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))


class English:
    """Args: the table of words; what reads a word of the letters a to z and ' that no rule knows."""

    def __init__(self, words: WordTable, guess: Callable[[str], Phones]) -> None:
        self._words = words
        self._guess = guess
        self.phones = lru_cache(_MAX_CACHED_WORDS)(self._phones)

    def _phones(self, word: str) -> Phones:
        """ARPAbet phones of one token without blanks; empty when nothing in it can be said.

        Capitals count: US is spelled, us is a word; iPhone15 and WebGPU are read in parts.
        """
        word = _plain(word)
        if word.isalpha() and word.isupper() and not self._is_word_in_capitals(word):
            return self.spell(word)
        if (known := self._known(word.lower())) is not None:
            return known
        parts = _PARTS.findall(word)
        if parts == [word] and not word.isdecimal():
            return self._unknown(word.lower())
        return tuple(phone for part in parts for phone in self._part(part))

    def spell(self, word: str) -> Phones:
        """Letter by letter."""
        return tuple(phone for letter in word if letter.isalpha() for phone in letter_name(letter).split())

    def _is_word_in_capitals(self, word: str) -> bool:
        if len(word) <= 3:
            return word in _SHORT_WORDS
        if self._words.get(word.lower()) is not None:
            return True
        return len(word) > MAX_SPELLED_LENGTH and not _VOWEL_LETTERS.isdisjoint(word.lower())

    def _part(self, part: str) -> Phones:
        if part.isdecimal():
            said = number_words(int(part)) if len(part) < 4 and part[0] != "0" else digit_words(part)
            return tuple(phone for word in said.split() for phone in self.phones(word))
        return self.phones(part)

    def _known(self, word: str) -> Phones | None:
        if len(word) == 1 and word.isalpha():
            return self._words.get(word) if word == "a" else self.spell(word)
        for rule in (self._words.get, self._possessive, self._ended, self._begun, self._compound):
            if (phones := rule(word)) is not None:
                return phones
        return None

    def _unknown(self, word: str) -> Phones:
        stem, is_possessive = (word[:-2], True) if word.endswith("'s") else (word, False)
        letters = stem.replace("'", "")
        if _VOWEL_LETTERS.isdisjoint(letters):
            phones = self.spell(letters)
        else:
            phones = self._guess(letters)
        return plural(phones) if is_possessive else phones

    def _possessive(self, word: str) -> Phones | None:
        if word.endswith("'s"):
            stem = self._words.get(word[:-2])
            return None if stem is None else plural(stem)
        return self._words.get(word[:-1]) if word.endswith("s'") else None

    def _ended(self, word: str) -> Phones | None:
        """A known stem with an ending that leaves its stress alone."""
        for ending in ENDINGS:
            for stem in ending.stems(word):
                if (phones := self._words.get(stem)) is not None and (joined := ending.join(phones)) is not None:
                    return joined
        return None

    def _begun(self, word: str) -> Phones | None:
        for letters, phones in BEGINNINGS.items():
            if word.startswith(letters) and len(word) >= len(letters) + _MIN_COMPOUND_PART:
                rest = word[len(letters) :]
                found = self._words.get(rest) or self._ended(rest)
                if found is not None:
                    return phones + found
        return None

    def _compound(self, word: str) -> Phones | None:
        """Two known words, cut where the shorter one is longest; the second keeps no primary stress."""
        cuts = range(_MIN_COMPOUND_PART, len(word) - _MIN_COMPOUND_PART + 1)
        for cut in sorted(cuts, key=lambda cut: abs(len(word) - 2 * cut)):
            first, second = self._words.get(word[:cut]), self._words.get(word[cut:])
            if first is not None and second is not None:
                return first + tuple(phone.replace("1", "2") for phone in second)
        return None


def _plain(word: str) -> str:
    """Without accents, typographic apostrophes and hyphens at the edges."""
    if word.isascii():
        return word.strip("'-")
    decomposed = unicodedata.normalize("NFKD", word.replace("’", "'").replace("ß", "ss"))
    return "".join(char for char in decomposed if char.isascii()).strip("'-")


def number_words(number: int) -> str:
    """English words of 0 to 999,999,999,999."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_SMALL[number % 10]}" if number % 10 else "")
    unit, name = next(group for group in _GROUPS if number >= group[0])
    rest = f" {number_words(number % unit)}" if number % unit else ""
    return f"{number_words(number // unit)} {name}{rest}"


def digit_words(digits: str) -> str:
    return " ".join(_SMALL[int(digit)] for digit in digits)


@lru_cache(maxsize=1)
def load_english() -> English:
    return English(WordTable.load(), lambda word: load_letter_model().read(word))

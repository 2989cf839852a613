"""How Korean is spoken: exceptional words, then the sound changes of the Standard Pronunciation over a whole phrase."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from pipeline.text.hanja import hangul
from pipeline.text.inventory import KO_CODAS, KO_INITIALS, KO_VOWELS
from pipeline.text.korean_rules import INITIALS, VOWELS, Syllable, closed, is_syllable, join, simplify_vowel
from pipeline.text.korean_words import respelled

_MAX_CACHED_SYLLABLES, _MAX_CACHED_PAIRS = 4096, 8192
_PHRASE = re.compile(r"[가-힣](?:\s*[가-힣])*")
_CODA_SYMBOLS = dict(zip("ㄱㄴㄷㄹㅁㅂㅇ", KO_CODAS, strict=True))


@lru_cache(maxsize=4096)
def syllable_symbols(char: str) -> tuple[str, ...]:
    """Text symbols of a syllable as it is pronounced: 동 -> ko:d ko:o ko:ng_."""
    syllable = Syllable.of(char)
    simplify_vowel(syllable)
    closed(syllable)
    initial = KO_INITIALS[INITIALS.index(syllable.initial)]
    vowel = KO_VOWELS[VOWELS.index(syllable.vowel)]
    coda = _CODA_SYMBOLS.get(syllable.coda)
    return *([f"ko:{initial}"] if initial else []), f"ko:{vowel}", *([f"ko:{coda}_"] if coda else [])


def symbols(text: str) -> list[str]:
    """Text symbols of Korean text; hanja are read, what else is no hangul is left out and separates phrases."""
    return [symbol for char in spoken(text) if is_syllable(char) for symbol in syllable_symbols(char)]


def surface(text: str) -> str:
    """Hangul as it is pronounced: 독립문 -> 동님문."""
    return "".join(spoken(text))


def spoken(text: str) -> list[str]:
    """One syllable per hangul syllable or hanja of the text; every other character stands for itself."""
    chars = list(respelled(hangul(text)))
    for phrase in _PHRASE.finditer("".join(chars)):
        _speak(phrase, chars)
    return chars


def _speak(phrase: re.Match[str], chars: list[str]) -> None:
    """Speaks a phrase into `chars`."""
    places = [k for k in range(*phrase.span()) if not chars[k].isspace()]
    spoken = [_simplified(chars[k]) for k in places]
    for i, (k, following) in enumerate(pairwise(places)):
        spoken[i], spoken[i + 1] = _joined(spoken[i], spoken[i + 1], following > k + 1)
    spoken[-1] = _closed(spoken[-1])
    for k, char in zip(places, spoken, strict=True):
        chars[k] = char


@lru_cache(maxsize=_MAX_CACHED_SYLLABLES)
def _simplified(char: str) -> str:
    syllable = Syllable.of(char)
    simplify_vowel(syllable)
    return syllable.char


@lru_cache(maxsize=_MAX_CACHED_PAIRS)
def _joined(left: str, right: str, is_apart: bool) -> tuple[str, str]:
    """The two syllables as they are where one follows the other."""
    before, after = Syllable.of(left), Syllable.of(right, is_apart)
    join(before, after)
    return before.char, after.char


@lru_cache(maxsize=_MAX_CACHED_SYLLABLES)
def _closed(char: str) -> str:
    syllable = Syllable.of(char)
    closed(syllable)
    return syllable.char

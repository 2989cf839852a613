"""How Korean is spoken: exceptional words, then the sound changes of the Standard Pronunciation over a whole phrase."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from pipeline.text.hanja import hangul
from pipeline.text.inventory import KO_CODAS, KO_INITIALS, KO_VOWELS
from pipeline.text.korean_rules import INITIALS, VOWELS, Syllable, closed, is_syllable, join, simplify_vowel
from pipeline.text.korean_words import respelled

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
    phrase: list[Syllable] = []
    places: list[int] = []
    for k, char in enumerate(chars):
        if is_syllable(char):
            is_apart = k > 0 and chars[k - 1].isspace()
            phrase.append(Syllable.of(char, is_apart))
            places.append(k)
        elif not char.isspace():
            _finish(phrase, places, chars)
    _finish(phrase, places, chars)
    return chars


def _finish(phrase: list[Syllable], places: list[int], chars: list[str]) -> None:
    """Speaks the phrase into `chars`, and empties it."""
    for syllable in phrase:
        simplify_vowel(syllable)
    for left, right in pairwise(phrase):
        join(left, right)
    for last in phrase[-1:]:
        closed(last)
    for place, syllable in zip(places, phrase, strict=True):
        chars[place] = syllable.char
    phrase.clear()
    places.clear()

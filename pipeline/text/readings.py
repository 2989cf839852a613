"""Readings that a person writes down, in the writing that each language uses for its sounds.

Mandarin: tone-number syllables (chong2 qing4, chóng qìng). English: ARPAbet phones (HH AH0 L OW1). Japanese: kana as
they are pronounced (トーキョー). Korean: hangul as it is pronounced (동닙). Cantonese: jyutping (yue:jat6).
A reading belongs to one character of a text, or at the first one to a whole word. The empty reading is silent (its
sound is part of the character before); None leaves the choice to the tokenizer.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from importlib.resources import files

from pipeline.text.cantonese import jyutping_symbols
from pipeline.text.inventory import EN_CONSONANTS, EN_VOWELS, text_symbols
from pipeline.text.kana import is_kana, kana_symbols, katakana
from pipeline.text.korean import syllable_symbols
from pipeline.text.korean_rules import is_syllable
from pipeline.text.mandarin import mandarin_symbols

Reading = str | None
JYUTPING = "yue:"

_TONE_MARKS = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_DIAERESIS = "\u0308"


def parse_pinyin(value: str) -> tuple[str, ...]:
    """Syllables with tone numbers (5 is neutral, ü is v), from numbers or tone marks.

    Raises ValueError with the reason for what is no Mandarin syllable.
    """
    syllables = tuple(_syllable(written) for written in value.split())
    if not syllables:
        raise ValueError("no syllable is given")
    return syllables


def _syllable(written: str) -> str:
    plain, tone = _without_tone(written)
    if tone not in ("1", "2", "3", "4", "5"):
        raise ValueError(f"syllable {written!r} has no tone: add a number from 1 to 5, as in hao3")
    base = plain.removesuffix("r") if plain != "er" and plain not in known_syllables() else plain
    if base not in known_syllables():
        raise ValueError(f"{written!r} is no Mandarin syllable")
    return plain + tone


def _without_tone(written: str) -> tuple[str, str]:
    decomposed = unicodedata.normalize("NFD", written.lower().replace("u:", "v"))
    tone = "".join(_TONE_MARKS[char] for char in decomposed if char in _TONE_MARKS)
    plain = "".join(char for char in decomposed if char not in _TONE_MARKS).replace("u" + _DIAERESIS, "v")
    if plain[-1:].isdecimal():
        return plain[:-1], tone + plain[-1]
    return plain, tone


@lru_cache(maxsize=1)
def known_syllables() -> frozenset[str]:
    """The Mandarin syllables without tone, as standard dictionaries list them."""
    return frozenset((files("pipeline.text") / "data" / "pinyin_syllables.txt").read_text("utf-8").split())


def parse_phones(value: str) -> tuple[str, ...]:
    """ARPAbet phones; vowels carry stress 0, 1 or 2 (OW1). Raises ValueError with the reason."""
    phones = tuple(value.upper().split())
    if not phones:
        raise ValueError("no phone is given")
    for phone in phones:
        _check_phone(phone)
    return phones


def _check_phone(phone: str) -> None:
    if phone in EN_CONSONANTS or (phone[:-1] in EN_VOWELS and phone[-1] in "012"):
        return
    if phone in EN_VOWELS:
        raise ValueError(f"vowel {phone} has no stress: write {phone}0, {phone}1 or {phone}2")
    raise ValueError(f"{phone!r} is no ARPAbet phone as in CMUdict")


def parse_sounds(value: str) -> str:
    """A reading in kana, hangul or jyutping, in normal form. Raises ValueError with the reason."""
    written = unicodedata.normalize("NFC", value)
    if is_kana(written):
        return katakana("".join(written.split()))
    if all(map(is_syllable, "".join(written.split()))):
        return "".join(written.split())
    return " ".join(_checked_jyutping(syllable) for syllable in written.lower().split())


def _checked_jyutping(written: str) -> str:
    syllable = written.removeprefix(JYUTPING)
    if not (syllable.isascii() and syllable.isalnum()):
        raise ValueError(f"{written!r} is no kana, no hangul syllable and no jyutping")
    if syllable[-1] not in "123456":
        raise ValueError(f"syllable {written!r} has no tone: add a number from 1 to 6, as in jat6")
    if not set(jyutping_symbols(syllable)) <= set(text_symbols()):
        raise ValueError(f"{written!r} is no Cantonese syllable")
    return JYUTPING + syllable


@lru_cache(maxsize=8192)
def reading_symbols(reading: str) -> tuple[str, ...]:
    """Text symbols of a valid reading, for the phoneme tokenizer."""
    return tuple(symbol for sound in reading.split() for symbol in _sound_symbols(sound))


def _sound_symbols(sound: str) -> tuple[str, ...]:
    if _is_phone(sound):
        return (f"en:{sound}",)
    if sound.startswith(JYUTPING):
        return jyutping_symbols(sound[len(JYUTPING) :])
    if sound.isascii() or sound[0] == "ê":
        return _syllable_symbols(sound)
    if is_syllable(sound[0]):
        return tuple(symbol for char in sound for symbol in syllable_symbols(char))
    return kana_symbols(sound)


def _is_phone(sound: str) -> bool:
    return "A" <= sound[0] <= "Z"


def _syllable_symbols(syllable: str) -> tuple[str, ...]:
    """An erhua syllable (nar3) is its base and a light er: the voice heard no merged ones."""
    base = syllable[:-1]
    if base.endswith("r") and base != "er":
        return *mandarin_symbols(base[:-1] + syllable[-1]), "zh:er5"
    return mandarin_symbols(syllable)


def letter_name(letter: str) -> str:
    """ARPAbet phones of an English letter's name."""
    return _LETTER_NAMES[letter.upper()]


_LETTER_NAMES = {
    "A": "EY1", "B": "B IY1", "C": "S IY1", "D": "D IY1", "E": "IY1", "F": "EH1 F", "G": "JH IY1", "H": "EY1 CH",
    "I": "AY1", "J": "JH EY1", "K": "K EY1", "L": "EH1 L", "M": "EH1 M", "N": "EH1 N", "O": "OW1", "P": "P IY1",
    "Q": "K Y UW1", "R": "AA1 R", "S": "EH1 S", "T": "T IY1", "U": "Y UW1", "V": "V IY1", "W": "D AH1 B AH0 L Y UW2",
    "X": "EH1 K S", "Y": "W AY1", "Z": "Z IY1",
}  # fmt: skip

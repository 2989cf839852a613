"""What SSML's `interpret-as` makes of a text before it is normalized."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.text import english, mandarin

_MAX_CARDINAL_DIGITS = 12
_CARDINALS: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {"zh": mandarin.number_words, "yue": mandarin.number_words, "en": english.number_words}
)


def say_as(text: str, interpretation: str, language: str) -> str:
    """The text to normalize instead, e.g. ("3", "ordinal", "en") -> 3rd."""
    return INTERPRETATIONS[interpretation](text, language)


def _one_by_one(text: str, language: str) -> str:
    return " ".join(text.replace(" ", ""))


def _cardinal(text: str, language: str) -> str:
    digits = text.replace(",", "").replace(" ", "")
    if not (digits.isdecimal() and len(digits) <= _MAX_CARDINAL_DIGITS and language in _CARDINALS):
        return text
    return _CARDINALS[language](int(digits))


def _ordinal(text: str, language: str) -> str:
    if not text.isdecimal():
        return text
    if language == "en":
        return text + _english_ending(int(text))
    return f"{text}번째" if language == "ko" else f"{text}番目" if language == "ja" else f"第{text}"


def _english_ending(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _as_written(text: str, language: str) -> str:
    return text


INTERPRETATIONS: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "characters": _one_by_one,
        "spell-out": _one_by_one,
        "verbatim": _one_by_one,
        "digits": _one_by_one,
        "telephone": _one_by_one,
        "cardinal": _cardinal,
        "number": _cardinal,
        "ordinal": _ordinal,
        "date": _as_written,
        "time": _as_written,
        "currency": _as_written,
        "unit": _as_written,
        "fraction": _as_written,
        "address": _as_written,
    }
)

IS_SPELLED = frozenset(name for name, rewrite in INTERPRETATIONS.items() if rewrite is _one_by_one)

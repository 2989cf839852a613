"""Mandarin syllables as text symbols, and Chinese numerals."""

from __future__ import annotations

from functools import lru_cache

DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")

_SYLLABIC = {**dict.fromkeys(("n", "m", "ng", "hm", "hng"), "en"), "ê": "ei"}
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")


def is_hanzi(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"


@lru_cache(maxsize=4096)
def mandarin_symbols(syllable: str) -> tuple[str, ...]:
    """Text symbols of a syllable: hao3 -> zh:h zh:ao3. A syllabic nasal is read like en, ê like ei."""
    if syllable[:-1] in _SYLLABIC:
        return (f"zh:{_SYLLABIC[syllable[:-1]]}{syllable[-1]}",)
    for initial in _INITIALS:
        if syllable.startswith(initial) and len(syllable) > len(initial) + 1:
            return f"zh:{initial}", f"zh:{syllable[len(initial) :]}"
    return (f"zh:{syllable}",)


def number_words(number: int) -> str:
    """Chinese numeral of 0 to 999,999,999,999."""
    groups: list[int] = []
    while number:
        number, group = divmod(number, 10000)
        groups.append(group)
    words = ""
    for index in reversed(range(len(groups))):
        if group := groups[index]:
            words += ("零" if words and group < 1000 else "") + _group_words(group) + _GROUPS[index]
    return (words[1:] if words.startswith("一十") else words) or DIGITS[0]


def _group_words(group: int) -> str:
    words, has_gap = "", False
    for index, digit in enumerate(reversed(str(group))):
        if digit == "0":
            has_gap = bool(words)
            continue
        words = DIGITS[int(digit)] + _UNITS[index] + ("零" if has_gap and words else "") + words
        has_gap = False
    return words


def digit_words(digits: str) -> str:
    return "".join(DIGITS[int(digit)] for digit in digits)

"""How the bundled voice reads Chinese by itself: pypinyin word by word, then tone sandhi over the whole run.

This is the reading that the voice was trained with; a better one can be handed to the tokenizer instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from pipeline.text.segment import Segmenter, load_segmenter

DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")
_NO_SANDHI_AFTER = frozenset("第十百千零二三四五六七八九")  # 一 keeps its tone in ordinals and numbers
_NO_SANDHI_BEFORE = frozenset("一二三四五六七八九十零月号年点百千万")
_MAX_CACHED_WORDS = 65536
_UNALIGNED = "?"

_SYLLABIC = {**dict.fromkeys(("n", "m", "ng", "hm", "hng"), "en"), "ê": "ei"}
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")


class Mandarin:
    """Reads runs of hanzi. `read_word` gives one word's syllables with tone numbers (neutral 5), before sandhi."""

    def __init__(self, segmenter: Segmenter, read_word: Callable[[str], tuple[str, ...]]) -> None:
        self._segmenter = segmenter
        self._read_word = lru_cache(_MAX_CACHED_WORDS)(read_word)

    def spoken(self, run: str) -> list[str]:
        """Syllables as spoken, e.g. 你好 -> ni2 hao3. Characters without a known reading are left out."""
        chars: list[str] = []
        syllables: list[str] = []
        for word in self._segmenter.cut(run):
            reading = self._read_word(word) if is_hanzi(word[0]) else ()
            syllables += reading
            chars += word if len(word) == len(reading) else _UNALIGNED * len(reading)
        tones = [syllable[-1] for syllable in syllables]
        _apply_sandhi(chars, tones)
        return [syllable[:-1] + tone for syllable, tone in zip(syllables, tones, strict=True)]


def is_hanzi(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"


def _apply_sandhi(chars: list[str], tones: list[str]) -> None:
    """In place: 不 before a fourth tone, 一 before anything, then third tones before a third tone."""
    for k, char in enumerate(chars):
        following = tones[k + 1] if k + 1 < len(tones) else ""
        if char == "不" and following == "4":
            tones[k] = "2"
        elif char == "一" and tones[k] == "1" and _one_changes(chars, k):
            tones[k] = "2" if following == "4" else "4"
    for k in range(len(tones) - 1):
        if tones[k] == tones[k + 1] == "3":
            tones[k] = "2"


def _one_changes(chars: list[str], k: int) -> bool:
    after_number = k > 0 and chars[k - 1] in _NO_SANDHI_AFTER
    return k + 1 < len(chars) and not after_number and chars[k + 1] not in _NO_SANDHI_BEFORE


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


@lru_cache(maxsize=1)
def load_mandarin() -> Mandarin:
    return Mandarin(load_segmenter(), _pypinyin_reading)


def _pypinyin_reading(word: str) -> tuple[str, ...]:
    from pypinyin import Style, lazy_pinyin

    return tuple(lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors="ignore"))

"""Chinese characters in Korean text, as hangul."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from pipeline.text.korean_rules import Syllable, is_syllable

_HANZI = re.compile("[\u3400-\u9fff]")  # as `mandarin.is_hanzi`
_Y_VOWELS = frozenset("ㅑㅕㅖㅛㅠㅣ")


def hangul(text: str) -> str:
    """The text with hanja written as hangul, one for one; a character without a Korean reading stays.

    The initial-sound rule (Hangul Orthography, articles 10 to 12) softens ㄴ and ㄹ at the beginning of a word.
    """
    chars = list(text)
    readings = load_hanja()
    for hanzi in _HANZI.finditer(text):
        k = hanzi.start()
        if reading := readings.get(text[k]):
            chars[k] = _in_place(reading, chars[k - 1] if k else " ", text[k + 1 : k + 2], text[k])
    return "".join(chars)


@lru_cache(maxsize=4096)
def _in_place(reading: str, before: str, after: str, char: str) -> str:
    syllable = Syllable.of(reading)
    if char == "不" and (following := load_hanja().get(after)) and Syllable.of(following).initial in "ㄷㅈ":
        return "부"
    if not is_syllable(before):
        _soften(syllable)
    elif reading in ("률", "렬") and Syllable.of(before).coda in ("", "ㄴ"):  # 比率 is 비율
        syllable.initial = "ㅇ"
    return syllable.char


def _soften(syllable: Syllable) -> None:
    if syllable.initial in "ㄴㄹ" and syllable.vowel in _Y_VOWELS:
        syllable.initial = "ㅇ"
    elif syllable.initial == "ㄹ":
        syllable.initial = "ㄴ"


@lru_cache(maxsize=1)
def load_hanja() -> Mapping[str, str]:
    """Hanja -> its commonest reading."""
    lines = (files("pipeline.text") / "data" / "hanja.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {char: reading for reading, chars in rows for char in chars}

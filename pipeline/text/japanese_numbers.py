"""Japanese numerals with their counters: 三本 is sambon, 八分 happun, 四日 yokka."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_SHORT_BEFORE_K = frozenset("一六八十百")  # these end in ッ there; 百 is ヒャッ or ビャッ
_SHORT_BEFORE_S = frozenset("一八十")
_NASAL = frozenset("三千万何")
_VOICED = dict(zip("カキクケコサシスセソハヒフヘホ", "ガギグゲゴザジズゼゾバビブベボ", strict=True))
_HALF_VOICED = dict(zip("ハヒフヘホ", "パピプペポ", strict=True))
# The numeral's last sound before years, hours, months, persons, days.
_OWN_FORMS = {
    "4": {"四": "ヨ"},
    "h": {"四": "ヨ", "七": "シチ", "九": "ク"},
    "m": {"四": "シ", "七": "シチ", "九": "ク"},
    "n": {"四": "ヨ", "七": "シチ"},
    "d": {"七": "シチ", "九": "ク"},
}
_DIGITS, _UNITS, _THINGS = "〇零一二三四五六七八九", "十百千万億兆", "つ"
# Words that begin like a numeral with a counter.
_WORDS = (
    "八百屋|八百長|三日月|千代|一日中|十分[なにだです]|一番|一人前|二枚目|三枚目|千本|百足|一部|十八番|万歳|万年|千歳|百済"
    "|一品|一箱|一手|一等|一段"
)


@dataclass(frozen=True, slots=True)
class Number:
    """text[start:end] sounds like `sound` in katakana."""

    start: int
    end: int
    sound: str


def numbers(text: str) -> Iterator[Number]:
    """Numerals of two or more characters, and shorter ones with a counter, from left to right."""
    for match in _pattern().finditer(text):
        numeral, counter = match.group("numeral"), match.group("counter") or ""
        if counter or len(numeral) > 1:
            is_after_month = text[match.start() - 1 : match.start()] == "月"
            yield Number(match.start(), match.end(), _sound(numeral, counter, is_after_month))


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    counters = "|".join(sorted((*_counters(), _THINGS), key=len, reverse=True))
    return re.compile(f"(?!{_WORDS})(?P<numeral>[{_DIGITS}{_UNITS}]+|何)(?P<counter>{counters})?")


@lru_cache(maxsize=1)
def _rows() -> Mapping[str, Mapping[str, str]]:
    """Class -> written -> sound."""
    rows: dict[str, dict[str, str]] = {}
    for line in (files("pipeline.text") / "data" / "japanese_counters.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            kind, *items = line.split(" ")
            rows.setdefault(kind, {}).update((written, sound) for written, sound in (item.split(":") for item in items))
    return rows


@lru_cache(maxsize=1)
def _counters() -> Mapping[str, tuple[str, str]]:
    """Counter -> its class, of one letter, and its sound."""
    return {counter: (kind, sound) for kind, row in _rows().items() if len(kind) == 1 for counter, sound in row.items()}


@lru_cache(maxsize=4096)
def _sound(numeral: str, counter: str, is_after_month: bool) -> str:
    if counter == _THINGS:
        return (_rows()["thing"].get(numeral) or _sound(numeral, "", False)) + "ツ"
    kind, counted = _counters().get(counter, ("", ""))
    if (whole := _whole(numeral, kind, counter, is_after_month)) is not None:
        return whole + (counted[2:] if kind in "dn" else "")
    if kind == "4" and 2 <= len(numeral) <= 4 and not any(unit in numeral for unit in _UNITS):
        numeral = _with_units(numeral)  # 一九四五年
    parts: list[str] = []
    for last, char in zip(" " + numeral, numeral, strict=False):
        if char in _UNITS and last != " ":
            _attach(parts, last, *_counters()[char])
        else:
            parts.append(_rows()["digit"].get(char) or _counters()[char][1])
    if counter:
        _attach(parts, numeral[-1], kind, counted)
    return "".join(parts)


def _whole(numeral: str, kind: str, counter: str, is_after_month: bool) -> str | None:
    """A native word for the number and the first two kana of its counter, if that is how it is said."""
    if kind == "d":
        return "ツイタチ" if numeral == "一" and is_after_month else _rows()["day"].get(numeral)
    if kind == "n":
        return _rows()["person"].get(numeral)
    return "ハタチ" if numeral == "二十" and counter in ("歳", "才") else None


def _with_units(digits: str) -> str:
    units = ("千", "百", "十", "")[-len(digits) :]
    pairs = [(digit, unit) for digit, unit in zip(digits, units, strict=True) if digit not in "〇零"]
    return "".join(unit if digit == "一" and unit else digit + unit for digit, unit in pairs) or "〇"


def _attach(parts: list[str], last: str, kind: str, counted: str) -> None:
    """Appends the counter; the last sound of the number, of the numeral `last`, and the counter's first one change."""
    if last in (own := _OWN_FORMS.get(kind, {})):
        parts[-1] = own[last]
    elif (kind in "kvbp" and last in _SHORT_BEFORE_K) or (kind in "sz" and last in _SHORT_BEFORE_S):
        parts[-1] = parts[-1][:-1] + "ッ"
        counted = _HALF_VOICED.get(counted[0], counted[0]) + counted[1:]
    elif kind == "p" and last in (*_NASAL, "四"):
        counted = _HALF_VOICED[counted[0]] + counted[1:]
    elif (kind == "b" and last in _NASAL) or (kind in "vz" and last in "三何"):
        counted = _VOICED[counted[0]] + counted[1:]
    parts.append(counted)

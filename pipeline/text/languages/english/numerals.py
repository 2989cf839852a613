"""English numerals: cardinals, ordinals, years, digit strings, decimals."""

from __future__ import annotations

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
_MAX_CARDINAL_DIGITS = 18


def digits(number: str, zero: str = "zero") -> str:
    return " ".join(zero if char == "0" else _SMALL[int(char)] for char in number if char.isdecimal())


def cardinal(number: str) -> str:
    """A whole number without sign; very long ones digit by digit."""
    number = number.replace(",", "").lstrip("0") or "0"
    if len(number) > _MAX_CARDINAL_DIGITS:
        return digits(number)
    return _count(int(number))


def _count(value: int) -> str:
    if value < 1000:
        return _below_thousand(value)
    parts = []
    for power in range(len(_SCALES) - 1, -1, -1):
        group = value // 1000**power % 1000
        if group:
            parts.append(f"{_below_thousand(group)} {_SCALES[power]}".strip())
    return " ".join(parts)


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    said = [f"{_SMALL[hundreds]} hundred"] if hundreds else []
    if rest or not hundreds:
        said.append(_below_hundred(rest))
    return " ".join(said)


def _below_hundred(value: int) -> str:
    if value < 20:
        return _SMALL[value]
    tens, ones = divmod(value, 10)
    return _TENS[tens] + (f" {_SMALL[ones]}" if ones else "")


def ordinal(number: str) -> str:
    return as_ordinal(cardinal(number))


def as_ordinal(said: str) -> str:
    head, _, last = said.rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{head} {last}".strip()


def plural(said: str) -> str:
    """nineties, sixes, thirds."""
    if said.endswith("y"):
        return said[:-1] + "ies"
    return said + ("es" if said.endswith("x") else "s")


def year(number: str) -> str:
    """Four digits as a year: twenty twenty four, nineteen oh five, two thousand nine."""
    high, low = int(number[:2]), int(number[2:])
    if number[1:3] == "00" or high < 10:
        return cardinal(number)
    if low == 0:
        return f"{_below_hundred(high)} hundred"
    return f"{_below_hundred(high)} {'oh ' if low < 10 else ''}{_below_hundred(low)}"


def pairs(number: str) -> str:
    """Three or four digits of a name: seven forty seven, forty ninety, one oh one."""
    if number.endswith("00") or len(number) < 3 or len(number) > 4 or number[0] == "0":
        return cardinal(number) if len(number) < 5 and number[0] != "0" else digits(number)
    if len(number) == 4:
        return year(number) if not number.startswith("00") else digits(number)
    low = int(number[1:])
    return f"{_SMALL[int(number[0])]} {'oh ' if low < 10 else ''}{_below_hundred(low)}"


def number(text: str) -> str:
    """A number with thousands separators, a decimal part or a sign, as written."""
    text = text.replace(",", "")
    sign = "minus " if text[0] == "-" else ""
    whole, point, fraction = text.lstrip("+-").partition(".")
    said = cardinal(whole) if whole else ""
    return sign + (f"{said} point {digits(fraction)}".strip() if point and fraction else said)

"""Chinese numerals: cardinals with 两, digit strings, telephone digits, decimals."""

from __future__ import annotations

from functools import lru_cache

DIGITS = "零一二三四五六七八九"
_DIGIT_TABLE = str.maketrans("0123456789", DIGITS)
_TELEPHONE_TABLE = str.maketrans("0123456789", "零幺二三四五六七八九")
_MAX_CARDINAL_DIGITS = 16  # beyond 千万亿 nobody counts in words


def digits(number: str) -> str:
    return number.translate(_DIGIT_TABLE)


def telephone(number: str) -> str:
    """Digit by digit with 幺 for one, as telephone, room and flight numbers are read."""
    return "".join(char for char in number if char.isalnum()).translate(_TELEPHONE_TABLE)


def cardinal(number: str) -> str:
    """A whole number without sign; very long ones digit by digit. 2000 is 两千, 22 is 二十二."""
    number = number.lstrip("0") or "0"
    if len(number) > _MAX_CARDINAL_DIGITS:
        return digits(number)
    said = _count(int(number))
    return "两" + said[1:] if said[0] == "二" and said[1:2] in ("千", "万", "亿") else said


def _count(value: int) -> str:
    said = _large(value)
    return said[1:] if said.startswith("一十") else said


def _large(value: int) -> str:
    for unit, name in ((10**8, "亿"), (10**4, "万")):
        if value >= unit:
            high, low = divmod(value, unit)
            gap = "零" if 0 < low < unit // 10 else ""
            return _large(high) + name + (gap + _large(low) if low else "")
    return _below_ten_thousand(value)


def _below_ten_thousand(value: int) -> str:
    said, gap = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit:
            said += ("零" if gap and said else "") + DIGITS[digit] + name
        gap = not digit
    return said or "零"


@lru_cache(maxsize=4096)
def number(text: str) -> str:
    """A number with thousands separators, a decimal part or a sign, as written."""
    text = text.replace(",", "").replace("，", "")
    sign = "负" if text[0] in "-−" else ""
    whole, point, fraction = text.lstrip("+-−").partition(".")
    said = cardinal(whole) if whole else "零"
    if not point or not fraction:
        return sign + said
    if len(whole) < 2:
        said = digits(whole) or "零"
    return f"{sign}{said}点{digits(fraction)}"

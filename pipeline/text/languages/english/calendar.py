"""Dates and times of day in English."""

from __future__ import annotations

import re

from pipeline.text.languages.english.numerals import cardinal, ordinal, plural, year
from pipeline.text.languages.grammar import DIGITS, Match, Rule, after, before

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTH = (
    r"(January|February|March|April|May|June|July|August|September|October|November|December"
    r"|(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?)"
)
_DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "thur": "Thursday",
    "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_FREE = r"(?<![\d.,:/])(?<!\w-)"
_YEAR_BEFORE = re.compile(
    r"\b(?:in|since|by|from|until|till|of|year|before|after|during|late|early|mid|circa|around|to|and|through"
        r"|between|spring|summer|autumn|fall|winter|class|born|est|copyright|©"
    r"|january|february|march|april|may|june|july|august|september|october|november|december)[ -]$", re.I
)  # fmt: skip


def month_name(name: str) -> str:
    return next(full for full in MONTHS if full.startswith(name.rstrip(".")[:3].capitalize()))


def _month_day(match: Match) -> str | None:
    month, day, last_day, year_text = match.groups()
    if not 1 <= int(day) <= 31:
        return None
    until = f" to {ordinal(last_day)}" if last_day else ""
    return f"{month_name(month)} {ordinal(day)}{until}" + (f" {year(year_text)}" if year_text else "")


def _day_month(match: Match) -> str | None:
    day, month, year_text = match.groups()
    if not 1 <= int(day) <= 31:
        return None
    the = "" if before(match, 4).lower().endswith("the ") else "the "
    return f"{the}{ordinal(day)} of {month_name(month)}" + (f" {year(year_text)}" if year_text else "")


def _month_year(match: Match) -> str:
    return f"{month_name(match.group(1))} {year(match.group(2))}"


def _month_alone(match: Match) -> str:
    return month_name(match.group(1))


def _numbers(year_text: str, month: str, day: str) -> str | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    full = year_text if len(year_text) == 4 else ("19" if year_text > "50" else "20") + year_text
    return f"{MONTHS[int(month) - 1]} {ordinal(day)} {year(full)}"


def _iso(match: Match) -> str | None:
    said = _numbers(*match.group(1, 3, 4))
    return said and said + (" " if after(match, 1).isdecimal() else "")


def _american(match: Match) -> str | None:
    month, _, day, year_text = match.groups()
    return _numbers(year_text, month, day) or _numbers(year_text, day, month)


def _short_date(match: Match) -> str | None:
    """5/1 after `on` or the like is a date."""
    month, day = int(match.group(1)), match.group(2)
    if not re.search(r"\b(?:on|by|until|before|since|due) $", before(match, 8)) or not (
        1 <= month <= 12 and 1 <= int(day) <= 31
    ):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}"


def _years(match: Match) -> str:
    first, last = match.groups()
    return f"{year(first)} to {year(last if len(last) == 4 else first[:2] + last)}"


def _decade(match: Match) -> str:
    number = match.group(1)
    if len(number) == 2:
        return plural(cardinal(number))
    if number[2:] == "00":
        return plural(cardinal(number)) if number[1] == "0" else f"{cardinal(number[:2])} hundreds"
    return f"{cardinal(number[:2])} {plural(cardinal(number[2:]))}"


def _year(match: Match) -> str | None:
    number = match.group(1)
    era = match.group(2)
    if not era and not is_year(match):
        return None
    return (year(number) if len(number) == 4 else cardinal(number)) + (
        " " + " ".join(era.replace(".", "").strip()) if era else ""
    )


def is_year(match: Match) -> bool:
    if not "1010" <= match.group(1) <= "2099":
        return False
    if match.group(1) < "1100" and not _YEAR_BEFORE.search(before(match, 12)):
        return False
    if re.match(r" (?:\w+s|people|percent|million|men|women|children)\b(?<!was)(?<!is)(?<!has)", after(match, 24)):
        return False
    return (
        bool(_YEAR_BEFORE.search(before(match, 12)))
        or before(match, 1) in ("(", "'")
        or (match.group(1) >= "1900" and not re.match(r" [a-z]", after(match, 2)))
    )


def _quarter(match: Match) -> str:
    quarter, year_text = match.groups()
    return f"Q {cardinal(quarter)} {year(year_text)}"


def _clock(hour: str, minute: str, half: str | None) -> str:
    if minute == "00":
        if half:
            return cardinal(hour)
        return f"{cardinal(hour)} o'clock" if 1 <= int(hour) <= 12 else f"{cardinal(hour)} hundred"
    return f"{cardinal(hour)} {'oh ' if minute[0] == '0' else ''}{cardinal(minute)}"


def _half(half: str | None) -> str:
    return f" {half[0].lower()} m" if half else ""


def _time(match: Match) -> str | None:
    hour, minute, second, half = match.groups()
    if int(hour) > 24 or re.search(r"\b(?:ratio|odds|scale|score)[ \w]{0,8}$", before(match, 16)):
        return None
    if second:
        return f"{_clock(hour, minute, half)} and {cardinal(second)} second{'' if second == '01' else 's'}{_half(half)}"
    return _clock(hour, minute, half) + _half(half)


def _times(match: Match) -> str | None:
    hour, minute, half, last_hour, last_minute, last_half = match.groups()
    if not (minute or last_minute or half or last_half) or int(hour) > 24 or int(last_hour) > 24:
        return None
    first = (_clock(hour, minute, half or last_half) if minute else cardinal(hour)) + _half(half)
    last = (_clock(last_hour, last_minute, last_half) if last_minute else cardinal(last_hour)) + _half(last_half)
    return f"{first} to {last}"


def _hour(match: Match) -> str | None:
    hour, half = match.groups()
    return cardinal(hour) + _half(half) if 1 <= int(hour) <= 12 else None


def _day_name(match: Match) -> str:
    return _DAYS[match.group(1).lower()]


_HALF = r"(?:\s?([AaPp])\.?\s?[Mm](?![A-Za-z])\.?)"
RULES = (
    Rule(
        "JFMASOND",
        rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?(?:\s?-\s?(\d{{1,2}})(?:st|nd|rd|th)?)?(?![\d:])(?:,? (?:of )"
        rf"?(\d{{4}})(?![\d,]))?",
        _month_day,
    ),
    Rule("JFMASOND", rf"\b{_MONTH},? (\d{{4}})(?![\d,])", _month_year),
    Rule("JFMASOND", r"\b((?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\.)(?=\s|$|,)", _month_alone),
    Rule("MTWFS", r"\b(Mon|Tues?|Wed|Thurs?|Thu|Fri|Sat|Sun)\.(?=\s|,|$)", _day_name),
    Rule("Q", r"\bQ([1-4]) ((?:19|20)\d\d)\b", _quarter),
    Rule(
        DIGITS, rf"{_FREE}(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}(?![a-z])(?:,? (\d{{4}})(?![\d,]))?", _day_month
    ),
    Rule(DIGITS, rf"{_FREE}([12]\d{{3}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?![\d/-]|\.\d)T?", _iso),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}})([/-])(\d{{1,2}})\2((?:19|20)?\d\d)(?![\d/-])", _american),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}})/(\d{{1,2}})(?![\d/])", _short_date),
    Rule(DIGITS, rf"{_FREE}([12]\d{{3}})\s?(?:-|to|—)\s?((?:[12]\d)?\d\d)(?![\d,.%-])(?!\w)", _years),
    Rule(DIGITS + "'", r"(?<![\d.,:/\w])'?(\d{2}0|\d0)'?s\b(?<=\d0s|0's)", _decade),
    Rule(DIGITS + "'", r"(?<![\d.,:/\w])'?([12]\d[0-9]0|[1-9]0)'?s\b", _decade),
    Rule(DIGITS, rf"{_FREE}(\d{{1,4}})( ?(?:BC|AD|BCE|CE|B\.C\.|A\.D\.))(?![A-Za-z])", _year),
    Rule(DIGITS, rf"{_FREE}(\d{{4}})()(?![\d,:/%°-]\d|\.\d|\w|\s?[%°])", _year),
    Rule(
        DIGITS,
        rf"{_FREE}(\d{{1,2}})(?::([0-5]\d))?{_HALF}?\s?(?:-|—|to)\s?(\d{{1,2}})(?::([0-5]\d))?{_HALF}?(?![\d:\w])",
        _times,
    ),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}}):([0-5]\d)(?::([0-5]\d))?(?![\d:]){_HALF}?", _time),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}}){_HALF}", _hour),
)

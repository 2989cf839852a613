"""Ways of writing that only English has, or that mean something else there: WWII, 5 sq ft, 401(k)."""

from __future__ import annotations

import re

from pipeline.text.languages.english.numerals import cardinal, digits, number
from pipeline.text.languages.english.quantities import NUMBER
from pipeline.text.languages.grammar import DIGITS, Match, Rule, after, before, constant
from pipeline.text.languages.units import UNIT

_FREE = r"(?<![\d.])"
_SQUARE = {
    "ft": "feet",
    "feet": "feet",
    "m": "meters",
    "mi": "miles",
    "km": "kilometers",
    "in": "inches",
    "yd": "yards",
}
_LARGE = {"M": "million", "B": "billion", "K": "thousand"}
_MANY = (
    "people|users|views|viewers|downloads|customers|subscribers|followers|records|rows|tokens|years|visitors|members"
)


def _world_war(match: Match) -> str:
    return f"World War {'Two' if match.group(1) in ('II', '2') else 'One'}"


def _parts(match: Match) -> str:
    return " ".join(digits(part) for part in match.group().split("-"))


def _percents(match: Match) -> str:
    first, second = match.groups()
    return f"{number(first)} percent to {number(second)} percent"


def _many(match: Match) -> str:
    return f"{number(match.group(1))} {_LARGE[match.group(2)]}"


def _square(match: Match) -> str:
    return f"{number(match.group(1))} square {_SQUARE[match.group(2)]}"


def _by(match: Match) -> str | None:
    """5 cm x 3 cm and 10 x 12, but not 3 × 4 = 12."""
    is_measured = re.search(r"\d ?(?:mm|cm|m|km|in|ft|px|inches|feet)$", before(match, 8))
    is_size = match.group() == " x " and before(match, 1).isdecimal() and not re.match(r"[\d.]+\s?=", after(match, 12))
    return " by " if is_measured or is_size else None


def _between_measures(match: Match) -> str | None:
    """20°C-25°C."""
    is_range = re.search(rf"\d ?{UNIT}$", before(match, 10)) and re.match(
        rf"[\d.,]{{1,9}} ?{UNIT}(?![A-Za-z])", after(match, 14)
    )
    return " to " if is_range else None


def _blood_pressure(match: Match) -> str:
    return f"{cardinal(match.group(1))} over {cardinal(match.group(2))} millimeters of mercury"


def _number_sign(match: Match) -> str:
    return f"number {cardinal(match.group(1))}"


RULES = (
    Rule("W", r"(?<![A-Za-z])WW(II|I|2|1)(?![A-Za-z0-9])", _world_war),
    Rule(DIGITS, r"(?<![\d.])401\(k\)", constant("four oh one k")),
    Rule(DIGITS, r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", _parts),
    Rule(DIGITS, rf"{_FREE}({NUMBER})%\s?[-~—]\s?({NUMBER})%", _percents),
    Rule(DIGITS, rf"{_FREE}({NUMBER})([MBK])(?= (?:{_MANY})\b)", _many),
    Rule(DIGITS, rf"{_FREE}({NUMBER})\s?sq\.?\s?(ft|feet|mi|m|km|in|yd)(?![A-Za-z])\.?", _square),
    Rule(DIGITS, rf"{_FREE}(\d{{2,3}})/(\d{{2,3}})\s?(?:mmHg|mmhg|mm Hg)(?![A-Za-z])", _blood_pressure),
    Rule("-", r"(?<=\d(?:st|nd|rd|th))-(?=\d{1,3}(?:st|nd|rd|th))|(?<=\d0s)-(?='?\d{2,4}s)", constant(" to ")),
    Rule("nmNM", r"(?<![A-Za-z])([Nn]oon|[Mm]idnight)-(?=\d)", lambda match: f"{match.group(1)} to "),
    Rule(" ", r" [xX×] (?=\d)", _by),
    Rule(" -~—", r" ?[-~—] ?(?=\d)", _between_measures),
    Rule("n", r"(?<![A-Za-z])no\. ?(\d{1,6})(?!\d)", _number_sign),
)

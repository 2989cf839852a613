"""Cantonese: Chinese number rules, with Cantonese words and traditional characters in what is added."""

from __future__ import annotations

from functools import cache, lru_cache

from pipeline.text.languages import zh
from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.grammar import DIGITS, Grammar, Match, Rule, after
from pipeline.text.languages.han.numerals import digits
from pipeline.text.languages.han.quantities import NUMBER, money_amount
from pipeline.text.languages.han.traditional import traditional

_WORDS = {"幺": "一", "艾特": " at ", "英鎊": "英鎊", "新臺幣": "新台幣", "等于": "等於"}


@lru_cache(maxsize=4096)
def _respell(reading: str) -> str:
    reading = traditional(reading)
    for written, said in _WORDS.items():
        reading = reading.replace(written, said)
    return reading


def _hong_kong_phone(match: Match) -> str:
    return digits(match.group().replace(" ", "").replace("-", ""))


def _dollars(match: Match) -> str | None:
    """A bare $ is the local dollar, 蚊."""
    value, multiple = match.groups()
    if after(match, 1) in ("元", "蚊", "美"):
        return money_amount(value, multiple, is_counted=True)
    return money_amount(value, multiple, is_counted=True) + "蚊"


RULES = (
    Rule(DIGITS, r"(?<![\d.,$-])[2-9]\d{3}[ -]\d{4}(?![\d-])", _hong_kong_phone),
    Rule("$", rf"\$\s?({NUMBER})(百萬|千萬|[萬億千百kKM](?![A-Za-z]))?(?!\s?[-~]\s?\d)", _dollars),
)


@cache
def grammar() -> Grammar:
    return Grammar((*RULES, *zh.RULES), _respell)


def say(text: str) -> str:
    """Text whose numbers, units and marks are Cantonese words; Latin words stay as they are."""
    return zh.without_gaps(clean(grammar().say(text)))

"""Mandarin: what is written, as it is said."""

from __future__ import annotations

import re
from functools import cache

from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.grammar import Grammar
from pipeline.text.languages.han import calendar, codes, quantities, symbols

_BLANKS = re.compile(r" {2,}|(?<=[\u4e00-\u9fff，。！？；：、]) +(?=[\u4e00-\u9fff，。！？；：、])")


@cache
def grammar() -> Grammar:
    return Grammar(
        (
            *symbols.LIST_RULES,
            *symbols.ADDRESS_RULES,
            *quantities.MONEY_RULES,
            *calendar.RULES,
            *codes.RULES,
            *quantities.RULES,
            *codes.FALLBACK_RULES,
            *symbols.RULES,
            *codes.NAME_RULES,
            *symbols.WORD_RULES,
        )
    )


def say(text: str) -> str:
    """Text whose numbers, units and marks are Chinese words; Latin words stay as they are."""
    return _BLANKS.sub(_one_or_none, clean(grammar().say(text))).strip()


def _one_or_none(match: re.Match[str]) -> str:
    around = match.string[match.start() - 1 : match.start()] + match.string[match.end() : match.end() + 1]
    return " " if any("!" <= char <= "~" for char in around) else ""

"""Mandarin: what is written, as it is said."""

from __future__ import annotations

import re
from functools import cache

from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.grammar import Grammar
from pipeline.text.languages.han import calendar, codes, notation, quantities, symbols
from pipeline.text.languages.han.traditional import is_traditional, traditional

RULES = (
    *symbols.LIST_RULES,
    *symbols.ADDRESS_RULES,
    *notation.RULES,
    *quantities.MONEY_RULES,
    *calendar.RULES,
    *codes.RULES,
    *quantities.RULES,
    *codes.FALLBACK_RULES,
    *symbols.RULES,
    *codes.NAME_RULES,
    *symbols.WORD_RULES,
)
_BLANKS = re.compile(r" +(?=[，。！？；：、,.!?;:）)]|$)|(?<=[，。！？；：、（(]) +| {2,}")


@cache
def grammar(is_traditional: bool = False) -> Grammar:
    return Grammar(RULES, traditional if is_traditional else None)


def say(text: str) -> str:
    """Text whose numbers, units and marks are Chinese words; Latin words stay as they are."""
    return without_gaps(clean(grammar(is_traditional(text)).say(text)))


def without_gaps(text: str) -> str:
    """Without blanks beside punctuation, and single ones elsewhere."""
    return _BLANKS.sub(_one_or_none, text).strip() if " " in text else text.strip()


def _one_or_none(match: re.Match[str]) -> str:
    beside_mark = (
        match.string[match.end() : match.end() + 1] in "，。！？；：、,.!?;:）)"
        or match.string[match.start() - 1] in "，。！？；：、（("
    )
    return "" if beside_mark else " "

"""English: what is written, as it is said."""

from __future__ import annotations

import re
from functools import cache

from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.english import calendar, notation, quantities, words
from pipeline.text.languages.grammar import Grammar

_BLANKS = re.compile(r" {2,}")
_BLANK_BEFORE_MARK = re.compile(r" (?=[.,!?;:)\]}]|$)")


@cache
def grammar() -> Grammar:
    return Grammar(
        (
            *words.LIST_RULES,
            *words.ADDRESS_RULES,
            *notation.RULES,
            *calendar.RULES,
            *words.RULES[:9],
            *quantities.RULES,
            *words.RULES[9:],
            *quantities.NAME_RULES,
            *words.WORD_RULES,
        )
    )


def say(text: str) -> str:
    """Text whose numbers, units, abbreviations and signs are English words."""
    said = clean(grammar().say(text))
    return _BLANK_BEFORE_MARK.sub("", _BLANKS.sub(" ", said)).strip() if " " in said else said.strip()

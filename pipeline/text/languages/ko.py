"""Mandarin: what is written, as it is said."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from pipeline.text.languages.grammar import Grammar
from pipeline.text.languages.han import calendar, codes, quantities, symbols

_SUSPECT = re.compile(r"[^\w\s，。！？；：、…—“”‘’「」『』《》〈〉（）【】·.,!?;:'\"()-]|_")
_GAP = re.compile(r"(?<=[\u4e00-\u9fff，。！？；：、]) (?=[\u4e00-\u9fff，。！？；：、])")


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
    return clean(grammar().say(text))


def clean(text: str) -> str:
    """Drops marks nobody says, and the blanks between Chinese words that they leave."""
    return _GAP.sub("", _SUSPECT.sub(lambda match: _spoken_or_blank(match.group()), text)).strip()


@lru_cache(maxsize=4096)
def _spoken_or_blank(char: str) -> str:
    return char if unicodedata.category(char)[0] in "LMNP" and char not in "_*#@\\|^" else " "

"""Drops marks that nobody says, after the rules of a language had their turn."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SUSPECT = re.compile(r"[²³¹⁰⁴-₉½¼¾⅐-⅟]|[^\w\s，。！？；：、…—“”‘’「」『』《》〈〉（）【】·・.,!?;:'\"()-]|_")


def clean(text: str) -> str:
    """Letters, digits, punctuation and blanks of `text`; what else there is becomes a blank."""
    return _SUSPECT.sub(lambda match: _kept(match.group()), text)


@lru_cache(maxsize=4096)
def _kept(char: str) -> str:
    category = unicodedata.category(char)
    return char if (category[0] in "LM" or category == "Nd") else " "

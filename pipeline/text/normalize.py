"""Written text to spoken text: every number, unit, sign and address as words of its language."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from pipeline.errors import InvalidRequest
from pipeline.text.languages.fold import fold

# A language is a module with `say(text) -> str`, imported on first use.
LANGUAGES: dict[str, str] = {
    "zh": "pipeline.text.languages.zh",
    "en": "pipeline.text.languages.en",
    "ja": "pipeline.text.languages.ja",
    "ko": "pipeline.text.languages.ko",
    "yue": "pipeline.text.languages.yue",
}


def normalize(text: str, language: str) -> str:
    """`text` as a native speaker of `language` (zh, en, ja, ko, yue) reads it. Takes any string.

    Raises InvalidRequest for a language that is not registered.
    """
    return _say(language)(fold(text))


@cache
def _say(language: str) -> Callable[[str], str]:
    try:
        module = import_module(LANGUAGES[language])
    except KeyError:
        raise InvalidRequest(f"no text rules for language {language!r}; use one of {', '.join(LANGUAGES)}") from None
    say: Callable[[str], str] = module.say
    return say

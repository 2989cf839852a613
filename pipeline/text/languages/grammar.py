"""One left-to-right pass over a text with ordered rules, chosen by the character a match starts with.

Every rule is tried at one position only, and patterns bound their repetitions, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Match = re.Match[str]
Read = Callable[[Match], "str | None"]

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Rule:
    """How to say what `pattern` matches. `starts` are the characters a match can start with; None declines."""

    starts: str
    pattern: str
    read: Read


class Grammar:
    """Rewrites what its rules match and leaves the rest; earlier rules win.

    `respell` is applied to what rules say, not to the text around it.
    """

    def __init__(self, rules: Iterable[Rule], respell: Callable[[str], str] | None = None) -> None:
        self._respell = respell
        self._rules: dict[str, list[tuple[Callable[..., Match | None], Read]]] = {}
        for rule in rules:
            entry = re.compile(rule.pattern).match, rule.read
            for char in rule.starts:
                self._rules.setdefault(char, []).append(entry)
        self._trigger = re.compile("[" + re.escape("".join(self._rules)) + "]")

    def say(self, text: str) -> str:
        said: list[str] = []
        position = 0
        while (trigger := self._trigger.search(text, position)) is not None:
            start = trigger.start()
            said.append(text[position:start])
            reading, position = self._read(text, start)
            said.append(reading)
        said.append(text[position:])
        return "".join(said)

    def _read(self, text: str, start: int) -> tuple[str, int]:
        for match_at, read in self._rules[text[start]]:
            match = match_at(text, start)
            if match is not None and (reading := read(match)) is not None:
                return self._respell(reading) if self._respell else reading, match.end()
        return text[start], start + 1


def before(match: Match, length: int) -> str:
    """Up to `length` characters in front of a match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: Match, length: int) -> str:
    """Up to `length` characters behind a match."""
    return match.string[match.end() : match.end() + length]


def constant(reading: str) -> Read:
    return lambda match: reading

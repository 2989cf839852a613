"""One left-to-right pass over a text with ordered rules, chosen by the character a match starts with.

Every rule is tried at one position only, and patterns bound their repetitions, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.text.languages.required import required

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
        by_start: dict[str, list[_Entry]] = {}
        for rule in rules:
            entry = _Entry(re.compile(rule.pattern).match, rule.read, required(rule.pattern))
            for char in rule.starts:
                by_start.setdefault(char, []).append(entry)
        self._rules = _with_equal_ones_shared(by_start)
        self._trigger = re.compile("[" + re.escape("".join(self._rules)) + "]")

    def say(self, text: str) -> str:
        said: list[str] = []
        position = 0
        chars = frozenset(text)
        tried: dict[int, list[_Entry]] = {}  # of each list of rules, those that this text may match
        while (trigger := self._trigger.search(text, position)) is not None:
            start = trigger.start()
            said.append(text[position:start])
            rules = self._rules[text[start]]
            if (possible := tried.get(id(rules))) is None:
                possible = [rule for rule in rules if rule.needs is None or not rule.needs.isdisjoint(chars)]
                tried[id(rules)] = possible
            reading, position = self._read(text, start, possible)
            said.append(reading)
        said.append(text[position:])
        return "".join(said)

    def _read(self, text: str, start: int, rules: Iterable[_Entry]) -> tuple[str, int]:
        for rule in rules:
            match = rule.match_at(text, start)
            if match is not None and (reading := rule.read(match)) is not None:
                return self._respell(reading) if self._respell else reading, match.end()
        return text[start], start + 1


@dataclass(frozen=True, slots=True)
class _Entry:
    """A rule ready to be tried. `needs` are characters of which a matching text has at least one, None any text."""

    match_at: Callable[..., Match | None]
    read: Read
    needs: frozenset[str] | None


def _with_equal_ones_shared(lists: Mapping[str, list[_Entry]]) -> dict[str, list[_Entry]]:
    shared: dict[tuple[int, ...], list[_Entry]] = {}
    return {char: shared.setdefault(tuple(map(id, rules)), rules) for char, rules in lists.items()}


def before(match: Match, length: int) -> str:
    """Up to `length` characters in front of a match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: Match, length: int) -> str:
    """Up to `length` characters behind a match."""
    return match.string[match.end() : match.end() + length]


def constant(reading: str) -> Read:
    return lambda match: reading

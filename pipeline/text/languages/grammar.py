"""One left-to-right pass over a text with ordered rules, chosen by the character a match starts with.

Every rule is tried at one position only, and patterns bound their repetitions, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.text.languages.required import leading_digits, required

Match = re.Match[str]
Read = Callable[[Match], "str | None"]

DIGITS = "0123456789"
_DIGIT_RUN = re.compile(r"\d{1,41}")  # no rule needs more
_ANY = -1  # whatever the number of digits
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
            entry = _Entry(
                re.compile(rule.pattern).match, rule.read, required(rule.pattern), leading_digits(rule.pattern)
            )
            for char in rule.starts:
                by_start.setdefault(char, []).append(entry)
        self._rules = _with_equal_ones_shared(by_start)
        self._trigger = re.compile("[" + re.escape("".join(self._rules)) + "]")

    def say(self, text: str) -> str:
        said: list[str] = []
        position = 0
        possible = _Possible(self._rules, text)
        while (trigger := self._trigger.search(text, position)) is not None:
            start = trigger.start()
            said.append(text[position:start])
            reading, position = self._read(text, start, possible.at(start))
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
    num_digits: int  # in a row that a match begins with, at least


class _Possible:
    """Of the rules for each character, those that may match in a text."""

    def __init__(self, rules: Mapping[str, list[_Entry]], text: str) -> None:
        self._rules = rules
        self._text = text
        self._chars = frozenset(text)
        self._found: dict[tuple[int, int], list[_Entry]] = {}

    def at(self, start: int) -> list[_Entry]:
        rules = self._rules[self._text[start]]
        run = _DIGIT_RUN.match(self._text, start)
        num_digits = run.end() - start if run else 0
        found = self._found.get((id(rules), num_digits))
        if found is None:
            found = [rule for rule in self._of_text(rules) if rule.num_digits <= num_digits]
            self._found[id(rules), num_digits] = found
        return found

    def _of_text(self, rules: list[_Entry]) -> list[_Entry]:
        found = self._found.get((id(rules), _ANY))
        if found is None:
            found = [rule for rule in rules if rule.needs is None or not rule.needs.isdisjoint(self._chars)]
            self._found[id(rules), _ANY] = found
        return found


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

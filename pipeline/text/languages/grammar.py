"""One left-to-right pass over a text with ordered rules, chosen by the character a match starts with.

Every rule is tried at one position only, and patterns bound their repetitions, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.text.languages.required import leading_digits, required

Match = re.Match[str]
Read = Callable[[Match], "str | None"]

DIGITS = "0123456789"
_DIGIT_RUN = re.compile(r"\d{1,41}")  # no rule needs more
_MAX_CACHED_CHOICES = 512
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
        chars = frozenset(text)
        useful: dict[_Rules, int] = {}
        while (trigger := self._trigger.search(text, position)) is not None:
            start = trigger.start()
            said.append(text[position:start])
            rules = self._rules[text[start]]
            if rules not in useful:
                useful[rules] = rules.useful_for(chars)
            run = _DIGIT_RUN.match(text, start)
            possible = rules.chosen(useful[rules], run.end() - start if run else 0)
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
    num_digits: int  # in a row that a match begins with, at least


class _Rules:
    """The rules that a character can start, in order. A set of them is an integer with their bits."""

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self.entries = entries
        self._always = 0
        self._with: dict[str, int] = {}
        for k, entry in enumerate(entries):
            if entry.needs is None:
                self._always |= 1 << k
            for char in entry.needs or ():
                self._with[char] = self._with.get(char, 0) | 1 << k
        self.chosen = lru_cache(_MAX_CACHED_CHOICES)(self._chosen)

    def useful_for(self, chars: Iterable[str]) -> int:
        """Those that may match in a text of these characters."""
        bits = self._always
        for char in chars:
            bits |= self._with.get(char, 0)
        return bits

    def _chosen(self, bits: int, num_digits: int) -> list[_Entry]:
        """Those of a set that may match where so many digits follow each other."""
        return [rule for k, rule in enumerate(self.entries) if bits >> k & 1 and rule.num_digits <= num_digits]


def _with_equal_ones_shared(lists: Mapping[str, list[_Entry]]) -> dict[str, _Rules]:
    distinct = {tuple(map(id, entries)): entries for entries in lists.values()}
    shared = {key: _Rules(entries) for key, entries in distinct.items()}
    return {char: shared[tuple(map(id, entries))] for char, entries in lists.items()}


def before(match: Match, length: int) -> str:
    """Up to `length` characters in front of a match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: Match, length: int) -> str:
    """Up to `length` characters behind a match."""
    return match.string[match.end() : match.end() + length]


def constant(reading: str) -> Read:
    return lambda match: reading

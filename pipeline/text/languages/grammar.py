"""One left-to-right pass over a text with ordered rules, chosen by the character a match starts with.

Every rule is tried at one position only, and patterns bound their repetitions, so that the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_

from pipeline.text.languages.required import leading_digits, required

Match = re.Match[str]
Read = Callable[[Match], "str | None"]
_Entry = tuple[Callable[..., "Match | None"], Read]

DIGITS = "0123456789"
_DIGIT_RUN = re.compile(r"\d{1,41}")  # no rule needs more
_MAX_CACHED_CHOICES, _MAX_CACHED_CHARACTERS = 4096, 8192
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
        self.rules = rules = tuple(rules)
        self._respell = respell
        self._entries = [(re.compile(rule.pattern).match, rule.read) for rule in rules]
        self._by_start: dict[str, int] = {}
        for k, rule in enumerate(rules):
            for char in rule.starts:
                self._by_start[char] = self._by_start.get(char, 0) | 1 << k
        self._needs = _Needs([required(rule.pattern) for rule in rules])
        digits = [leading_digits(rule.pattern) for rule in rules]
        self._after_digits = [
            _bits(count <= length for count in digits) for length in range(max(digits, default=0) + 1)
        ]
        self._trigger = re.compile("[" + re.escape("".join(self._by_start)) + "]")
        self._rules_of = lru_cache(_MAX_CACHED_CHOICES)(self._choose)

    def say(self, text: str) -> str:
        said: list[str] = []
        position = 0
        useful = self._needs.met_by(frozenset(text))
        while (trigger := self._trigger.search(text, position)) is not None:
            start = trigger.start()
            said.append(text[position:start])
            reading, position = self._read(text, start, self._possible(text, start, useful))
            said.append(reading)
        said.append(text[position:])
        return "".join(said)

    def _possible(self, text: str, start: int, useful: int) -> Sequence[_Entry]:
        """Those of the rules `useful` that may match at a place."""
        char = text[start]
        run = _DIGIT_RUN.match(text, start) if char in DIGITS else None
        num_digits = min(run.end() - start, len(self._after_digits) - 1) if run else 0
        return self._rules_of(useful & self._by_start[char] & self._after_digits[num_digits])

    def _choose(self, bits: int) -> list[_Entry]:
        chosen: list[_Entry] = []
        while bits:  # few of them are set
            last = bits & -bits
            chosen.append(self._entries[last.bit_length() - 1])
            bits ^= last
        return chosen

    def _read(self, text: str, start: int, rules: Iterable[_Entry]) -> tuple[str, int]:
        for match_at, read in rules:
            match = match_at(text, start)
            if match is not None and (reading := read(match)) is not None:
                return self._respell(reading) if self._respell else reading, match.end()
        return text[start], start + 1


class _Needs:
    """What each rule requires of a text, as `required` tells. A set of rules is an integer with their bits."""

    def __init__(self, needs: Sequence[Sequence[frozenset[str]]]) -> None:
        self._size = len(needs)
        self._depth = max(map(len, needs), default=0)
        rows = [needed[depth] if depth < len(needed) else None for depth in range(self._depth) for needed in needs]
        self._always = _bits(chars is None for chars in rows)
        self._with: dict[str, int] = {}  # of a character the needs that it meets: those of all rules, then the second
        for k, chars in enumerate(rows):
            for char in chars or ():
                self._with[char] = self._with.get(char, 0) | 1 << k
        self._meets = lru_cache(_MAX_CACHED_CHARACTERS)(self._met_by_one)

    def met_by(self, chars: Iterable[str]) -> int:
        """The rules that may match in a text of these characters."""
        met = reduce(or_, map(self._meets, chars), self._always)
        rules = (1 << self._size) - 1
        for _ in range(self._depth):
            rules &= met
            met >>= self._size
        return rules

    def _met_by_one(self, char: str) -> int:
        """A digit of another script than ours may be what a rule calls a digit."""
        like = DIGITS if char.isdecimal() and char not in DIGITS else char
        return reduce(or_, [self._with.get(one, 0) for one in like], 0)


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << k for k, flag in enumerate(flags) if flag)


def before(match: Match, length: int) -> str:
    """Up to `length` characters in front of a match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: Match, length: int) -> str:
    """Up to `length` characters behind a match."""
    return match.string[match.end() : match.end() + length]


def constant(reading: str) -> Read:
    return lambda match: reading

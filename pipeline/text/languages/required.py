"""What a regular expression cannot do without, so that it need not be tried where that is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any

_DIGITS = frozenset("0123456789")
MAX_SETS = 3
_MAX_RANGE = 64  # a range of more characters says too little
_GROUPS = frozenset(["SUBPATTERN", "ATOMIC_GROUP", "ASSERT"])
_REPEATS = frozenset(["MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"])


@lru_cache(maxsize=1024)
def required(pattern: str) -> tuple[frozenset[str], ...]:
    """Up to MAX_SETS sets of characters; every match needs one of each in its text. `\\d` is in the digits' set."""
    tree = _parsed(pattern)
    if tree.state.flags & re.IGNORECASE:
        return ()
    found = dict.fromkeys(_of_sequence(tree))
    return tuple(sorted(found, key=_how_little_it_says)[:MAX_SETS])


@lru_cache(maxsize=1024)
def leading_digits(pattern: str) -> int:
    """How many digits in a row every match begins with, at least."""
    return _digits_of_sequence(_parsed(pattern))[0]


def _parsed(pattern: str) -> Any:
    return import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse").parse(pattern)


def _of_sequence(nodes: Iterable[tuple[object, Any]]) -> Iterator[frozenset[str]]:
    for name, value in nodes:
        yield from _of_node(str(name), value)


def _of_node(name: str, value: Any) -> Iterable[frozenset[str]]:
    if name == "LITERAL":
        return (frozenset(chr(value)),)
    if name == "IN":
        return _of_class(value)
    if name == "BRANCH":
        return _of_branches(value[1])
    if name in _REPEATS:
        return _of_sequence(value[2]) if value[0] else ()
    if name in _GROUPS and not (name == "SUBPATTERN" and value[1] & re.IGNORECASE):
        return _of_sequence(value if name == "ATOMIC_GROUP" else value[-1])
    return ()


def _of_branches(branches: Iterable[Iterable[tuple[object, Any]]]) -> Iterable[frozenset[str]]:
    chars: set[str] = set()
    for branch in branches:
        fewest = min(_of_sequence(branch), key=_how_little_it_says, default=None)
        if fewest is None:
            return ()
        chars |= fewest
    return (frozenset(chars),)


def _of_class(members: Iterable[tuple[object, Any]]) -> Iterable[frozenset[str]]:
    chars: set[str] = set()
    for name, value in members:
        if str(name) == "LITERAL":
            chars.add(chr(value))
        elif str(name) == "RANGE" and value[1] - value[0] < _MAX_RANGE:
            chars.update(map(chr, range(value[0], value[1] + 1)))
        elif str(value) == "CATEGORY_DIGIT":
            chars |= _DIGITS
        else:
            return ()  # another category, a large range, or all but the others
    return (frozenset(chars),)


def _how_little_it_says(chars: frozenset[str]) -> tuple[bool, int]:
    """Digits say little, as most rules start with one."""
    return not chars.isdisjoint(_DIGITS), len(chars)


def _digits_of_sequence(nodes: Iterable[tuple[object, Any]]) -> tuple[int, bool]:
    """The count, and whether the nodes match just so many digits and nothing else."""
    count = 0
    for name, value in nodes:
        more, is_all = _digits_of_node(str(name), value)
        count += more
        if not is_all:
            return count, False
    return count, True


def _digits_of_node(name: str, value: Any) -> tuple[int, bool]:
    if name in ("AT", "ASSERT", "ASSERT_NOT"):
        return 0, True
    if name == "LITERAL":
        is_digit = chr(value) in _DIGITS
        return int(is_digit), is_digit
    if name == "IN":
        is_digit = all(_is_digits(str(kind), member) for kind, member in value)
        return int(is_digit), is_digit
    if name == "BRANCH":
        found = {_digits_of_sequence(branch) for branch in value[1]}
        return min(found)[0], len(found) == 1 and min(found)[1]
    if name in _REPEATS:
        least, most, inner = value
        count, is_all = _digits_of_sequence(inner)
        return (least * count, least == most) if is_all else (count if least else 0, False)
    if name == "SUBPATTERN":
        return _digits_of_sequence(value[-1])
    return 0, False


def _is_digits(kind: str, member: Any) -> bool:
    if kind == "RANGE":
        return chr(member[0]) in _DIGITS and chr(member[1]) in _DIGITS
    return chr(member) in _DIGITS if kind == "LITERAL" else str(member) == "CATEGORY_DIGIT"

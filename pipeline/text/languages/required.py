"""Which characters a regular expression cannot do without, so that it need not be tried on a text that has none."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

_MAX_RANGE = 64  # a range of more characters says too little
_GROUPS = frozenset(["SUBPATTERN", "ATOMIC_GROUP", "ASSERT"])
_REPEATS = frozenset(["MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"])


@lru_cache(maxsize=1024)
def required(pattern: str) -> frozenset[str] | None:
    """Characters of which every match needs one in its text; None where that cannot be told."""
    tree = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse").parse(pattern)
    return None if tree.state.flags & re.IGNORECASE else _of_sequence(tree)


def _of_sequence(nodes: Iterable[tuple[object, Any]]) -> frozenset[str] | None:
    """The fewest characters that any of the nodes requires; digits say little, as most rules start with one."""
    found = [chars for chars in (_of_node(str(name), value) for name, value in nodes) if chars is not None]
    return min(found, key=lambda chars: (not chars.isdisjoint("0123456789"), len(chars)), default=None)


def _of_node(name: str, value: Any) -> frozenset[str] | None:
    if name == "LITERAL":
        return frozenset(chr(value))
    if name == "IN":
        return _of_class(value)
    if name == "BRANCH":
        return _of_branches(value[1])
    if name in _REPEATS:
        return _of_sequence(value[2]) if value[0] else None
    if name in _GROUPS and not (name == "SUBPATTERN" and value[1] & re.IGNORECASE):
        return _of_sequence(value if name == "ATOMIC_GROUP" else value[-1])
    return None


def _of_branches(branches: Iterable[Iterable[tuple[object, Any]]]) -> frozenset[str] | None:
    chars: set[str] = set()
    for branch in branches:
        found = _of_sequence(branch)
        if found is None:
            return None
        chars |= found
    return frozenset(chars)


def _of_class(members: Iterable[tuple[object, Any]]) -> frozenset[str] | None:
    chars: set[str] = set()
    for name, value in members:
        if str(name) == "LITERAL":
            chars.add(chr(value))
        elif str(name) == "RANGE" and value[1] - value[0] < _MAX_RANGE:
            chars.update(map(chr, range(value[0], value[1] + 1)))
        else:
            return None  # a category, a large range, or all but the others
    return frozenset(chars)

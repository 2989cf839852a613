"""Patterns of nodes, written like the exporters' code that adds the nodes, and where they are found in a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.runtime.lowering.graph import Rewriting

MS = "com.microsoft"


class Pattern:
    """Any value. It is one and the same wherever this object stands in a larger pattern."""

    def fits(self, graph: Rewriting, value: str, found: Match) -> bool:
        return bool(value)


Match = dict[Pattern, str]  # the value that each pattern stands for


class Constant(Pattern):
    """A constant of this shape and these values."""

    def __init__(self, value: ArrayLike) -> None:
        self._array = np.asarray(value)

    def fits(self, graph: Rewriting, value: str, found: Match) -> bool:
        array = graph.constant(value)
        return array is not None and array.shape == self._array.shape and np.array_equal(array, self._array)


class Op(Pattern):
    """An output of a node with exactly these inputs and attributes.

    None stands for an input that is left out, ... for any value of an attribute.
    """

    def __init__(self, op: str, *inputs: Pattern | None, domain: str = "", output: int = 0, **attributes: Any) -> None:
        self.op = op
        self._inputs = inputs
        self._domain = domain
        self._output = output
        self._attributes = attributes

    def fits(self, graph: Rewriting, value: str, found: Match) -> bool:
        node = graph.maker(value)
        return (
            node is not None
            and node.op == self.op
            and node.domain == self._domain
            and node.outputs.index(value) == self._output
            and node.attributes.keys() == self._attributes.keys()
            and all(value in (..., node.attributes[name]) for name, value in self._attributes.items())
            and len(node.inputs) == len(self._inputs)
            and all(_fits(graph, *pair, found) for pair in zip(self._inputs, node.inputs, strict=True))
        )


def match(graph: Rewriting, pattern: Pattern, value: str) -> Match | None:
    found: Match = {}
    return found if _fits(graph, pattern, value, found) else None


def _fits(graph: Rewriting, pattern: Pattern | None, value: str, found: Match) -> bool:
    if pattern is None:
        return not value
    if pattern not in found:
        if not pattern.fits(graph, value, found):
            return False
        found[pattern] = value
    return found[pattern] == value

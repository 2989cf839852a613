"""Shapes of a graph's values, as far as it takes to tell a residual from what is added to every frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.onnx_file import Array, Shape
from pipeline.runtime.onnx_node import Node

_UNKNOWN = "?"  # begins the name of a size that no input of the graph has


class Shapes:
    """Of the values that are there when it is made. Equal names stand for equal sizes.

    A size that is not known has a name of its own; None is a shape of which not even the rank is known.
    """

    def __init__(self, graph: Rewriting) -> None:
        self._graph = graph
        self._shapes: dict[str, Shape | None] = dict(graph.graph.inputs)
        for node in graph.nodes():
            rule = _RULES.get(node.op)
            self._shapes[node.outputs[0]] = None if rule is None else rule(self, node)

    def of(self, value: str) -> Shape | None:
        if value in self._shapes:
            return self._shapes[value]
        constant = self.constant(value)
        return None if constant is None else constant.shape

    def constant(self, value: str) -> Array | None:
        return self._graph.constant(value)

    def size(self, value: str) -> int:
        """Of a constant with one axis."""
        constant = self.constant(value)
        return 0 if constant is None else constant.size


def _kept(shapes: Shapes, node: Node) -> Shape | None:
    return shapes.of(node.inputs[0])


def _broadcast(shapes: Shapes, node: Node) -> Shape | None:
    a, b = map(shapes.of, node.inputs)
    if a is None or b is None:
        return None
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    unknown = _unknown(node, rank)
    return tuple(x if y in (x, 1) else y if x == 1 else unknown[axis] for axis, (x, y) in enumerate(pairs))


def _product(shapes: Shapes, node: Node) -> Shape | None:
    a, b = map(shapes.of, node.inputs)
    return None if a is None or b is None or len(b) != 2 else (*a[:-1], b[1])


def _linear(shapes: Shapes, node: Node) -> Shape | None:
    x, attributes = shapes.of(node.inputs[0]), node.attributes
    if x is None:
        return None
    rows = x[:-1] if attributes["stride"] == 1 else (*x[:-2], _unknown(node, len(x))[-2])
    return (*rows, shapes.size(node.inputs[2]))


def _four_bit_linear(shapes: Shapes, node: Node) -> Shape | None:
    x, size = shapes.of(node.inputs[0]), node.attributes["N"]
    return None if x is None or not isinstance(size, int) else (*x[:-1], size)


def _attention(shapes: Shapes, node: Node) -> Shape | None:
    """Of the query, which is a third of the input."""
    qkv = shapes.of(node.inputs[0])
    return None if qkv is None or not isinstance(qkv[-1], int) else (*qkv[:-1], qkv[-1] // 3)


def _reshape(shapes: Shapes, node: Node) -> Shape | None:
    x, sizes = shapes.of(node.inputs[0]), shapes.constant(node.inputs[1])
    if sizes is None or x is None:
        return None
    unknown = _unknown(node, len(sizes))
    return tuple(size if size > 0 else unknown[axis] if size else x[axis] for axis, size in enumerate(sizes.tolist()))


def _slice(shapes: Shapes, node: Node) -> Shape | None:
    x, axes = shapes.of(node.inputs[0]), shapes.constant(node.inputs[3]) if len(node.inputs) > 3 else None
    if x is None or axes is None:
        return None
    return _with_unknown(node, x, axes.tolist())


def _pad(shapes: Shapes, node: Node) -> Shape | None:
    """`pads` holds what is added before, then behind each axis."""
    x, pads = shapes.of(node.inputs[0]), shapes.constant(node.inputs[1])
    if x is None or pads is None:
        return None
    return _with_unknown(node, x, np.flatnonzero(pads.reshape(2, -1).any(axis=0)).tolist())


def _concat(shapes: Shapes, node: Node) -> Shape | None:
    """All inputs have the same sizes along the other axes. Of their names, those of the graph's inputs tell most."""
    known, axis = [shape for shape in map(shapes.of, node.inputs) if shape is not None], node.attributes["axis"]
    if not known or not isinstance(axis, int):
        return None
    shape = tuple(min(sizes, key=_is_unknown) for sizes in zip(*known, strict=True))
    return _with_unknown(node, shape, [axis])


def _gather(shapes: Shapes, node: Node) -> Shape | None:
    """Along the first axis, which is the default."""
    x, indices = map(shapes.of, node.inputs)
    if x is None or indices is None or node.attributes.get("axis", 0) != 0:
        return None
    return (*indices, *x[1:])


def _with_unknown(node: Node, shape: Shape, axes: list[int]) -> Shape:
    changed, unknown = {axis % len(shape) for axis in axes}, _unknown(node, len(shape))
    return tuple(unknown[axis] if axis in changed else size for axis, size in enumerate(shape))


def _unknown(node: Node, rank: int) -> list[str]:
    return [f"{_UNKNOWN}{node.outputs[0]}:{axis}" for axis in range(rank)]


def _is_unknown(size: int | str) -> bool:
    return isinstance(size, str) and size.startswith(_UNKNOWN)


_Rule = Callable[[Shapes, Node], "Shape | None"]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(["LayerNormalization", "GroupNormMish", "Relu", "Gelu", "Sigmoid", "Sin", "Cos", "Cast"], _kept),
    **dict.fromkeys(["Add", "Sub", "Mul", "Div"], _broadcast),
    "MatMul": _product,
    "Linear8": _linear,
    "MatMulNBits": _four_bit_linear,
    "DistanceAttention": _attention,
    "SelfAttention": _attention,
    "Reshape": _reshape,
    "Slice": _slice,
    "Pad": _pad,
    "Concat": _concat,
    "Gather": _gather,
}

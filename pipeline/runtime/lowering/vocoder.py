"""The vocoder's resblocks in bytes, as pipeline.export.vocoder_int8 writes them, become SnakeBytes and ByteConv."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.lowering.linear import NUM_BYTES, pack
from pipeline.runtime.lowering.pattern import MS, Constant, Match, Op, Pattern, match
from pipeline.runtime.onnx_file import Array
from pipeline.runtime.onnx_node import Attribute, Node

INT32 = 6  # TensorProto.INT32
MIDDLE = 128  # the byte of 0 in what a convolution writes, in steps of 1
_SIDES: dict[str, Any] = {"kernel_shape": ..., "strides": (1, 1), "dilations": ..., "pads": ...}


class _Conv:
    """A convolution of bytes, whose channels are last inside it and first around it."""

    def __init__(self, x: Op) -> None:
        self.scale, self.zero, self.weight = Pattern(), Pattern(), Pattern()
        self.weight_scale, self.weight_zero, self.bias = Pattern(), Pattern(), Pattern()
        self.product = Op(
            "QLinearConv",
            Op("Transpose", x, perm=(0, 2, 3, 1)),
            *(self.scale, self.zero, self.weight, self.weight_scale, self.weight_zero),
            *(Constant(np.float32(1)), Constant(np.uint8(MIDDLE)), self.bias),
            domain=MS,
            channels_last=1,
            **_SIDES,
        )
        self.output = Op("Transpose", self.product, perm=(0, 3, 1, 2))


def _looked_up(table: Pattern, levels: Op) -> Op:
    return Op("GatherElements", table, Op("Cast", levels, to=INT32), axis=3)


_X, _GRID, _GRID_ZERO, _TABLES, _STEP, _STEP_ZERO, _RESIDUAL = (Pattern() for _ in range(7))
_SECOND_TABLES = Pattern()
_SNAKE = _looked_up(_TABLES, Op("QuantizeLinear", _X, _GRID, _GRID_ZERO, axis=1))
_FIRST = _Conv(_SNAKE)
_SECOND_SNAKE = _looked_up(_SECOND_TABLES, _FIRST.output)
_SECOND = _Conv(_SECOND_SNAKE)
_BRANCH = Op("Add", Op("DequantizeLinear", _SECOND.output, _STEP, _STEP_ZERO, axis=1), _RESIDUAL)


def lower_resblocks(graph: Rewriting) -> None:
    for node in graph.nodes("Add"):
        if (found := match(graph, _BRANCH, node.outputs[0])) is not None and _is_expected(graph, found):
            _put(graph, found)


def _is_expected(graph: Rewriting, found: Match) -> bool:
    """Every value in between has one user, and filters keep the length, with channels by fours."""
    between = (_SNAKE, _FIRST.output, _SECOND_SNAKE, _SECOND.output)
    return all(graph.only_user(found[value]) for value in between) and all(
        _is_plain(graph, conv, found) for conv in (_FIRST, _SECOND)
    )


def _is_plain(graph: Rewriting, conv: _Conv, found: Match) -> bool:
    weight, zero = graph.constant(found[conv.weight]), graph.constant(found[conv.weight_zero])
    if weight is None or weight.ndim != 4 or weight.shape[1] % NUM_BYTES or zero is None or np.any(zero):
        return False
    taps, dilation = weight.shape[3], _attribute(graph, conv, found, "dilations")[1]
    padding = (taps - 1) * dilation // 2
    return bool(taps % 2) and _attribute(graph, conv, found, "pads") == (0, padding, 0, padding)


def _attribute(graph: Rewriting, conv: _Conv, found: Match, name: str) -> tuple[int, ...]:
    value: Any = _maker(graph, found[conv.product]).attributes[name]
    return tuple(value)


def _put(graph: Rewriting, found: Match) -> None:
    snake, first, second = (_maker(graph, found[value]) for value in (_SNAKE, _SECOND_SNAKE, _BRANCH))
    first_inputs, first_attributes = _operands(graph, _FIRST, found)
    second_inputs, second_attributes = _operands(graph, _SECOND, found)
    gain, shift = _in_floats(graph, found, second_inputs[-1])
    graph.become(
        second,
        "ByteConvAdd",
        [found[_SECOND_SNAKE], *second_inputs[:-1], gain, shift, found[_RESIDUAL]],
        second_attributes,
    )
    graph.become(first, "ByteConv", [found[_SNAKE], *first_inputs, found[_SECOND_TABLES]], first_attributes)
    graph.become(snake, "SnakeBytes", [found[_X], found[_GRID], found[_GRID_ZERO], found[_TABLES]], {})


def _operands(graph: Rewriting, conv: _Conv, found: Match) -> tuple[list[str], dict[str, Attribute]]:
    """Inputs weight, offset and gain, and the attributes."""
    weight, bias = _constant(graph, found[conv.weight]), _constant(graph, found[conv.bias])
    scale, weight_scale = _constant(graph, found[conv.scale]), _constant(graph, found[conv.weight_scale])
    zero = int(_constant(graph, found[conv.zero]))
    rows = weight[:, :, 0].transpose(0, 2, 1).reshape(len(weight), -1)  # [N, taps * C]
    offset = bias - zero * rows.sum(axis=1, dtype=np.int32)
    name = found[conv.weight]
    inputs = [
        graph.add_constant(f"{name}.packed", pack(np.ascontiguousarray(rows.T))),
        graph.add_constant(f"{name}.offset", offset.astype(np.int32)),
        graph.add_constant(f"{name}.gain", (scale * weight_scale).astype(np.float32)),
    ]
    dilation = _attribute(graph, conv, found, "dilations")[1]
    return inputs, {"taps": weight.shape[3], "dilation": dilation, "zero": zero}


def _in_floats(graph: Rewriting, found: Match, gain: str) -> tuple[str, str]:
    """Gain and shift from sums to values, where the graph rounds to bytes on the way."""
    step, zero = _constant(graph, found[_STEP]), _constant(graph, found[_STEP_ZERO])
    name = found[_SECOND.weight]
    shift = (np.float32(MIDDLE) - zero.astype(np.float32)) * step
    return (
        graph.add_constant(f"{name}.gain.floats", _constant(graph, gain) * step),
        graph.add_constant(f"{name}.shift", shift.astype(np.float32)),
    )


def _maker(graph: Rewriting, value: str) -> Node:
    node = graph.maker(value)
    assert node is not None  # it was matched
    return node


def _constant(graph: Rewriting, name: str) -> Array:
    array = graph.constant(name)
    assert array is not None  # it was matched
    return array

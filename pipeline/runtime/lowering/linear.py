"""Linear layers and convolutions on 8-bit integers, as pipeline.export.quantize writes them, become Linear8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.lowering.pattern import MS, Constant, Match, Op, Pattern, match
from pipeline.runtime.onnx_file import Array
from pipeline.runtime.onnx_node import Node

LINEAR = "Linear8"
NUM_ROWS, NUM_BYTES = 16, 4  # of a packed weight: outputs whose next 4 levels one 512-bit register holds
MIN_PEAK = 1e-20

_INPUTS = ("x", "weight", "scale", "bias", "residual", "gamma", "beta")


@dataclass(frozen=True, slots=True)
class Linear:
    """Inputs and attributes of a Linear8 node; an empty name stands for an input that is left out."""

    x: str
    weight: str
    scale: str
    bias: str = ""
    residual: str = ""
    gamma: str = ""
    beta: str = ""
    activation: int = 0
    rectified: int = 0
    epsilon: float = 0.0
    taps: int = 1
    stride: int = 1

    @classmethod
    def of(cls, node: Node | None) -> Linear | None:
        if node is None or node.op != LINEAR:
            return None
        values: dict[str, Any] = {**dict(zip(_INPUTS, node.inputs, strict=False)), **node.attributes}
        return cls(**values)

    def put(self, graph: Rewriting, node: Node, output: str = "") -> None:
        """Makes the node this layer; its output keeps its name if no other is given."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        inputs = [values.pop(name) for name in _INPUTS]
        graph.become(node, LINEAR, inputs, values, [output] if output else ())


@dataclass(frozen=True, slots=True)
class Form:
    """A way in which the exporter writes a layer."""

    pattern: Op
    attributes: Mapping[str, Any]


_X, _WEIGHT, _SCALE, _BIAS = Pattern(), Pattern(), Pattern(), Pattern()


def _rows() -> Op:
    peak = Op("ReduceMax", Op("Abs", _X), Constant([-1]), keepdims=1)
    return _row_product(peak, 127, 128)


def _rectified_rows() -> Op:
    peak = Op("Max", Op("ReduceMax", _X, Constant([-1]), keepdims=1), Constant(np.float32(MIN_PEAK)))
    return _row_product(peak, 255, 0)


def _row_product(peak: Op, num_levels: int, zero: int) -> Op:
    step, zero_point = Constant(np.float32(1 / num_levels)), Constant(np.uint8(zero))
    levels = Op("QuantizeLinear", Op("Div", _X, peak), step, zero_point)
    return Op("Mul", Op("MatMulIntegerToFloat", levels, _WEIGHT, step, _SCALE, zero_point, domain=MS), peak)


_LEVELS, _STEP, _ZERO_POINT = (Op("DynamicQuantizeLinear", _X, output=output) for output in range(3))


def _tensor_products(levels: Op) -> Iterable[Op]:
    """Without bias and with one."""
    for bias in ((), (None, _BIAS)):
        yield Op("MatMulIntegerToFloat", levels, _WEIGHT, _STEP, _SCALE, _ZERO_POINT, *bias, domain=MS)


def _neighbours(stride: int) -> Op:
    """Previous, this and next frame side by side."""
    padded = Op("Pad", _LEVELS, Constant([0, 1, 0, 0, 1, 0]), _ZERO_POINT)

    def frames(start: int, stop: int) -> Op:
        return Op("Slice", padded, *(Constant([number]) for number in (start, stop, 1, stride)))

    middle = _LEVELS if stride == 1 else frames(1, -1)
    return Op("Concat", frames(0, -2), middle, frames(2, np.iinfo(np.int64).max), axis=2)


FORMS = (
    Form(_rows(), {}),
    Form(_rectified_rows(), {"rectified": 1}),
    *(Form(product, {}) for product in _tensor_products(_LEVELS)),
    *(
        Form(product, {"taps": 3, "stride": stride})
        for stride in (1, 2)
        for product in _tensor_products(_neighbours(stride))
    ),
)


def lower_linears(graph: Rewriting) -> None:
    for node in graph.nodes(*{form.pattern.op for form in FORMS}):
        for form in FORMS:
            found = match(graph, form.pattern, node.outputs[0]) if form.pattern.op == node.op else None
            if found is not None and (linear := _linear(graph, found, form)) is not None:
                linear.put(graph, node)
                break


def _linear(graph: Rewriting, found: Match, form: Form) -> Linear | None:
    """None for weights of an unexpected kind."""
    weight, scale = (graph.constant(found[pattern]) for pattern in (_WEIGHT, _SCALE))
    if weight is None or scale is None or weight.dtype != np.int8 or scale.shape != weight.shape[1:]:
        return None
    packed = graph.add_constant(f"{found[_WEIGHT]}.packed", pack(weight))
    return Linear(found[_X], packed, found[_SCALE], found.get(_BIAS, ""), **form.attributes)


def pack(weight: Array) -> NDArray[np.int8]:
    """i8 [K, N] -> [ceil(N / 16), ceil(K / 4), 16, 4], with zeros behind the last row and column."""
    num_inputs, num_outputs = weight.shape
    padded = np.pad(weight, ((0, -num_inputs % NUM_BYTES), (0, -num_outputs % NUM_ROWS)))
    first, *others = padded.view(np.uint8).reshape(-1, NUM_BYTES, padded.shape[1]).transpose(1, 0, 2)
    words = first.astype("<u4")  # four inputs of an output; moving bytes one by one takes four times as long
    for index, levels in enumerate(others, 1):
        words |= levels.astype("<u4") << np.uint32(8 * index)
    panels = words.reshape(len(words), -1, NUM_ROWS).transpose(1, 0, 2)
    return np.ascontiguousarray(panels).view(np.int8).reshape(*panels.shape, NUM_BYTES)

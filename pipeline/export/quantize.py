"""Linear layers per precision. What they compute for a row does not depend on the other rows of the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.export.graph import MS, GraphBuilder
from pipeline.runtime.bundle import Precision
from pipeline.types import F32

Linear = Callable[[GraphBuilder, str, str, F32, "F32 | None"], str]  # (graph, x, name, weight [out, in], bias)

ZERO_POINT = 128  # activations are stored as uint8 around it: 8-bit dot products multiply unsigned with signed
MAX_LEVEL = 127


def int8_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """x f32 [M, in] -> f32 [M, out], as 8-bit integers with one scale for each row of x and of the weight.

    Sums of integers are exact in any order, so a row's result cannot depend on the kernel that M selects. Operators
    with one scale per tensor (DynamicQuantizeLinear) mix the rows, and MatMulNBits rounds differently for M = 1.
    """
    scale = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny) / np.float32(MAX_LEVEL)
    levels = np.rint(weight / scale[:, None]).astype(np.int8)
    row_scale = _row_scale(graph, x)
    quantized = _quantize_rows(graph, x, row_scale)
    y = graph.op(
        "MatMulIntegerToFloat",
        quantized,
        graph.weight(f"{name}.int8", levels.T),
        graph.const(np.float32(1)),
        graph.weight(f"{name}.scale", scale.astype(np.float32)),
        graph.const(np.uint8(ZERO_POINT)),
        domain=MS,
    )
    y = graph.mul(y, row_scale)
    return y if bias is None else graph.add(y, graph.weight(f"{name}.bias", bias))


def _row_scale(graph: GraphBuilder, x: str) -> str:
    """f32 [M, 1]."""
    peak = graph.op("ReduceMax", graph.op("Abs", x), graph.const([1], np.int64), keepdims=1)
    peak = graph.op("Max", peak, graph.const(np.float32(1e-20)))
    return graph.mul(peak, graph.const(np.float32(1 / MAX_LEVEL)))


def _quantize_rows(graph: GraphBuilder, x: str, row_scale: str) -> str:
    scale = graph.op("Squeeze", row_scale, graph.const([1], np.int64))
    zero_point = graph.op("Expand", graph.const(np.uint8(ZERO_POINT)), graph.op("Shape", scale))
    quantized: str = graph.op("QuantizeLinear", x, scale, zero_point, axis=0)
    return quantized


LINEARS: dict[Precision, Linear] = {"fp32": GraphBuilder.linear, "int8": int8_linear}

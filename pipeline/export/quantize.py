"""Linear layers per precision: in fp32, or with weights of 8 or 4 bits and the scale of the inputs found at run time.

Weights of 8 bits have one scale for each output, of 4 bits one for each block of inputs, too. Inputs have one for each
row where a row's result must not depend on the others (the LM, whose rows are different requests), or one for all,
which needs half the passes over the values (the flow, which computes one request at a time; the rows' norms are alike
behind a layer norm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.export.graph import MS, GraphBuilder
from pipeline.runtime.bundle import Precision
from pipeline.types import F32

Linear = Callable[[GraphBuilder, str, str, F32, "F32 | None"], str]  # (graph, x, name, weight [out, in], bias)

ZERO_POINT = 128  # activations are stored as uint8 around it: 8-bit dot products multiply unsigned with signed
MAX_LEVEL = 127
MIN_PEAK = 1e-20  # a row without positive values is divided by it
BLOCK_SIZE = 128  # weights of 4 bits that share a scale: 32 are a third nearer to fp32 and take a quarter longer
MAX_NIBBLE = 15
INT8_PRODUCTS = 4  # MatMulNBits' accuracy_level: inputs as 8-bit integers, with a scale for each block of a row


@dataclass(frozen=True, slots=True)
class Quantized:
    """Values (levels - zero_point) * scale; the names of a u8 tensor, an f32 scalar and a u8 scalar."""

    levels: str
    scale: str
    zero_point: str


def int8_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """x f32 [.., in] -> f32 [.., out], as 8-bit integers with one scale for each row of x and of the weight.

    Sums of integers are exact in any order, so a row's result cannot depend on the kernel that the number of rows
    selects. MatMulNBits, which also has its scales per row, rounds differently for a single row.
    """
    peak = graph.op("ReduceMax", graph.op("Abs", x), graph.const([-1], np.int64), keepdims=1)
    # A row of zeros gets levels of 0 / 0, whatever the CPU makes of it, and loses them to its peak of 0
    return _row_product(graph, x, peak, MAX_LEVEL, ZERO_POINT, name, weight, bias)


def int8_rectified_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """The same of max(x, 0): bytes without a sign cut off what is negative, and are finer."""
    peak = graph.op("ReduceMax", x, graph.const([-1], np.int64), keepdims=1)
    peak = graph.op("Max", peak, graph.const(np.float32(MIN_PEAK)))
    return _row_product(graph, x, peak, 2 * MAX_LEVEL + 1, 0, name, weight, bias)


def _row_product(
    graph: GraphBuilder, x: str, peak: str, num_levels: int, zero: int, name: str, weight: F32, bias: F32 | None
) -> str:
    """Rows over their `peak`, f32 [.., 1], are `num_levels` levels around `zero`."""
    step, zero_point = graph.const(np.float32(1 / num_levels)), graph.const(np.uint8(zero))
    levels = graph.op("QuantizeLinear", graph.op("Div", x, peak), step, zero_point)
    y = graph.mul(quantized_linear(graph, Quantized(levels, step, zero_point), name, weight), peak)
    return y if bias is None else graph.add(y, graph.weight(f"{name}.bias", bias))


def int4_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """x f32 [.., in] -> f32 [.., out], with weights of 4 bits: half as much to read as int8, and no less to compute.

    The number of rows must be even: kernels take two at a time, and round the sums of a single one differently.
    """
    levels, scale, zero_point = quantize_blocks(weight)
    inputs = [x, graph.weight(f"{name}.int4", _packed(levels)), graph.weight(f"{name}.scale", scale)]
    inputs.append(graph.weight(f"{name}.zero_point", _packed(zero_point)))
    if bias is not None:
        inputs += ["", graph.weight(f"{name}.bias", bias)]
    num_outputs, num_inputs = weight.shape
    sizes = {"N": num_outputs, "K": num_inputs, "bits": 4, "block_size": BLOCK_SIZE}
    value: str = graph.op("MatMulNBits", *inputs, domain=MS, accuracy_level=INT8_PRODUCTS, **sizes)
    return value


def int4_rectified_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """The same of max(x, 0)."""
    return int4_linear(graph, graph.op("Relu", x), name, weight, bias)


def quantize_blocks(weight: F32) -> tuple[NDArray[np.uint8], F32, NDArray[np.uint8]]:
    """f32 [out, in] -> levels in 0 .. 15, u8 [out, blocks, BLOCK_SIZE], with zeros behind the last weight; scale and
    zero point of each block, f32 and u8 [out, blocks]. Weights are (levels - zero point) * scale.
    """
    num_outputs, num_inputs = weight.shape
    blocks = np.pad(weight, ((0, 0), (0, -num_inputs % BLOCK_SIZE))).reshape(num_outputs, -1, BLOCK_SIZE)
    low, high = np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)
    scale = np.maximum(high - low, MAX_NIBBLE * np.finfo(np.float32).tiny) / np.float32(MAX_NIBBLE)
    zero_point = np.rint(-low / scale)
    levels = np.rint(blocks / scale[:, :, None]) + zero_point[:, :, None]
    return levels.clip(0, MAX_NIBBLE).astype(np.uint8), scale.astype(np.float32), zero_point.astype(np.uint8)


def _packed(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two to a byte along the last axis, the first in the low half."""
    nibbles = np.pad(nibbles, [(0, 0)] * (nibbles.ndim - 1) + [(0, nibbles.shape[-1] % 2)])
    return nibbles[..., ::2] | (nibbles[..., 1::2] << np.uint8(4))


def rectified_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """max(x, 0) f32 [.., in] -> f32 [.., out]."""
    return graph.linear(graph.op("Relu", x), name, weight, bias)


def int8_tensor_linear(graph: GraphBuilder, x: str, name: str, weight: F32, bias: F32 | None = None) -> str:
    """x f32 [.., in] -> f32 [.., out], with one scale for all of x."""
    return quantized_linear(graph, quantize_tensor(graph, x), name, weight, bias)


def quantize_tensor(graph: GraphBuilder, x: str) -> Quantized:
    """Layers that share an input each ask for it; ONNX Runtime merges equal nodes."""
    return Quantized(*graph.op("DynamicQuantizeLinear", x, num_outputs=3))


def quantized_linear(graph: GraphBuilder, x: Quantized, name: str, weight: F32, bias: F32 | None = None) -> str:
    """[.., in] -> f32 [.., out]."""
    levels, scale = quantize_weight(weight)
    inputs = [x.levels, graph.weight(f"{name}.int8", levels.T), x.scale, graph.weight(f"{name}.scale", scale)]
    inputs.append(x.zero_point)
    if bias is not None:
        inputs += ["", graph.weight(f"{name}.bias", bias)]
    value: str = graph.op("MatMulIntegerToFloat", *inputs, domain=MS)
    return value


def quantize_weight(weight: F32) -> tuple[NDArray[np.int8], F32]:
    """f32 [out, ..] -> levels in -127 .. 127 of the same shape, scale f32 [out]."""
    peak = np.abs(weight).max(axis=tuple(range(1, weight.ndim)))
    # no subnormal scale even for a row of zeros: a process that flushes them, as training does, would divide by zero
    scale = np.maximum(peak, MAX_LEVEL * np.finfo(np.float32).tiny) / np.float32(MAX_LEVEL)
    levels = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
    return levels, scale.astype(np.float32)


def at_least_int8(precision: Precision) -> Precision:
    """Of weights that take little time to read, or whose rounding costs too much: never coarser than 8 bits."""
    return "int8" if precision == "int4" else precision


ROW_LINEARS: dict[Precision, Linear] = {"fp32": GraphBuilder.linear, "int8": int8_linear, "int4": int4_linear}
RECTIFIED_ROW_LINEARS: dict[Precision, Linear] = {
    "fp32": rectified_linear,
    "int8": int8_rectified_linear,
    "int4": int4_rectified_linear,
}
TENSOR_LINEARS: dict[Precision, Linear] = {"fp32": GraphBuilder.linear, "int8": int8_tensor_linear}

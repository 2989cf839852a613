"""Layers of the flow over values [B, T, C]: convolutions as matrix products, group norm, mish, layer norm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipeline.export.graph import GraphBuilder
from pipeline.export.quantize import TENSOR_LINEARS, quantize_tensor, quantized_linear
from pipeline.runtime.bundle import Precision
from pipeline.types import F32

State = Mapping[str, NDArray[Any]]

_ONE = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])


class ChannelLast:
    """Adds layers to one graph; `name` is always the official name of the layer's parameters.

    A convolution of kernel size 3 is one matrix product over [previous, this, next] frame side by side: on CPUs that
    is faster than Conv, and no value is ever transposed. In int8 the neighbours are copied as bytes.
    """

    def __init__(self, graph: GraphBuilder, state: State, precision: Precision = "fp32") -> None:
        self.graph = graph
        self.state = state
        self.precision = precision

    def linear(self, x: str, name: str) -> str:
        """Also a convolution of kernel size 1."""
        return self.product(x, name, *self.matrix_and_bias(name))

    def exact_linear(self, x: str, name: str) -> str:
        """The same in fp32, whatever the graph's precision."""
        return self.graph.linear(x, name, *self.matrix_and_bias(name))

    def product(self, x: str, name: str, matrix: F32, bias: F32 | None) -> str:
        """x matrix^T + bias, in the precision of this graph."""
        return TENSOR_LINEARS[self.precision](self.graph, x, name, matrix, bias)

    def matrix_and_bias(self, name: str) -> tuple[F32, F32 | None]:
        """f32 [out, in], f32 [out]."""
        weight = self.state[f"{name}.weight"]
        return weight.reshape(weight.shape[0], -1), self.state.get(f"{name}.bias")

    def layer_norm(self, x: str, name: str, epsilon: float = 1e-5) -> str:
        value: str = self.graph.op("LayerNormalization", x, *self.scale_and_shift(name), axis=-1, epsilon=epsilon)
        return value

    def scale_and_shift(self, name: str) -> tuple[str, str]:
        return (
            self.graph.weight(f"{name}.weight", self.state[f"{name}.weight"]),
            self.graph.weight(f"{name}.bias", self.state[f"{name}.bias"]),
        )

    def conv(self, x: str, name: str) -> str:
        """Kernel size 3, the length is kept."""
        return self._neighbour_product(x, name, *self._taps(name))

    def down_conv(self, x: str, name: str) -> str:
        """Kernel size 3, stride 2: T frames become ceil(T / 2)."""
        return self._neighbour_product(x, name, *self._taps(name), stride=2)

    def up_conv(self, x: str, name: str) -> str:
        """Transposed, kernel size 4, stride 2, padding 1: T frames become 2 T.

        An even frame 2t takes taps 3 and 1 from frames t - 1 and t, an odd one 2t + 1 taps 2 and 0 from t and t + 1.
        """
        tap = self.state[f"{name}.weight"].transpose(2, 0, 1)  # [4, in, out]
        none = np.zeros_like(tap[0])
        even, odd = np.concatenate([tap[3], tap[1], none]), np.concatenate([none, tap[2], tap[0]])
        bias = np.tile(self.state[f"{name}.bias"], 2)
        pairs = self._neighbour_product(x, name, np.concatenate([even, odd], 1).T, bias)
        value: str = self.graph.op("Reshape", pairs, self.graph.const([0, -1, tap.shape[2]], np.int64))
        return value

    def _taps(self, name: str) -> tuple[F32, F32]:
        """The kernel as a matrix f32 [out, 3 in], and the bias."""
        weight = self.state[f"{name}.weight"]  # [out, in, 3]
        return weight.transpose(0, 2, 1).reshape(len(weight), -1), self.state[f"{name}.bias"]

    def _neighbour_product(self, x: str, name: str, matrix: F32, bias: F32, stride: int = 1) -> str:
        """`matrix` f32 [out, 3 in] times [previous, this, next] frame side by side."""
        if self.precision == "fp32":
            return self.graph.linear(self.neighbours(x, stride), name, matrix, bias)
        quantized = quantize_tensor(self.graph, x)
        levels = self.neighbours(quantized.levels, stride, zero=quantized.zero_point)
        return quantized_linear(self.graph, replace(quantized, levels=levels), name, matrix, bias)

    def neighbours(self, x: str, stride: int = 1, *, zero: str = "") -> str:
        """[B, T, C] -> [B, ceil(T / stride), 3 C]; beyond the ends lies `zero`, by default 0."""
        padding = [self.graph.const([0, 1, 0, 0, 1, 0], np.int64), *([zero] if zero else [])]
        padded = self.graph.op("Pad", x, *padding)
        middle = x if stride == 1 else self.frames(padded, 1, -1, stride)
        taps = self.frames(padded, 0, -2, stride), middle, self.frames(padded, 2, None, stride)
        value: str = self.graph.op("Concat", *taps, axis=2)
        return value

    def frames(self, x: str, start: int, stop: int | None = None, step: int = 1) -> str:
        limits = [self.graph.const([i], np.int64) for i in (start, np.iinfo(np.int64).max if stop is None else stop)]
        value: str = self.graph.op("Slice", x, *limits, *(self.graph.const([i], np.int64) for i in (1, step)))
        return value

    def group_norm(self, x: str, name: str, num_groups: int, frame_weights: str) -> str:
        """x [B, T, C], over the frames and the channels of a group, in two passes, as the values can lie far from 0.

        Means are products with matrices, `frame_weights` one of them: ReduceMean over frames takes three times as long.
        """
        graph = self.graph
        scale, shift = self.scale_and_shift(name)
        num_channels = len(self.state[f"{name}.weight"])
        shares, members = self._group_shares(num_channels, num_groups), self._group_members(num_channels, num_groups)
        mean = graph.op("MatMul", graph.op("MatMul", frame_weights, x), shares)
        centred = graph.op("Sub", x, graph.op("MatMul", mean, members))
        squares = graph.op("MatMul", frame_weights, graph.mul(centred, centred))
        variance = graph.op("MatMul", squares, shares)
        deviation = graph.op("Sqrt", graph.add(variance, graph.const(np.float32(1e-5))))
        rate = graph.op("MatMul", graph.op("Reciprocal", deviation), members)
        return graph.add(graph.mul(centred, graph.mul(rate, scale)), shift)

    def frame_weights(self, x: str) -> str:
        """1 / T for each frame of x [B, T, C]: f32 [1, 1, T]. Its product with values of that length is their mean."""
        graph = self.graph
        length = graph.op("Shape", x, start=1, end=2)
        ones = graph.op(
            "ConstantOfShape", graph.op("Concat", graph.const([1, 1], np.int64), length, axis=0), value=_ONE
        )
        value: str = graph.op("Div", ones, graph.op("Cast", length, to=TensorProto.FLOAT))
        return value

    def _group_shares(self, num_channels: int, num_groups: int) -> str:
        """f32 [C, num_groups]: a product with it is the mean of each group."""
        mean = np.repeat(np.eye(num_groups, dtype=np.float32), num_channels // num_groups, axis=0)
        return self.graph.weight(f"group_shares.{num_channels}.{num_groups}", mean * (num_groups / num_channels))

    def _group_members(self, num_channels: int, num_groups: int) -> str:
        """f32 [num_groups, C]: a product with it repeats a group's value over its channels."""
        members = np.repeat(np.eye(num_groups, dtype=np.float32), num_channels // num_groups, axis=1)
        return self.graph.weight(f"group_members.{num_channels}.{num_groups}", members)

    def mish(self, x: str) -> str:
        """x tanh(softplus(x)) = x u / (2 - u), s = sigmoid(x), u = s (2 - s): ONNX Runtime's Softplus is slow."""
        graph, two = self.graph, self.graph.const(np.float32(2))
        s = graph.op("Sigmoid", x)
        u = graph.mul(s, graph.op("Sub", two, s))
        return graph.mul(x, graph.op("Div", u, graph.op("Sub", two, u)))

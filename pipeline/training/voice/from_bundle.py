"""Reads the weights of a bundle back out of its graphs, so that training can go on where a bundle was exported.

Matrices of 8 bits come back as levels times scale, which the exporter would round to the same levels again. Only what
the vocoder's tables of bytes swallowed has to be guessed from them: the unit of a convolution's output, to a part in a
thousand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, numpy_helper
from torch import Tensor, nn

from pipeline.errors import BundleError
from pipeline.export.hift_graph import DIRECTION, GAIN
from pipeline.export.lm_prefix_graph import SOS, TASK
from pipeline.runtime.bundle import Bundle, GraphName, Precision
from pipeline.types import F32, F64, I64

State = dict[str, Tensor]

_HALF = ".half"
_MIDDLE = 128  # of the bytes that a convolution writes
_NUM_REFINED = 4  # rounds of Gauss and Newton: two suffice
_GRID = np.linspace(-400.0, 400.0, 1 << 18)  # of a Snake's input; half of the bytes' range is far below


@dataclass(frozen=True)
class Graph:
    """The weights of one graph, as f32, under the names that the exporter gave them."""

    path: Path
    nodes: tuple[NodeProto, ...]
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def open(cls, bundle: Bundle, name: GraphName, precision: Precision) -> Graph:
        path = bundle.graph(name, precision)
        graph = onnx.load(path).graph
        return cls(path, tuple(graph.node), {array.name: numpy_helper.to_array(array) for array in graph.initializer})

    def __contains__(self, name: str) -> bool:
        return name in self.arrays or name + _HALF in self.arrays

    def array(self, name: str) -> F32:
        """A weight as it is stored, in half precision or in full."""
        stored = self.arrays.get(name, self.arrays.get(name + _HALF))
        if stored is None:
            raise BundleError(f"{self.path} has no weight {name!r}: only bundles of the recipe's models can go on.")
        return np.array(stored, np.float32)

    def matrix(self, name: str) -> F32:
        """Of a linear layer: f32 [out, in]."""
        if f"{name}.int8" in self.arrays:
            return np.ascontiguousarray((self.array(f"{name}.int8") * self.array(f"{name}.scale")).T)
        return np.ascontiguousarray(self.array(f"{name}.weight").T)

    def reader(self, index: int, name: str) -> NodeProto:
        """The node whose input number `index` is called so."""
        return next(node for node in self.nodes if len(node.input) > index and node.input[index] == name)


def read_flow(bundle: Bundle, flow: nn.Module, precision: Precision = "int8") -> State:
    """The state of flow.pt by its official names; `flow` says which layers there are, and of what shape."""
    encoder, estimator = (Graph.open(bundle, name, precision) for name in ("flow_encoder", "flow_estimator"))
    turned = {name for name, layer in flow.named_modules() if isinstance(layer, nn.ConvTranspose1d)}
    state = {}
    for name, like in flow.state_dict().items():
        graph, (stem, _, part) = estimator if name.startswith("decoder.") else encoder, name.rpartition(".")
        if stem in turned:
            value = _up_kernel(graph.matrix(stem)) if part == "weight" else graph.array(name)[: len(like)]
        elif name == "input_embedding.weight" or part != "weight" or like.ndim == 1:
            value = graph.array(name)
        else:
            value = _kernel(graph.matrix(stem), tuple(like.shape))
        state[name] = _shaped(value, like, name)
    return state


def _kernel(matrix: F32, shape: tuple[int, ...]) -> F32:
    """A linear layer's [out, in], or a convolution's [out, in, taps] from [out, taps * in]."""
    if len(shape) == 2:
        return matrix
    return matrix.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)


def _up_kernel(pairs: F32) -> F32:
    """A transposed convolution, [in, out, 4 taps], from the product [2 out, 3 in] that makes pairs of frames."""
    even, odd = np.split(pairs, 2)  # of the frames before, at and after: taps (3, 1, -) and (-, 2, 0)
    (third, first, _), (_, second, zeroth) = (np.split(half, 3, axis=1) for half in (even, odd))
    return np.stack([tap.T for tap in (zeroth, first, second, third)], axis=2)


def read_vocoder(bundle: Bundle, vocoder: nn.Module, precision: Precision = "int8") -> State:
    """The state of hift.pt by today's names; `vocoder` says which layers there are, and of what shape.

    A normalized weight becomes its own direction, with its norm as gain. Snakes are those of the recipe, which keeps
    their frequencies at 1.
    """
    f0, graph = Graph.open(bundle, "f0_predictor", precision), Graph.open(bundle, "vocoder", precision)
    spec, like = bundle.manifest.vocoder, vocoder.state_dict()
    state: State = {
        "m_source.l_linear.weight": torch.tensor([spec.harmonic_weights]),
        "m_source.l_linear.bias": torch.tensor([spec.harmonic_bias]),
    }
    for name in like:
        stem = name.removesuffix(GAIN).removesuffix(".weight")
        if name.endswith(".alpha"):
            state[name] = torch.ones_like(like[name])
        elif name not in state and name.endswith((GAIN, ".weight")):
            weight, bias = _convolution(f0 if stem.startswith("f0_predictor.") else graph, stem)
            state[f"{stem}.bias"] = torch.from_numpy(bias)
            state |= _normalized(stem, weight) if name.endswith(GAIN) else {name: torch.from_numpy(weight)}
    return {name: _shaped(state[name].numpy(), value, name) for name, value in like.items()}


def _normalized(stem: str, weight: F32) -> State:
    norm = np.sqrt((weight.astype(np.float64) ** 2).sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    return {stem + GAIN: torch.from_numpy(norm), stem + DIRECTION: torch.from_numpy(weight)}


def _convolution(graph: Graph, stem: str) -> tuple[F32, F32]:
    """Kernel f32 [out, in, taps] and bias f32 [out]."""
    if f"{stem}.int8" in graph.arrays:
        return _byte_convolution(graph, stem)
    return graph.array(f"{stem}.kernel")[:, :, 0], graph.array(f"{stem}.bias")


def _byte_convolution(graph: Graph, stem: str) -> tuple[F32, F32]:
    """Of a convolution between bytes, whose operands hide the unit of its output (`_Int8Vocoder.operands`)."""
    before, relative = (graph.array(graph.reader(3, f"{stem}.int8").input[index]) for index in (1, 4))
    unit, zero = _output_grid(graph, stem)
    scale = relative * unit
    weight = graph.array(f"{stem}.int8")[:, :, 0] * scale[:, None, None]
    bias = graph.array(f"{stem}.bias_int32") * before * scale - (zero - _MIDDLE) * unit
    return weight.astype(np.float32), bias.astype(np.float32)


def _output_grid(graph: Graph, stem: str) -> tuple[F32, F32]:
    """Unit and zero point of each output channel of a convolution between bytes: f32 [out] each."""
    block, kind, index = stem.rsplit(".", 2)
    turned = graph.reader(0, graph.reader(3, f"{stem}.int8").output[0])
    if kind == "convs2":
        node = graph.reader(0, turned.output[0])  # DequantizeLinear
        return graph.array(node.input[1]), graph.array(node.input[2])
    following = graph.reader(3, f"{block}.convs2.{index}.int8")
    scale, zero = (float(graph.array(following.input[k])) for k in (1, 2))
    table = graph.array(f"{block}.activations2.{index}.table")[0, :, 0]
    return guess_grid((table - zero) * scale)


def guess_grid(snake: F32) -> tuple[F32, F32]:
    """Unit u and zero point z of bytes 0 .. 255 from x + sin(x)^2 of x = (byte - z) u, f32 [C, 256], rounded and cut
    off at both ends: f32 [C] each.
    """
    is_inside: NDArray[np.bool_] = (snake > snake.min()) & (snake < snake.max())
    byte = np.arange(snake.shape[1], dtype=np.float64)
    x = np.interp(snake, _GRID + np.sin(_GRID) ** 2, _GRID)
    weight = is_inside * (1.0 + np.sin(2 * x))  # where the curve is flat, rounding moves x a long way
    unit, zero = _line(byte, x, weight)
    for _ in range(_NUM_REFINED):
        zero = np.rint(zero)
        x = (byte - zero[:, None]) * unit[:, None]
        slope = (byte - zero[:, None]) * (1 + np.sin(2 * x)) * is_inside
        unit = unit + (slope * (snake - x - np.sin(x) ** 2)).sum(1) / np.maximum((slope**2).sum(1), 1e-12)
    return unit.astype(np.float32), zero.astype(np.float32)


def _line(byte: F64, x: F64, weight: F64) -> tuple[F64, F64]:
    """The best u and z of x = (byte - z) u for each row."""
    total = weight.sum(1)
    mean_byte, mean_x = (weight * byte).sum(1) / total, (weight * x).sum(1) / total
    away = byte - mean_byte[:, None]
    unit = (weight * away * (x - mean_x[:, None])).sum(1) / (weight * away**2).sum(1)
    return unit, mean_byte - mean_x / unit


def read_lm(bundle: Bundle, lm: nn.Module, precision: Precision = "int8") -> State:
    """The state of llm.pt by its official names; `lm` says which layers there are, and of what shape.

    The decoder's graph knows the queries' bias with `pos_bias_u` added, so that one becomes 0.
    """
    prefix, decoder, tables = (Graph.open(bundle, name, precision) for name in ("lm_prefix", "lm", "lm_tables"))
    state = {}
    for name, like in lm.state_dict().items():
        stem, _, part = name.rpartition(".")
        if name == "llm_embedding.weight":
            value = np.concatenate([prefix.array(f"llm_embedding.{row}")[0] for row in (SOS, TASK)])
        elif name in ("text_embedding.weight", "speech_embedding.weight"):
            value = (prefix if name in prefix else tables).array(name)
        elif ".self_attn." in name:
            text = name.startswith("text_encoder.")
            value = _text_attention(prefix, name, like) if text else _speech_attention(decoder, tables, name)
        else:
            graph = next((graph for graph in (prefix, decoder) if f"{stem}.bias" in graph), prefix)
            value = graph.matrix(stem) if part == "weight" and like.ndim > 1 else graph.array(name)
        state[name] = _shaped(value, like, name)
    return state


def _text_attention(graph: Graph, name: str, like: Tensor) -> F32:
    """A parameter of the text encoder's attention, whose values have a channel of ones behind each head."""
    stem, _, part = name.rpartition(".")
    if part.startswith("pos_bias_"):
        return graph.array(f"{stem}.{part[-1]}") * np.float32(math.sqrt(like.shape[1]))
    value = graph.matrix(stem) if part == "weight" else graph.array(name)
    if not stem.endswith(".linear_v"):
        return value
    heads = value.reshape(len(value) - len(like), -1, *value.shape[1:])
    return heads[:, :-1].reshape(like.shape)


def _speech_attention(graph: Graph, tables: Graph, name: str) -> F32:
    """A parameter of the decoder's attention, whose queries, keys and values are one product."""
    stem, _, part = name.rpartition(".")
    attention, _, layer = stem.rpartition(".")
    if part == "pos_bias_u":
        return np.zeros_like(graph.array(f"{stem}.v_minus_u"))
    if part == "pos_bias_v":
        return graph.array(f"{stem}.v_minus_u")
    if layer == "linear_pos":
        return tables.matrix(stem)
    if layer == "linear_out":
        return graph.matrix(stem) if part == "weight" else graph.array(name)
    joined = graph.matrix(f"{attention}.qkv") if part == "weight" else graph.array(f"{attention}.qkv.bias")
    return np.split(joined, 3)["qkv".index(layer[-1])]


def _shaped(value: F32 | I64, like: Tensor, name: str) -> Tensor:
    if value.size != like.numel():
        raise BundleError(
            f"the bundle's {name} has {value.size} values, the recipe's {like.numel()}: "
            "only a bundle of the recipe's dimensions can go on."
        )
    return torch.from_numpy(np.array(value, np.float32, order="C")).reshape(like.shape)

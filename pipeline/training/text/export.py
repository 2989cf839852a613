"""Writes the trained network as one ONNX graph with its vocabulary, both for `pipeline.text.polyphone`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.export.graph import GraphBuilder, save_model
from pipeline.text.polyphone import Vocabulary
from pipeline.text.polyphone_batch import DILATIONS
from pipeline.training.text.network import ConvBlock, ReadingNetwork
from pipeline.types import F32

_KERNEL = 3


def export(network: ReadingNetwork, vocabulary: Vocabulary, folder: Path) -> None:
    """Inputs as `polyphone_batch.packed` makes them, and bonus f32 [P, n, 1], which is added to the scores.

    Outputs are scores f32 [P, n, 1], which are logits, best i64 [P, 1], and pauses f32 [K, 1], which are probabilities.
    """
    save_model(graph(network.eval()), folder / "polyphone.onnx")
    (folder / "polyphone.json").write_text(vocabulary.to_json(), "utf-8")


@torch.no_grad()
def graph(network: ReadingNetwork) -> onnx.ModelProto:
    """What the network computes, for rows of several windows without padding, only where a place depends on it."""
    g = GraphBuilder("polyphone")
    x = _embedded(g, network)
    for block, dilation in zip(network.blocks, DILATIONS, strict=True):
        num_rows = "K" if dilation == DILATIONS[-1] else f"N{dilation}"
        x = _convolved(g, block, x, g.input(f"near_{dilation}", TensorProto.INT64, [num_rows, _KERNEL]))
    features = g.op("Concat", x, _recurrent(g, network), axis=1)
    pauses = _linear(g, "pause_head", features, _array(network.pause_head.weight), _array(network.pause_head.bias))
    g.output("pauses", g.op("Sigmoid", pauses), TensorProto.FLOAT, ["K", 1])
    asked = g.op("Gather", features, g.input("asked", TensorProto.INT64, ["P"]))
    scores = g.add(_scores(g, network, asked), g.input("bonus", TensorProto.FLOAT, ["P", "n", 1]))
    g.output("scores", scores, TensorProto.FLOAT, ["P", "n", 1])
    g.output("best", g.op("ArgMax", scores, axis=1, keepdims=0), TensorProto.INT64, ["P", 1])
    return g.model()


def _embedded(g: GraphBuilder, network: ReadingNetwork) -> str:
    """The projection of a character beside its tag is the sum of a row of each: both tables are stored projected."""
    characters, tags = (g.input(name, TensorProto.INT64, ["N"]) for name in ("characters", "tags"))
    wide, tag = network.wide_embedding.weight, network.tag_embedding.weight
    of_wide, of_tag = torch.tensor_split(network.project.weight, [wide.shape[1]], dim=1)
    rows = g.weight("wide_embedding", _array(wide @ of_wide.T + network.project.bias))
    return g.add(
        g.op("Gather", rows, characters), g.op("Gather", g.weight("tag_embedding", _array(tag @ of_tag.T)), tags)
    )


def _convolved(g: GraphBuilder, block: nn.Module, x: str, near: str) -> str:
    """The block at the rows that `near` has: it joins each with its neighbours, then multiplies once."""
    assert isinstance(block, ConvBlock)
    conv = fuse_conv_bn_eval(block.conv, block.norm)
    weight = conv.weight.transpose(1, 2).flatten(1)  # [out, kernel * in]
    with_zeros = g.op("Pad", x, g.const([1, 0, 0, 0], np.int64))
    joined = g.op("Reshape", g.op("Gather", with_zeros, near), g.const([-1, weight.shape[1]], np.int64))
    start, end = (g.const([k * conv.in_channels], np.int64) for k in (1, 2))  # the row itself is in the middle
    change = g.op("Relu", _linear(g, f"conv_{near}", joined, _array(weight), _array(conv.bias)))
    return g.add(g.op("Slice", joined, start, end, g.const([1], np.int64)), change)


def _recurrent(g: GraphBuilder, network: ReadingNetwork) -> str:
    """f32 [K, 2 * hidden]: both directions at the places."""
    lstm, hidden = network.lstm, network.lstm.hidden_size
    grid, lengths = g.input("grid", TensorProto.INT64, ["T", "B"]), g.input("lengths", TensorProto.INT32, ["B"])
    embedded = g.op("Gather", g.weight("embedding", _array(network.embedding.weight)), grid)
    found, _, _ = g.op(
        "LSTM",
        embedded,
        g.weight("lstm.input", _both(lstm, "weight_ih_l0")),
        g.weight("lstm.recurrence", _both(lstm, "weight_hh_l0")),
        g.weight("lstm.bias", np.concatenate([_both(lstm, "bias_ih_l0"), _both(lstm, "bias_hh_l0")], axis=1)),
        lengths,
        num_outputs=3,
        hidden_size=hidden,
        direction="bidirectional",
    )  # f32 [T, 2, B, hidden]
    cells = g.input("cells", TensorProto.INT64, ["K", 2])
    rows = g.op("Gather", g.op("Reshape", found, g.const([-1, hidden], np.int64)), cells)
    return str(g.op("Reshape", rows, g.const([-1, 2 * hidden], np.int64)))


def _both(lstm: nn.LSTM, name: str) -> F32:
    """A parameter of both directions, its gates in the order of ONNX: input, output, forget, cell."""
    arrays = [np.split(_array(getattr(lstm, name + suffix)), 4) for suffix in ("", "_reverse")]
    return np.stack([np.concatenate([i, o, f, c]) for i, f, c, o in arrays])


def _scores(g: GraphBuilder, network: ReadingNetwork, features: str) -> str:
    """f32 [P, n, 1] of the candidates alone: their rows of the last layer are a hundredth of it.

    Both heads are one, their hidden layers side by side, of which the recurrent one sees only its own features. One
    more hidden unit is always 1, so that the last layer's bias is a column of its weight.
    """
    (hidden, out), (recurrent_hidden, recurrent_out) = _layers(network.reading_head), _layers(network.recurrent_head)
    unseen = torch.zeros(len(recurrent_hidden.weight), hidden.in_features - recurrent_hidden.in_features)
    rows = [hidden.weight, torch.cat([unseen, recurrent_hidden.weight], dim=1), torch.zeros(1, hidden.in_features)]
    inner, inner_bias = torch.cat(rows), torch.cat([hidden.bias, recurrent_hidden.bias, torch.ones(1)])
    outer = torch.cat([out.weight, recurrent_out.weight, (out.bias + recurrent_out.bias)[:, None]], dim=1)
    x = g.op("Relu", _linear(g, "inner", features, _array(inner), _array(inner_bias)))
    candidates = g.op(
        "Gather", g.weight("outer.weight", _array(outer)), g.input("candidates", TensorProto.INT64, ["P", "n"])
    )
    return str(g.op("MatMul", candidates, g.unsqueeze(x, 2)))


def _layers(head: nn.Sequential) -> Sequence[nn.Linear]:
    return [layer for layer in head if isinstance(layer, nn.Linear)]


def _linear(g: GraphBuilder, name: str, x: str, weight: F32, bias: F32) -> str:
    """As one operator, which ONNX Runtime joins with a ReLU behind it."""
    return str(g.op("Gemm", x, g.weight(f"{name}.weight", weight.T), g.weight(f"{name}.bias", bias)))


def _array(tensor: torch.Tensor | None) -> F32:
    assert tensor is not None
    array: F32 = tensor.detach().numpy()
    return array

"""The flow's attention and group norm, as pipeline.export writes them, become SelfAttention and GroupNormMish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.lowering.linear import NUM_ROWS, Linear
from pipeline.runtime.lowering.pattern import MS, Constant, Match, Op, Pattern, match
from pipeline.runtime.onnx_node import Node

SELF_ATTENTION = "SelfAttention"
GROUP_NORM_MISH = "GroupNormMish"
FLOAT = 1  # TensorProto.FLOAT
EPSILON = np.float32(1e-5)

_Q, _K, _V = Pattern(), Pattern(), Pattern()
_X, _GAMMA, _BETA, _SHARES, _MEMBERS = (Pattern() for _ in range(5))


def _attentions(num_heads: int) -> tuple[Op, Op]:
    """Both compute the same; the exporter takes the one that is faster for the number of frames."""
    return (
        Op("MultiHeadAttention", _Q, _K, _V, domain=MS, num_heads=num_heads),
        Op("Attention", _Q, _K, _V, q_num_heads=num_heads, kv_num_heads=num_heads),
    )


def lower_self_attention(graph: Rewriting) -> None:
    for node in graph.nodes("MultiHeadAttention", "Attention"):
        num_heads: Any = node.attributes.get("num_heads", node.attributes.get("q_num_heads"))
        if any(match(graph, pattern, node.outputs[0]) for pattern in _attentions(num_heads)):
            _put_self_attention(graph, node, num_heads)


def _put_self_attention(graph: Rewriting, node: Node, num_heads: int) -> None:
    """One product makes query, key and value side by side, where one made the query."""
    makers = [maker for value in node.inputs if (maker := graph.maker(value)) and graph.only_user(value) is node]
    linears = [linear for maker in makers if (linear := Linear.of(maker))]
    if len(linears) != len(node.inputs) or not _are_alike(graph, linears):
        return
    first, qkv = linears[0], f"{makers[0].outputs[0]}.qkv"
    weight, scale, bias = (
        _joined(graph, [getattr(linear, name) for linear in linears]) for name in ("weight", "scale", "bias")
    )
    graph.become(node, SELF_ATTENTION, [qkv], {"num_heads": num_heads})
    replace(first, weight=weight, scale=scale, bias=bias).put(graph, makers[0], qkv)


def _are_alike(graph: Rewriting, linears: Sequence[Linear]) -> bool:
    """Whether they differ in nothing but their parameters, and no packed weight has rows behind its last one."""
    kinds = {replace(linear, weight="", scale="", bias=str(bool(linear.bias))) for linear in linears}
    scales = [graph.constant(linear.scale) for linear in linears]
    biases = [graph.constant(linear.bias) is not None for linear in linears if linear.bias]
    return len(kinds) == 1 and all(biases) and all(scale is not None and scale.size % NUM_ROWS == 0 for scale in scales)


def _joined(graph: Rewriting, names: Sequence[str]) -> str:
    arrays = [array for name in names if (array := graph.constant(name)) is not None]
    return graph.add_constant(f"{names[0]}.qkv", np.concatenate(arrays)) if arrays else ""


def _group_norm() -> Op:
    frames = Op("Shape", Pattern(), start=1, end=2)
    ones = Op("ConstantOfShape", Op("Concat", Constant([1, 1]), frames, axis=0), value=...)
    weights = Op("Div", ones, Op("Cast", frames, to=FLOAT))
    mean = Op("MatMul", Op("MatMul", weights, _X), _SHARES)
    centred = Op("Sub", _X, Op("MatMul", mean, _MEMBERS))
    squares = Op("MatMul", weights, Op("Mul", centred, centred))
    deviation = Op("Sqrt", Op("Add", Op("MatMul", squares, _SHARES), Constant(EPSILON)))
    rate = Op("MatMul", Op("Reciprocal", deviation), _MEMBERS)
    return Op("Add", Op("Mul", centred, Op("Mul", rate, _GAMMA)), _BETA)


def _mish(x: Op) -> Op:
    two = Constant(np.float32(2))
    s = Op("Sigmoid", x)
    u = Op("Mul", s, Op("Sub", two, s))
    return Op("Mul", x, Op("Div", u, Op("Sub", two, u)))


_PATTERN = _mish(_group_norm())


def lower_group_norms(graph: Rewriting) -> None:
    for node in graph.nodes(_PATTERN.op):
        found = match(graph, _PATTERN, node.outputs[0])
        if found is not None and (num_groups := _num_groups(graph, found)):
            inputs = [found[pattern] for pattern in (_X, _GAMMA, _BETA)]
            graph.become(node, GROUP_NORM_MISH, inputs, {"groups": num_groups, "epsilon": float(EPSILON)})


def _num_groups(graph: Rewriting, found: Match) -> int:
    """0 for matrices that do other than average channels that lie next to each other."""
    shares, members = (graph.constant(found[pattern]) for pattern in (_SHARES, _MEMBERS))
    if shares is None or members is None or members.ndim != 2:
        return 0
    num_groups, num_channels = members.shape
    expected = np.repeat(np.eye(num_groups, dtype=np.float32), num_channels // num_groups, axis=1)
    is_mean = np.array_equal(shares, expected.T * np.float32(num_groups / num_channels))
    return num_groups if is_mean and np.array_equal(members, expected) else 0

"""The LM's attention by content and distance, as pipeline.export.lm_graph writes it, becomes DistanceAttention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.runtime.lowering.graph import Rewriting
from pipeline.runtime.lowering.pattern import MS, Constant, Match, Op, Pattern, match
from pipeline.runtime.onnx_node import Attribute, Node

DISTANCE_ATTENTION = "DistanceAttention"
EIGHT_BIT_CACHE: dict[str, Any] = {
    "k_quant_type": "PER_CHANNEL",
    "v_quant_type": "PER_CHANNEL",
    "kv_cache_bit_width": 8,
}
INT32 = 6  # TensorProto.INT32

_HIDDEN, _QKV, _V_MINUS_U, _RELATIVE, _PAST_LENGTH, _LENGTH = (Pattern() for _ in range(6))
_PAST = _PAST_KEY, _PAST_VALUE = Pattern(), Pattern()
_SCALES = _KEY_SCALE, _VALUE_SCALE = Pattern(), Pattern()
_ZERO, _ONE = Constant(0), Constant(1)

_SHAPE = Op("Shape", _HIDDEN, end=2)  # batch and width
_WIDTH = Op("Squeeze", Op("Shape", _HIDDEN, start=1, end=2))
_TOTAL = Op("Add", Op("ReduceMax", _PAST_LENGTH, keepdims=0), _WIDTH)
_LAST_KEY = Op("Add", _PAST_LENGTH, Op("Sub", _LENGTH, _ONE))


@dataclass(frozen=True)
class Heads:
    number: int
    size: int
    scale: float  # of the products of queries and keys
    cache: Mapping[str, Any]  # how it is quantized; empty for f32

    @property
    def num_channels(self) -> int:
        return self.number * self.size


def _attention(heads: Heads) -> Op:
    """Its output as rows."""
    by_sequence = Op("Reshape", _QKV, Op("Concat", _SHAPE, Constant([-1]), axis=0))
    lengths = (Op("Cast", value, to=INT32) for value in (_LAST_KEY, _TOTAL))
    scales = (None, *_SCALES) if heads.cache else ()
    inputs = by_sequence, None, None, *_PAST, *lengths, None, None, None, _distance_scores(heads), *scales
    numbers = {"num_heads": heads.number, "kv_num_heads": heads.number}
    y = Op("GroupQueryAttention", *inputs, domain=MS, scale=heads.scale, **numbers, **heads.cache)
    return Op("Reshape", y, Constant([-1, heads.num_channels]))


def _distance_scores(heads: Heads) -> Op:
    q = Op("Slice", _QKV, Constant([0]), Constant([heads.num_channels]), Constant([1]))
    by_head = Op("Concat", _SHAPE, Constant([heads.number, heads.size]), axis=0)
    q = Op("Transpose", Op("Reshape", Op("Add", q, _V_MINUS_U), by_head), perm=(0, 2, 1, 3))
    if heads.number == 1:
        q = Op("Concat", q, q, axis=2)
    return Op("GatherElements", Op("MatMul", q, _RELATIVE), _distances(heads), axis=3)


def _distances(heads: Heads) -> Op:
    """Of each query to each key."""
    new = Op("Unsqueeze", Op("Range", _ZERO, _WIDTH, _ONE), Constant([0]))
    query = Op("Unsqueeze", Op("Add", Op("Unsqueeze", _PAST_LENGTH, Constant([1])), new), Constant([1, 3]))
    distance = Op("Max", Op("Sub", query, Op("Range", _ZERO, _TOTAL, _ONE)), _ZERO)
    return Op("Expand", distance, Constant([1, heads.number, 1, 1]))


def lower_distance_attention(graph: Rewriting) -> None:
    for node in graph.nodes("GroupQueryAttention"):
        heads, rows = _heads(graph, node), graph.only_user(node.outputs[0])
        if heads is None or rows is None:
            continue
        found = match(graph, _attention(heads), rows.outputs[0])
        if found is not None and not any(map(graph.users, node.outputs[1:])):
            _put(graph, heads, found, node, rows)


def _heads(graph: Rewriting, node: Node) -> Heads | None:
    """What the node says of its heads; their size is that of the cache that the graph is given."""
    *_, size = graph.graph.inputs.get(node.inputs[3], ("",))
    number, scale = (node.attributes.get(name) for name in ("num_heads", "scale"))
    if not isinstance(number, int) or not isinstance(scale, float) or not isinstance(size, int):
        return None
    return Heads(number, size, scale, EIGHT_BIT_CACHE if "kv_cache_bit_width" in node.attributes else {})


def _put(graph: Rewriting, heads: Heads, found: Match, node: Node, rows: Node) -> None:
    patterns = _QKV, _V_MINUS_U, _RELATIVE, _PAST_LENGTH, _LENGTH, *_PAST, *(_SCALES if heads.cache else ())
    outputs = [rows.outputs[0], *node.outputs[1:]]
    attributes: dict[str, Attribute] = {"num_heads": heads.number, "scale": heads.scale}
    graph.become(rows, DISTANCE_ATTENTION, [found[pattern] for pattern in patterns], attributes, outputs)

"""The graphs of the speech-token LM: what it reads first, its decoder over a shared KV cache, and its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import State
from pipeline.export.encoder_graph import AttentionWeights, EncoderGraph, InputLayer
from pipeline.export.graph import MS, GraphBuilder
from pipeline.export.lm_cache_scales import CacheScales
from pipeline.export.lm_prefix_graph import build_lm_prefix
from pipeline.export.quantize import RECTIFIED_ROW_LINEARS, ROW_LINEARS, at_least_int8
from pipeline.model.config import LMConfig
from pipeline.runtime.bundle import GraphName, Precision

EIGHT_BIT_CACHE = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
HEAD_DIM_MULTIPLE = 8  # of ONNX Runtime's GroupQueryAttention


def padded_head_dim(head_dim: int) -> int:
    """The head size of the KV cache."""
    return math.ceil(head_dim / HEAD_DIM_MULTIPLE) * HEAD_DIM_MULTIPLE


def build_lm_graphs(
    state: State, config: LMConfig, precision: Precision, cache_scales: Sequence[CacheScales] | None = None
) -> dict[GraphName, ModelProto]:
    """Graphs `lm_prefix`, `lm_tables` (always fp32) and `lm`.

    Args:
        state: the parameters of llm.pt by their official names, as f32 arrays.
        cache_scales: of each layer, for a KV cache of 8 bits.
    """
    return {
        "lm_prefix": build_lm_prefix(state, config, precision),
        "lm_tables": build_lm_tables(state, config),
        "lm": build_lm(state, config, precision, cache_scales),
    }


def build_lm_tables(state: State, config: LMConfig) -> ModelProto:
    """position_encoding f32 [P, hidden size] -> relative.N f32 [heads, head_dim, P] of each layer N, speech_hidden
    f32 [num_speech_tokens, hidden size].

    With the sinusoids of 0 .. P - 1 as input, relative.N holds the layer's key for each distance, over sqrt(head_dim);
    speech_hidden holds the speech tokens behind the input layer. Both are constants: computed once, when the LM loads.
    """
    graph = GraphBuilder("lm_tables")
    hidden_size = config.decoder.hidden_size
    sinusoids = graph.input("position_encoding", TensorProto.FLOAT, ["P", hidden_size])
    decoder = Decoder(graph, state, config, "fp32")
    for index in range(config.decoder.num_layers):
        shape: list[int | str] = [config.decoder.num_heads, decoder.head_dim, "P"]
        graph.output(f"relative.{index}", decoder.distance_keys(sinusoids, index), TensorProto.FLOAT, shape)
    tokens = graph.weight("speech_embedding.weight", state["speech_embedding.weight"])
    speech = InputLayer(graph, state, "llm", config.decoder).embed(tokens)
    graph.output("speech_hidden", speech, TensorProto.FLOAT, [config.num_speech_tokens, hidden_size])
    return graph.model()


def build_lm(
    state: State, config: LMConfig, precision: Precision, cache_scales: Sequence[CacheScales] | None = None
) -> ModelProto:
    """hidden f32 [B, T, hidden size], past_length and length i64 [B], relative.N, past_key.N and past_value.N [B,
    heads, M, head_dim] -> logits f32 [B, num_speech_tokens + 1] behind each sequence's last position, present_*.N.

    past_* and present_* are f32, or with `cache_scales` i8.

    Sequence b has `past_length` positions in the cache and brings `length` <= T new ones. Either nobody has a past
    (prefill) or T = 1 (decode). present_* are past_* with the new positions and may share their memory. relative.N
    must reach max(past_length) + T distances.
    """
    graph = GraphBuilder("lm")
    decoder = Decoder(graph, state, config, precision, cache_scales)
    logits = decoder.decode(graph.input("hidden", TensorProto.FLOAT, ["B", "T", config.decoder.hidden_size]))
    graph.output("logits", logits, TensorProto.FLOAT, ["B", config.num_speech_tokens + 1])
    return graph.model()


class Decoder(EncoderGraph):
    """The causal transformer. Positions are rows [B T, hidden size] except inside the attention.

    In int4 a row is added to an odd number of them. The attention's outputs and the logits stay int8: in 4 bits they
    raise the divergence from fp32 to 1.6 and to over 4 times of what it is (bundled voice, on speech of its own).
    """

    def __init__(
        self,
        graph: GraphBuilder,
        state: State,
        config: LMConfig,
        precision: Precision,
        cache_scales: Sequence[CacheScales] | None = None,
    ) -> None:
        super().__init__(graph, state, "llm", config.decoder, ROW_LINEARS[precision])
        self._rectified_linear = RECTIFIED_ROW_LINEARS[precision]
        self._finer_linear = ROW_LINEARS[at_least_int8(precision)]
        self._has_pairs = precision == "int4"
        self.head_dim = padded_head_dim(config.decoder.head_dim)
        self._scale = 1 / math.sqrt(config.decoder.head_dim)
        self._cache_scales = cache_scales
        self._cache_type = TensorProto.INT8 if cache_scales else TensorProto.FLOAT

    def decode(self, hidden: str) -> str:
        graph = self.graph
        self._prepare(hidden)
        rows = graph.op("Reshape", hidden, graph.const([-1, self.config.hidden_size], np.int64))
        x = self.layers(self._paired(rows))
        x = self.last_norm(graph.op("Gather", x, self._last_rows, axis=0))
        return self._finer_linear(graph, x, "llm_decoder", *self.matrix_and_bias("llm_decoder"))

    def feed_forward(self, x: str, name: str) -> str:
        if self.config.activation != "relu":
            return super().feed_forward(x, name)
        return self._rectified_linear(
            self.graph, self.linear(x, f"{name}.w_1"), f"{name}.w_2", *self.matrix_and_bias(f"{name}.w_2")
        )

    def _prepare(self, hidden: str) -> None:
        """Values that all layers share: sequence lengths, and the distance of each query to each key."""
        graph, one = self.graph, self.graph.const(np.int64(1))
        past, length = (graph.input(name, TensorProto.INT64, ["B"]) for name in ("past_length", "length"))
        shape = graph.op("Shape", hidden, end=2)
        self._by_sequence, self._by_head = (
            graph.op("Concat", shape, graph.const(sizes, np.int64), axis=0)
            for sizes in ([-1], [self.config.num_heads, self.head_dim])
        )
        num_rows, width = (graph.op("Squeeze", graph.op("Shape", hidden, start=i, end=i + 1)) for i in (0, 1))
        total = graph.add(graph.op("ReduceMax", past, keepdims=0), width)
        self._total = graph.op("Cast", total, to=TensorProto.INT32)
        last = graph.op("Sub", length, one)
        self._last_key = graph.op("Cast", graph.add(past, last), to=TensorProto.INT32)
        self._last_rows = graph.add(graph.mul(graph.range(num_rows), width), last)
        if self._has_pairs:
            self._num_rows = graph.op("Reshape", graph.mul(num_rows, width), graph.const([1], np.int64))
            is_odd = graph.op("Mod", self._num_rows, graph.const([2], np.int64))
            no_rows = [graph.const(sizes, np.int64) for sizes in ([0, 0], [0])]
            self._padding = graph.op("Concat", no_rows[0], is_odd, no_rows[1], axis=0)
        positions = graph.add(graph.unsqueeze(past, 1), graph.unsqueeze(graph.range(width), 0))
        distance = graph.op("Sub", graph.unsqueeze(positions, 1, 3), graph.range(total))
        distance = graph.op("Max", distance, graph.const(np.int64(0)))
        heads = graph.const([1, self.config.num_heads, 1, 1], np.int64)
        self._distance = graph.op("Expand", distance, heads)  # i64 [B, heads, T, keys]

    def attention(self, x: str, index: int) -> str:
        graph, weights = self.graph, self.attention_weights(index)
        qkv = self._unpaired(self._project(x, weights))
        y = graph.fresh("GroupQueryAttention")
        past = [self._cache_input(f"past_{kind}.{index}") for kind in ("key", "value")]
        present = [f"present_{kind}.{index}" for kind in ("key", "value")]
        bias, scales = self._distance_scores(qkv, weights, index), self._scale_inputs(index)
        packed = graph.op("Reshape", qkv, self._by_sequence)
        inputs = [packed, "", "", *past, self._last_key, self._total, "", "", "", bias, *scales]
        graph.node(
            "GroupQueryAttention",
            inputs,
            [y, *present],
            domain=MS,
            num_heads=self.config.num_heads,
            kv_num_heads=self.config.num_heads,
            scale=self._scale,
            **(EIGHT_BIT_CACHE if scales else {}),
        )
        for name in present:
            graph.output(name, name, self._cache_type, self._cache_shape)
        y = graph.op("Reshape", y, graph.const([-1, self._num_channels], np.int64))
        out = f"{weights.name}.linear_out", weights.out_weight(self.head_dim), weights.out_bias
        return self._finer_linear(graph, self._paired(y), *out)

    def _paired(self, rows: str) -> str:
        """With a row of zeros behind an odd number of rows."""
        value: str = self.graph.op("Pad", rows, self._padding) if self._has_pairs else rows
        return value

    def _unpaired(self, rows: str) -> str:
        graph = self.graph
        if not self._has_pairs:
            return rows
        first = graph.const([0], np.int64)
        value: str = graph.op("Slice", rows, first, self._num_rows, first)
        return value

    @property
    def _cache_shape(self) -> list[int | str]:
        return ["B", self.config.num_heads, "M", self.head_dim]

    def _cache_input(self, name: str) -> str:
        return self.graph.input(name, self._cache_type, self._cache_shape)

    def _scale_inputs(self, index: int) -> list[str]:
        if not self._cache_scales:
            return []
        key, value = self._cache_scales[index].padded(self.head_dim)
        return ["", self.graph.weight(f"key_scale.{index}", key), self.graph.weight(f"value_scale.{index}", value)]

    @property
    def _num_channels(self) -> int:
        """Of all heads."""
        return self.config.num_heads * self.head_dim

    def _project(self, x: str, weights: AttentionWeights) -> str:
        """q + u, k and v side by side, [B T, 3 heads * head_dim], from one matrix product."""
        size = self.head_dim
        weight = np.concatenate([weights.weight(part, size) for part in "qkv"])
        q_bias = weights.bias("q", size) + weights.position_bias("u", size)
        bias = np.concatenate([q_bias, weights.bias("k", size), weights.bias("v", size)])
        return self.product(x, f"{weights.name}.qkv", weight, bias)

    def _distance_scores(self, qkv: str, weights: AttentionWeights, index: int) -> str:
        """(q + v) r of each query's distance to each key, over sqrt(head_dim): f32 [B, heads, T, keys].

        The query is multiplied with the key of every distance in the table, then each score is picked by its distance.
        """
        graph, size, num_heads = self.graph, self.head_dim, self.config.num_heads
        relative = graph.input(f"relative.{index}", TensorProto.FLOAT, [num_heads, size, "P"])
        start, end, axis = (graph.const([i], np.int64) for i in (0, self._num_channels, 1))
        difference = weights.position_bias("v", size) - weights.position_bias("u", size)
        q = graph.add(graph.op("Slice", qkv, start, end, axis), graph.weight(f"{weights.name}.v_minus_u", difference))
        q = graph.op("Transpose", graph.op("Reshape", q, self._by_head), perm=[0, 2, 1, 3])
        if num_heads == 1:
            # MatMul would take a batch for more rows of one product, and one row alone is rounded differently
            q = graph.op("Concat", q, q, axis=2)
        scores = graph.op("MatMul", q, relative)
        value: str = graph.op("GatherElements", scores, self._distance, axis=3)
        return value

    def distance_keys(self, sinusoids: str, index: int) -> str:
        """W_pos pe(d) / sqrt(head_dim), [heads, head_dim, P]; scaled here so that no step has to."""
        graph, weights = self.graph, self.attention_weights(index)
        keys = graph.linear(sinusoids, f"{weights.name}.linear_pos", weights.weight("pos", self.head_dim))
        keys = graph.op("Reshape", keys, graph.const([0, self.config.num_heads, self.head_dim], np.int64))
        keys = graph.op("Transpose", keys, perm=[1, 2, 0])
        return graph.mul(keys, graph.const(np.float32(self._scale)))

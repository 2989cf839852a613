"""The graph of what the LM reads first: text and speaker, encoded, between its two marks."""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import State
from pipeline.export.encoder_graph import AttentionWeights, EncoderGraph, InputLayer
from pipeline.export.graph import GraphBuilder
from pipeline.export.quantize import ROW_LINEARS, at_least_int8
from pipeline.model.config import LMConfig
from pipeline.runtime.bundle import Precision

SOS, TASK = 0, 1  # rows of `llm_embedding`
MASKED = np.float32(-1e30)  # finite, so that a row without any key stays finite too


def build_lm_prefix(state: State, config: LMConfig, precision: Precision = "fp32") -> ModelProto:
    """text i64 [B, T], text_length i64 [B], speaker f32 [B, S], position_encoding f32 [2 T - 1, text hidden size] ->
    text_encoder_out f32 [B, T, D], prefill_input f32 [B, T + 3, D], prefill_hidden f32 [B, T + 3, hidden size].

    `position_encoding` holds the sinusoids of 1 - T .. T - 1. The rows of prefill_input are [sos, speaker, text,
    task]; right of its own task mark a sequence repeats it. Padding and neighbours change no bit of a text (with T >= 2
    and heads of up to 128 channels).
    """
    graph = GraphBuilder("lm_prefix")
    text = graph.input("text", TensorProto.INT64, ["B", "T"])
    length = graph.input("text_length", TensorProto.INT64, ["B"])
    speaker = graph.input("speaker", TensorProto.FLOAT, ["B", config.speaker_size])
    encoded = TextEncoder(graph, state, config, length, precision).encode(text)
    joined = _Prefix(graph, state, config).join(speaker, encoded, length)
    hidden = InputLayer(graph, state, "llm", config.decoder).embed(joined)
    graph.output("text_encoder_out", encoded, TensorProto.FLOAT, ["B", "T", config.input_size])
    graph.output("prefill_input", joined, TensorProto.FLOAT, ["B", "T + 3", config.input_size])
    graph.output("prefill_hidden", hidden, TensorProto.FLOAT, ["B", "T + 3", config.decoder.hidden_size])
    return graph.model()


class TextEncoder(EncoderGraph):
    """Relative-position attention within each text, up to the end of the position's chunk (arXiv 1901.02860)."""

    def __init__(self, graph: GraphBuilder, state: State, config: LMConfig, length: str, precision: Precision) -> None:
        super().__init__(graph, state, "text_encoder", config.text_encoder, ROW_LINEARS[at_least_int8(precision)])
        self._lm = config
        self._text_length = length

    def encode(self, text: str) -> str:
        """i64 [B, T] -> f32 [B, T, D], after the affine layer to the LM's input size."""
        table = self.graph.weight("text_embedding.weight", self.state["text_embedding.weight"])
        self._prepare(text)
        x = self.layers(self.embed(self.graph.op("Gather", table, text)))
        return self.linear(self.last_norm(x), "text_encoder_affine_layer")

    def _prepare(self, text: str) -> None:
        """Values that all layers share: sinusoids, where each distance lies in them, and the mask."""
        graph, hidden_size = self.graph, self.config.hidden_size
        self._sinusoids = graph.input("position_encoding", TensorProto.FLOAT, ["2 T - 1", hidden_size])
        num_rows, width = graph.op("Shape", text, end=1), graph.op("Shape", text, start=1)
        indices = graph.range(graph.op("Squeeze", width))
        query, key = graph.unsqueeze(indices, 1), graph.unsqueeze(indices, 0)
        distance = graph.op("Sub", query, key)
        if self._is_causal:
            first = graph.op("Sub", width, graph.const([1], np.int64))
            last, axis = graph.const([np.iinfo(np.int64).max], np.int64), graph.const([0], np.int64)
            self._sinusoids = graph.op("Slice", self._sinusoids, first, last, axis)
            distance = graph.op("Max", distance, graph.const(np.int64(0)))
        else:
            distance = graph.add(distance, graph.op("Sub", width, graph.const([1], np.int64)))
        heads = graph.const([self.config.num_heads], np.int64)
        self._distance = graph.op("Expand", distance, graph.op("Concat", num_rows, heads, width, width, axis=0))
        self._mask = self._make_mask(query, key)

    @property
    def _is_causal(self) -> bool:
        return self.config.static_chunk_size == 1

    def _make_mask(self, query: str, key: str) -> str:
        """f32 [B, 1, T, T] to add: 0 where a key is text and not beyond the query's chunk."""
        graph, chunk = self.graph, self.config.static_chunk_size
        is_seen = graph.op("Less", key, graph.unsqueeze(self._text_length, 1, 2))
        if chunk:
            size = graph.const(np.int64(chunk))
            same_or_earlier = graph.op("LessOrEqual", graph.op("Div", key, size), graph.op("Div", query, size))
            is_seen = graph.op("And", is_seen, same_or_earlier)
        mask = graph.op("Where", is_seen, graph.const(np.float32(0)), graph.const(MASKED))
        return graph.unsqueeze(mask, 1)

    def attention(self, x: str, index: int) -> str:
        graph, size = self.graph, self.config.head_dim
        weights = self.attention_weights(index)
        scale = np.float32(1 / math.sqrt(size))
        q = graph.mul(self._project(x, weights, "q"), graph.const(scale))
        by_content, by_position = (
            self._heads(
                graph.add(q, graph.weight(f"{weights.name}.{which}", weights.position_bias(which, size) * scale))
            )
            for which in "uv"
        )
        scores = graph.op("MatMul", by_content, self._heads(self._project(x, weights, "k"), (0, 2, 3, 1)))
        by_distance = graph.op("MatMul", by_position, self._distance_keys(weights))
        scores = graph.add(scores, graph.op("GatherElements", by_distance, self._distance, axis=3))
        y = self._mix(graph.add(scores, self._mask), self._values(x, weights))
        y = graph.op("Reshape", graph.op("Transpose", y, perm=[0, 2, 1, 3]), graph.const([0, 0, -1], np.int64))
        return self.linear(y, f"{weights.name}.linear_out")

    def _project(self, x: str, weights: AttentionWeights, part: str) -> str:
        size = self.config.head_dim
        return self.product(x, f"{weights.name}.linear_{part}", weights.weight(part, size), weights.bias(part, size))

    def _heads(self, x: str, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        shape = self.graph.const([0, 0, self.config.num_heads, -1], np.int64)
        value: str = self.graph.op("Transpose", self.graph.op("Reshape", x, shape), perm=list(perm))
        return value

    def _distance_keys(self, weights: AttentionWeights) -> str:
        """[num_heads, head_dim, distances]."""
        graph, size = self.graph, self.config.head_dim
        keys = self.product(self._sinusoids, f"{weights.name}.linear_pos", weights.weight("pos", size), None)
        keys = graph.op("Reshape", keys, graph.const([0, self.config.num_heads, size], np.int64))
        value: str = graph.op("Transpose", keys, perm=[1, 2, 0])
        return value

    def _values(self, x: str, weights: AttentionWeights) -> str:
        """[B, num_heads, T, head_dim + 1]: the last channel of each head is the constant one."""
        size = self.config.head_dim + 1
        bias = weights.bias("v", size)
        bias[size - 1 :: size] = 1
        return self._heads(self.product(x, f"{weights.name}.linear_v", weights.weight("v", size), bias))

    def _mix(self, scores: str, values: str) -> str:
        """softmax(scores) values, [B, num_heads, T, head_dim].

        One matrix product sums numerator and, over the channel of ones, denominator in the order of the keys. So the
        zeros of masked keys at the end change no bit; Softmax would add them up in an order that depends on T.
        """
        graph = self.graph
        peak = graph.op("ReduceMax", scores, graph.const([-1], np.int64), keepdims=1)
        y = graph.op("MatMul", graph.op("Exp", graph.op("Sub", scores, peak)), values)
        sizes = graph.const([self.config.head_dim, 1], np.int64)
        numerator, denominator = graph.op("Split", y, sizes, num_outputs=2, axis=3)
        value: str = graph.op("Div", numerator, denominator)
        return value


class _Prefix(InputLayer):
    def __init__(self, graph: GraphBuilder, state: State, config: LMConfig) -> None:
        super().__init__(graph, state, "llm", config.decoder)
        self._lm = config

    def join(self, speaker: str, encoded: str, length: str) -> str:
        """[sos, speaker, text, task] of each sequence, with task from the end of its own text on."""
        graph = self.graph
        num_rows = graph.op("Shape", speaker, end=1)
        shape = graph.op("Concat", num_rows, graph.const([1, self._lm.input_size], np.int64), axis=0)
        sos, task = (graph.op("Expand", self._mark(row), shape) for row in (SOS, TASK))
        rows = graph.op("Concat", sos, graph.unsqueeze(self._project(speaker), 1), encoded, task, axis=1)
        positions = graph.range(graph.op("Squeeze", graph.op("Shape", rows, start=1, end=2)))
        end = graph.add(length, graph.const(np.int64(2)))
        is_before_task = graph.op("Less", graph.unsqueeze(positions, 0), graph.unsqueeze(end, 1))
        value: str = graph.op("Where", graph.unsqueeze(is_before_task, 2), rows, self._mark(TASK))
        return value

    def _mark(self, row: int) -> str:
        return self.graph.weight(f"llm_embedding.{row}", self.state["llm_embedding.weight"][row][None, None])

    def _project(self, speaker: str) -> str:
        """The embedding at unit length. Its norm is a matrix product, whose order of summing B does not change."""
        graph = self.graph
        ones = graph.weight("speaker.ones", np.ones((self._lm.speaker_size, 1), np.float32))
        norm = graph.op("Sqrt", graph.op("MatMul", graph.mul(speaker, speaker), ones))
        norm = graph.op("Max", norm, graph.const(np.float32(1e-12)))
        return self.linear(graph.op("Div", speaker, norm), "spk_embed_affine_layer")

"""The graph of the flow's encoder: speech tokens and speaker to the mean that the flow starts from, at mel rate."""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import ChannelLast, State
from pipeline.export.encoder_graph import EncoderGraph
from pipeline.export.graph import GraphBuilder
from pipeline.export.quantize import TENSOR_LINEARS
from pipeline.model.config import FlowConfig
from pipeline.runtime.bundle import Precision


def build_flow_encoder(state: State, config: FlowConfig, precision: Precision = "fp32") -> ModelProto:
    """tokens i64 [1, N], speaker f32 [1, S], lower and upper i64 [T], upper_weight f32 [T, 1] -> mu f32 [1, T,
    mel_bins], spks f32 [1, mel_bins].

    Frame t is (1 - upper_weight[t]) h[lower[t]] + upper_weight[t] h[upper[t]] of the encoded tokens h. `precision` is
    that of the token encoder's layers; the others are small.
    """
    return _FlowEncoder(GraphBuilder("flow_encoder"), state, config, precision).build()


class _FlowEncoder(ChannelLast):
    def __init__(self, graph: GraphBuilder, state: State, config: FlowConfig, precision: Precision) -> None:
        super().__init__(graph, state)
        self.config = config
        self.token_encoder = _TokenEncoder(graph, state, "encoder", config.encoder, TENSOR_LINEARS[precision])

    def build(self) -> ModelProto:
        graph, bins = self.graph, self.config.mel_bins
        tokens = graph.input("tokens", TensorProto.INT64, [1, "N"])
        speaker = graph.input("speaker", TensorProto.FLOAT, [1, self.config.speaker_size])
        table = graph.weight("input_embedding.weight", self.state["input_embedding.weight"])
        x = graph.op("Gather", table, tokens)
        x = self.token_encoder.build(x)
        mu = self.regulate(self.interpolate(self.linear(x, "encoder_proj")))
        graph.output("mu", mu, TensorProto.FLOAT, [1, "T", bins])
        graph.output("spks", self.project_speaker(speaker), TensorProto.FLOAT, [1, bins])
        return graph.model()

    def project_speaker(self, speaker: str) -> str:
        graph = self.graph
        norm = graph.op("ReduceL2", speaker, graph.const([1], np.int64), keepdims=1)
        norm = graph.op("Max", norm, graph.const(np.float32(1e-12)))
        return self.linear(graph.op("Div", speaker, norm), "spk_embed_affine_layer")

    def interpolate(self, x: str) -> str:
        graph = self.graph
        weight = graph.input("upper_weight", TensorProto.FLOAT, ["T", 1])
        lower, upper = (
            graph.op("Gather", x, graph.input(name, TensorProto.INT64, ["T"]), axis=1) for name in ("lower", "upper")
        )
        rest = graph.op("Sub", graph.const(np.float32(1)), weight)
        return graph.add(graph.mul(lower, rest), graph.mul(upper, weight))

    def regulate(self, x: str) -> str:
        config = self.config.regulator
        weights = self.frame_weights(x)
        for index in range(0, 3 * config.num_convs, 3):  # convolution, group norm, mish
            x = self.conv(x, f"length_regulator.model.{index}")
            x = self.mish(self.group_norm(x, f"length_regulator.model.{index + 1}", config.num_groups, weights))
        return self.linear(x, f"length_regulator.model.{3 * config.num_convs}")


class _TokenEncoder(EncoderGraph):
    """Every token sees every other, or those up to the end of its chunk; distances of both signs count."""

    def build(self, x: str) -> str:
        """[1, N, input_size] -> [1, N, hidden_size]."""
        x = self.embed(x)
        self.length = self.graph.op("Shape", x, start=1, end=2)
        self.positions = self.relative_positions()
        self.mask = self.chunk_mask() if self.config.static_chunk_size else None
        return self.last_norm(self.layers(x))

    def attention(self, x: str, index: int) -> str:
        """softmax(((q + u) k + (q + v) r) / sqrt(d)) v, with r the projected relative position (arXiv 1901.02860)."""
        graph, name = self.graph, f"{self.prefix}.encoders.{index}.self_attn"
        q, k, v = (self.linear(x, f"{name}.linear_{part}") for part in "qkv")
        r = self.linear(self.positions, f"{name}.linear_pos")
        by_content = self.scores(q, k, f"{name}.pos_bias_u")
        by_position = self.shift(self.scores(q, r, f"{name}.pos_bias_v"))
        scale = graph.const(np.float32(1 / math.sqrt(self.config.head_dim)))
        weights = graph.op("Softmax", self.masked(graph.mul(graph.add(by_content, by_position), scale)), axis=-1)
        y = graph.op("Transpose", graph.op("MatMul", weights, self.heads(v, (0, 2, 1, 3))), perm=[0, 2, 1, 3])
        y = graph.op("Reshape", y, graph.const([0, 0, self.config.hidden_size], np.int64))
        return self.linear(y, f"{name}.linear_out")

    def masked(self, scores: str) -> str:
        if self.mask is None:
            return scores
        value: str = self.graph.op("Where", self.mask, scores, self.graph.const(np.finfo(np.float32).min))
        return value

    def scores(self, q: str, k: str, bias: str) -> str:
        """(q + bias) k, [1, heads, N, num_keys]."""
        q = self.graph.add(q, self.graph.weight(bias, self.state[bias].reshape(-1)))
        value: str = self.graph.op("MatMul", self.heads(q, (0, 2, 1, 3)), self.heads(k, (0, 2, 3, 1)))
        return value

    def heads(self, x: str, perm: tuple[int, ...]) -> str:
        shape = self.graph.const([0, 0, self.config.num_heads, self.config.head_dim], np.int64)
        value: str = self.graph.op("Transpose", self.graph.op("Reshape", x, shape), perm=list(perm))
        return value

    def relative_positions(self) -> str:
        """Sinusoids of N - 1, N - 2, .., 1 - N: f32 [1, 2 N - 1, hidden_size]."""
        graph, half = self.graph, self.config.hidden_size // 2
        scalar = graph.op("Squeeze", self.length)
        one = graph.const(np.int64(1))
        positions = graph.op("Range", graph.op("Sub", scalar, one), graph.op("Neg", scalar), graph.const(np.int64(-1)))
        positions = graph.op("Cast", positions, to=TensorProto.FLOAT)
        frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10000.0) / half))
        angle = graph.mul(
            graph.op("Reshape", positions, graph.const([1, -1, 1, 1], np.int64)),
            graph.weight("position_frequencies", frequencies[:, None]),
        )
        pairs = graph.op("Concat", graph.op("Sin", angle), graph.op("Cos", angle), axis=3)  # interleaved
        value: str = graph.op("Reshape", pairs, graph.const([1, -1, 2 * half], np.int64))
        return value

    def shift(self, x: str) -> str:
        """[1, H, N, 2 N - 1] by distance -> [1, H, N, N] by key: row i starts at column N - 1 - i.

        Padding one column and reading the rows at their old length moves each row one step further (Transformer-XL).
        """
        graph, heads = self.graph, self.config.num_heads
        padded = graph.op("Pad", x, graph.const([0, 0, 0, 1, 0, 0, 0, 0], np.int64))
        rows = graph.op("Concat", graph.const([1, heads, -1], np.int64), self.length, axis=0)
        turned = graph.op(
            "Slice", graph.op("Reshape", padded, rows), *(graph.const([i], np.int64) for i in (1, 1 << 62, 2))
        )
        shifted = graph.op("Reshape", turned, graph.op("Shape", x))
        zero, axis = graph.const([0], np.int64), graph.const([3], np.int64)
        value: str = graph.op("Slice", shifted, zero, self.length, axis)
        return value

    def chunk_mask(self) -> str:
        """bool [N, N]: a position sees all up to the end of its chunk."""
        graph = self.graph
        zero, one = graph.const(np.int64(0)), graph.const(np.int64(1))
        chunks = graph.op("Range", zero, graph.op("Squeeze", self.length), one)
        chunks = graph.op("Div", chunks, graph.const(np.int64(self.config.static_chunk_size)))
        query = graph.op("Unsqueeze", chunks, graph.const([1], np.int64))
        value: str = graph.op("GreaterOrEqual", query, chunks)
        return value

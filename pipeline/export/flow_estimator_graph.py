"""The graph of the flow's velocity estimator: Matcha-TTS's U-Net (arXiv 2309.03199) with CosyVoice's attention.

In int8 the first and the last layers stay in fp32, for one part in fifty of the time: the first one's input joins
values of different size (noise, log mel, speaker) under one scale, and nothing averages out the error of the last.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import ChannelLast, State
from pipeline.export.graph import MS, GraphBuilder
from pipeline.model.config import GROUP_NORM_GROUPS, EstimatorConfig
from pipeline.runtime.bundle import Precision

PREFIX = "decoder.estimator"
TIME_SCALE = 1000.0  # t in [0, 1] is embedded as a position in [0, 1000]
OPSET = 23  # the first one with Attention


def build_flow_estimator(state: State, config: EstimatorConfig, precision: Precision = "fp32") -> ModelProto:
    """x, mu, cond f32 [B, T, mel_bins], spks f32 [B, mel_bins], t f32 [1] -> velocity f32 [B, T, mel_bins]."""
    return _Estimator(GraphBuilder("flow_estimator"), state, config, precision).build()


class _Estimator(ChannelLast):
    def __init__(self, graph: GraphBuilder, state: State, config: EstimatorConfig, precision: Precision) -> None:
        super().__init__(graph, state, precision)
        self.config = config
        self.exact = ChannelLast(graph, state)  # layers that are fp32 in every precision

    def build(self) -> ModelProto:
        bins = self.config.out_channels
        x, mu, cond = (self.graph.input(name, TensorProto.FLOAT, ["B", "T", bins]) for name in ("x", "mu", "cond"))
        spks = self.graph.input("spks", TensorProto.FLOAT, ["B", bins])
        self.time = self.time_embedding(self.graph.input("t", TensorProto.FLOAT, [1]))
        y = self.decode(self.encode(self.side_by_side(x, mu, spks, cond)))
        self.graph.output("velocity", y, TensorProto.FLOAT, ["B", "T", bins])
        return self.graph.model(OPSET)

    def side_by_side(self, x: str, mu: str, spks: str, cond: str) -> str:
        every_frame = self.graph.op("Unsqueeze", spks, self.graph.const([1], np.int64))
        every_frame = self.graph.op("Expand", every_frame, self.graph.op("Shape", x))
        value: str = self.graph.op("Concat", x, mu, every_frame, cond, axis=2)
        return value

    def encode(self, x: str) -> tuple[str, list[str]]:
        """The bottom of the U, and what each level keeps for its way up."""
        kept = []
        levels = len(self.config.channels)
        for level in range(levels):
            name = f"{PREFIX}.down_blocks.{level}"
            self.begin_level(level, x)
            x = self.stage(x, name, self.config.num_blocks)
            kept.append(x)
            x = self.conv(x, f"{name}.2") if level == levels - 1 else self.down_conv(x, f"{name}.2.conv")
        for index in range(self.config.num_mid_blocks):
            x = self.stage(x, f"{PREFIX}.mid_blocks.{index}", self.config.num_blocks)
        return x, kept

    def decode(self, bottom: tuple[str, list[str]]) -> str:
        x, kept = bottom
        levels = len(self.config.channels)
        for level in range(levels):
            name, skip = f"{PREFIX}.up_blocks.{level}", kept[levels - 1 - level]
            self.begin_level(levels - 1 - level, skip)
            x = self.graph.op("Concat", self.cut_to(x, skip), skip, axis=2)
            x = self.stage(x, name, self.config.num_blocks)
            x = self.conv(x, f"{name}.2") if level == levels - 1 else self.up_conv(x, f"{name}.2.conv")
        return self.exact_linear(self.block(x, f"{PREFIX}.final_block", self.exact), f"{PREFIX}.final_proj")

    def begin_level(self, level: int, x: str) -> None:
        """The following layers are of this level, which has as many frames as x."""
        self.level, self.weights = level, self.frame_weights(x)

    def cut_to(self, x: str, other: str) -> str:
        """Drops the frame that an odd length gained on its way down and up."""
        length = self.graph.op("Shape", other, start=1, end=2)
        zero, axis = self.graph.const([0], np.int64), self.graph.const([1], np.int64)
        value: str = self.graph.op("Slice", x, zero, length, axis)
        return value

    def stage(self, x: str, name: str, num_blocks: int) -> str:
        x = self.resnet(x, f"{name}.0")
        for index in range(num_blocks):
            x = self.transformer(x, f"{name}.1.{index}")
        return x

    def resnet(self, x: str, name: str) -> str:
        layers = self.exact if name == f"{PREFIX}.down_blocks.0.0" else self
        y = self.graph.add(self.block(x, f"{name}.block1", layers), self.linear(self.time, f"{name}.mlp.1"))
        return self.graph.add(self.block(y, f"{name}.block2", self), layers.linear(x, f"{name}.res_conv"))

    def block(self, x: str, name: str, layers: ChannelLast) -> str:
        y = layers.conv(x, f"{name}.block.0")
        return self.mish(self.group_norm(y, f"{name}.block.1", GROUP_NORM_GROUPS, self.weights))

    def transformer(self, x: str, name: str) -> str:
        x = self.graph.add(self.attention(self.layer_norm(x, f"{name}.norm1"), f"{name}.attn1"), x)
        y = self.linear(self.layer_norm(x, f"{name}.norm3"), f"{name}.ff.net.0.proj")
        return self.graph.add(self.linear(self.graph.op("Gelu", y), f"{name}.ff.net.2"), x)

    def attention(self, x: str, name: str) -> str:
        """Every frame sees every frame. One product for q, k and v is no faster, and must be split by copying.

        MultiHeadAttention lays its inputs out by head first but keeps no scores, which pays for many frames; Attention
        the other way round: less time up to about 250 frames (3/4 at 35, 9/10 at 172), so below the first level.
        """
        q, k, v = (self.linear(x, f"{name}.to_{part}") for part in "qkv")
        heads = self.config.num_heads
        if self.level == 0:
            y = self.graph.op("MultiHeadAttention", q, k, v, domain=MS, num_heads=heads)
        else:
            y = self.graph.op("Attention", q, k, v, q_num_heads=heads, kv_num_heads=heads)
        return self.linear(y, f"{name}.to_out.0")

    def time_embedding(self, t: str) -> str:
        """mish(MLP(sinusoids of t)), f32 [1, time_channels]: every resnet projects it."""
        half = self.config.in_channels // 2
        frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / (half - 1)))
        position = self.graph.mul(t, self.graph.const(np.float32(TIME_SCALE)))
        angle = self.graph.mul(position, self.graph.weight("time_frequencies", frequencies[None]))
        embedding = self.graph.op("Concat", self.graph.op("Sin", angle), self.graph.op("Cos", angle), axis=1)
        hidden = self.exact_linear(embedding, f"{PREFIX}.time_mlp.linear_1")
        hidden = self.graph.mul(hidden, self.graph.op("Sigmoid", hidden))
        return self.mish(self.exact_linear(hidden, f"{PREFIX}.time_mlp.linear_2"))

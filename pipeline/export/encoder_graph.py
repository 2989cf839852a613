"""Self-attention layers of the LM's two encoders, as graph nodes; how positions attend is left to the subclasses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from pipeline.export.channel_last import ChannelLast, State
from pipeline.export.graph import GraphBuilder
from pipeline.export.quantize import Linear
from pipeline.model.config import EncoderConfig
from pipeline.types import F32

LAYER_NORM_EPSILON = 1e-12  # of the layers; the input layer and the last norm have torch's default
_LAYER_NORMS = {"conformer": ("norm_mha", "norm_ff"), "transformer": ("norm1", "norm2")}


class InputLayer(ChannelLast):
    """The input layer of the encoder whose parameters' names begin with `prefix`, always in fp32."""

    def __init__(self, graph: GraphBuilder, state: State, prefix: str, config: EncoderConfig) -> None:
        super().__init__(graph, state)
        self.prefix = prefix
        self.config = config

    def embed(self, x: str) -> str:
        """[.., input_size] -> [.., hidden_size]."""
        name = f"{self.prefix}.embed.out"
        x = self.layer_norm(self.exact_linear(x, f"{name}.0"), f"{name}.1")
        if self.config.input_layer == "linear_legacy":
            x = self.graph.op("Relu", x)
        return self.graph.mul(x, self.graph.const(np.float32(math.sqrt(self.config.hidden_size))))


class EncoderGraph(InputLayer, ABC):
    """Input layer, self-attention layers and last norm of an encoder."""

    def __init__(
        self,
        graph: GraphBuilder,
        state: State,
        prefix: str,
        config: EncoderConfig,
        linear: Linear = GraphBuilder.linear,
    ) -> None:
        super().__init__(graph, state, prefix, config)
        self._linear = linear

    @abstractmethod
    def attention(self, x: str, index: int) -> str:
        """The self-attention of layer `index`, with its output projection."""

    def product(self, x: str, name: str, matrix: F32, bias: F32 | None) -> str:
        return self._linear(self.graph, x, name, matrix, bias)

    def layers(self, x: str) -> str:
        for index in range(self.config.num_layers):
            x = self.layer(x, index)
        return x

    def layer(self, x: str, index: int) -> str:
        name = f"{self.prefix}.encoders.{index}"
        attention_norm, feed_forward_norm = (f"{name}.{norm}" for norm in _LAYER_NORMS[self.config.kind])
        x = self.residual(x, attention_norm, lambda y: self.attention(y, index))
        return self.residual(x, feed_forward_norm, lambda y: self.feed_forward(y, f"{name}.feed_forward"))

    def residual(self, x: str, norm: str, branch: Callable[[str], str]) -> str:
        if self.config.normalize_before:
            return self.graph.add(x, branch(self.layer_norm(x, norm, LAYER_NORM_EPSILON)))
        return self.layer_norm(self.graph.add(x, branch(x)), norm, LAYER_NORM_EPSILON)

    def feed_forward(self, x: str, name: str) -> str:
        x = self.linear(x, f"{name}.w_1")
        if self.config.activation == "swish":
            x = self.graph.mul(x, self.graph.op("Sigmoid", x))
        else:
            x = self.graph.op({"relu": "Relu", "gelu": "Gelu"}[self.config.activation], x)
        return self.linear(x, f"{name}.w_2")

    def last_norm(self, x: str) -> str:
        return self.layer_norm(x, f"{self.prefix}.after_norm") if self.config.normalize_before else x

    def attention_weights(self, index: int) -> AttentionWeights:
        return AttentionWeights(self.state, f"{self.prefix}.encoders.{index}.self_attn", self.config)


class AttentionWeights:
    """One layer's attention parameters, with the heads' channels padded where an operator wants it."""

    def __init__(self, state: State, name: str, config: EncoderConfig) -> None:
        self.name = name
        self._state = state
        self._config = config

    def weight(self, part: str, head_size: int) -> F32:
        """[num_heads * head_size, hidden_size] of q, k, v or pos; the channels added to each head are zero."""
        return self._padded(self._state[f"{self.name}.linear_{part}.weight"], head_size)

    def bias(self, part: str, head_size: int) -> F32:
        """[num_heads * head_size]; the keys of some models have none."""
        bias = self._state.get(f"{self.name}.linear_{part}.bias")
        return self._padded(np.zeros(self._config.hidden_size, np.float32) if bias is None else bias, head_size)

    def position_bias(self, which: str, head_size: int) -> F32:
        """[num_heads * head_size] of u (content) or v (position), arXiv 1901.02860, section 3.3."""
        return self._padded(self._state[f"{self.name}.pos_bias_{which}"].reshape(-1), head_size)

    def out_weight(self, head_size: int) -> F32:
        """[hidden_size, num_heads * head_size]."""
        return np.ascontiguousarray(self._padded(self._state[f"{self.name}.linear_out.weight"].T, head_size).T)

    @property
    def out_bias(self) -> F32:
        bias: F32 = self._state[f"{self.name}.linear_out.bias"]
        return bias

    def _padded(self, array: F32, head_size: int) -> F32:
        config = self._config
        heads = array.reshape(config.num_heads, config.head_dim, -1)
        padded = np.pad(heads, ((0, 0), (0, head_size - config.head_dim), (0, 0)))
        return padded.reshape(config.num_heads * head_size, *array.shape[1:])

"""Self-attention encoder with relative positions and a key-value cache: text encoder, speech-token LM, flow encoder.

Relative positions as Transformer-XL, section 3.3 and appendix B (arXiv 1901.02860), in ESPnet's form: the sinusoids
of distances +(n-1) ... -(n-1) are projected by `linear_pos` and shifted so that each query meets its own distances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pipeline.model.config import EncoderConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "swish": nn.SiLU, "gelu": nn.GELU}
LAYER_NORM_EPS = 1e-12  # of the layers; the embedding and the final norm have torch's default

KVCache = list[Tensor]  # per layer f32 [B, H, T, 2 * head_dim], keys beside values


def padding_mask(lengths: Tensor, max_length: int) -> Tensor:
    """True where a position exists: bool [B, max_length] of i64 [B]."""
    return torch.arange(max_length, device=lengths.device) < lengths[:, None]


def chunk_mask(length: int, chunk_size: int, device: torch.device | None = None) -> Tensor:
    """bool [length, length]: query i sees key j up to the end of i's chunk; 0 sees everything, 1 is causal."""
    if chunk_size == 0:
        return torch.ones(length, length, dtype=torch.bool, device=device)
    position = torch.arange(length, device=device)
    return position < (position[:, None] // chunk_size + 1) * chunk_size


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """f32 [n, size] with sin at even and cos at odd columns, wavelengths 2 pi to 10000 * 2 pi."""
    columns = torch.arange(0, size, 2, dtype=torch.float32, device=positions.device)
    angles = positions.float()[:, None] * torch.exp(columns * -(math.log(10000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class RelativePositions(nn.Module):
    """Scales the input and gives the sinusoids of all distances between `size` positions."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.scale = math.sqrt(hidden_size)
        self.hidden_size = hidden_size
        self.dropout = nn.Dropout(dropout)
        self._table = torch.empty(0, hidden_size)  # grows; not part of the state

    def forward(self, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """x f32 [B, T, D] -> scaled x, and f32 [2 * size - 1, D] from distance size - 1 down to 1 - size."""
        return self.dropout(x * self.scale), self.dropout(self.distances(size, x))

    def distances(self, size: int, like: Tensor) -> Tensor:
        centre = len(self._table) // 2
        if centre < size or self._table.device != like.device:
            centre = max(1024, 2 * size)
            with torch.inference_mode(False):  # a table made while inferring must serve training too
                positions = torch.arange(centre, -centre - 1, -1, device=like.device)
                self._table = sinusoids(positions, self.hidden_size)
        return self._table[centre - size + 1 : centre + size].to(like.dtype)


class RelativeAttention(nn.Module):
    """Multi-head self-attention: content scores with bias u, distance scores with bias v."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, self.num_heads = config.hidden_size, config.num_heads
        self.head_dim = config.head_dim
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size, bias=config.has_key_bias)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(self.num_heads, self.head_dim))
        self.pos_bias_v = nn.Parameter(torch.empty(self.num_heads, self.head_dim))
        nn.init.xavier_uniform_(self.pos_bias_u)
        nn.init.xavier_uniform_(self.pos_bias_v)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, x: Tensor, mask: Tensor, distances: Tensor, cache: Tensor | None) -> tuple[Tensor, Tensor]:
        """x f32 [B, T, D], mask bool [B or 1, T, S], distances f32 [2 * S - 1, D] -> f32 [B, T, D], cache of S."""
        q, k, v = (self._split(linear(x)) for linear in (self.linear_q, self.linear_k, self.linear_v))
        if cache is not None:
            past_k, past_v = cache[..., : self.head_dim], cache[..., self.head_dim :]
            k, v = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
        weights = self._scores(q, k, distances).masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)
        # a query whose every key is hidden belongs to padding: zeros instead of 0 / 0
        weights = weights.masked_fill(~mask[:, None], 0.0)
        context = (self.dropout(weights) @ v).transpose(1, 2).flatten(2)
        return self.linear_out(context), torch.cat([k, v], dim=-1)

    def _scores(self, q: Tensor, k: Tensor, distances: Tensor) -> Tensor:
        p = self._split(self.linear_pos(distances)[None])
        content = (q + self.pos_bias_u[:, None]) @ k.transpose(-2, -1)
        position = (q + self.pos_bias_v[:, None]) @ p.transpose(-2, -1)
        return (content + shift_distances(position, k.shape[2])) / math.sqrt(self.head_dim)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)


def shift_distances(scores: Tensor, num_keys: int) -> Tensor:
    """f32 [B, H, T, 2 * S - 1] per distance -> f32 [B, H, T, S] per key, queries being the last T of S positions.

    The query at row i stands at position S - T + i, so key j is at distance S - T + i - j, column j + T - 1 - i.
    Padding one column and reading the rows one element later moves row i by exactly T - 1 - i.
    """
    num_queries, width = scores.shape[-2:]
    padded = nn.functional.pad(scores, (1, 0)).flatten(-2)
    return padded[..., num_queries:].reshape(*scores.shape[:2], num_queries, width)[..., :num_keys]


class FeedForward(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.w_1 = nn.Linear(config.hidden_size, config.ff_size)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)
        self.w_2 = nn.Linear(config.ff_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.w_2(self.dropout(self.activation(self.w_1(x))))
        return y


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each with a residual and a layer norm before or after it."""

    norm_names = ("norm1", "norm2")

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(config)
        self.feed_forward = FeedForward(config)
        for name in self.norm_names:
            self.add_module(name, nn.LayerNorm(config.hidden_size, eps=LAYER_NORM_EPS))
        self.dropout = nn.Dropout(config.dropout)
        self.normalize_before = config.normalize_before

    def forward(self, x: Tensor, mask: Tensor, distances: Tensor, cache: Tensor | None) -> tuple[Tensor, Tensor]:
        attention_norm, ff_norm = (self.get_submodule(name) for name in self.norm_names)
        if self.normalize_before:
            y, cache = self.self_attn(attention_norm(x), mask, distances, cache)
            x = x + self.dropout(y)
            return x + self.dropout(self.feed_forward(ff_norm(x))), cache
        y, cache = self.self_attn(x, mask, distances, cache)
        x = attention_norm(x + self.dropout(y))
        return ff_norm(x + self.dropout(self.feed_forward(x))), cache


class ConformerLayer(EncoderLayer):
    """The conformer layer without convolution and macaron is the same layer under other names."""

    norm_names = ("norm_mha", "norm_ff")


class InputLayer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        layers = [
            nn.Linear(config.input_size, config.hidden_size),
            nn.LayerNorm(config.hidden_size),
            nn.Dropout(config.dropout),
        ]
        self.out = nn.Sequential(*layers, *([nn.ReLU()] if config.input_layer == "linear_legacy" else []))
        self.pos_enc = RelativePositions(config.hidden_size, config.positional_dropout)

    def forward(self, x: Tensor, num_keys: int) -> tuple[Tensor, Tensor]:
        embedded: tuple[Tensor, Tensor] = self.pos_enc(self.out(x), num_keys)
        return embedded


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        layer = ConformerLayer if config.kind == "conformer" else EncoderLayer
        self.config = config
        self.embed = InputLayer(config)
        self.encoders = nn.ModuleList(layer(config) for _ in range(config.num_layers))
        self.after_norm = nn.LayerNorm(config.hidden_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x f32 [B, T, input_size], lengths i64 [B] -> f32 [B, T, hidden_size]; each position sees its chunk's past."""
        length = x.shape[1]
        mask = padding_mask(lengths, length)[:, None] & chunk_mask(length, self.config.static_chunk_size, x.device)
        return self._run(x, mask, None)[0]

    def step(self, x: Tensor, cache: KVCache | None = None) -> tuple[Tensor, KVCache]:
        """Causal continuation: x f32 [B, T, input_size] after the cached positions -> f32 [B, T, hidden_size], cache.

        All sequences of the batch have the same length. The cache grows by concatenation, and the positions are
        projected again: the plain form, against which faster ones are measured.
        """
        num_new = x.shape[1]
        num_past = cache[0].shape[2] if cache else 0
        position = torch.arange(num_past + num_new, device=x.device)
        return self._run(x, (position <= position[num_past:, None])[None], cache)

    def _run(self, x: Tensor, mask: Tensor, cache: KVCache | None) -> tuple[Tensor, KVCache]:
        x, distances = self.embed(x, mask.shape[-1])
        caches: KVCache = []
        for index, layer in enumerate(self.encoders):
            x, layer_cache = layer(x, mask, distances, cache[index] if cache else None)
            caches.append(layer_cache)
        return self.after_norm(x) if self.config.normalize_before else x, caches

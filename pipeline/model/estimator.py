"""The U-Net that estimates the velocity of the flow: Matcha-TTS's decoder (arXiv 2309.03199) with full attention."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import GROUP_NORM_GROUPS, EstimatorConfig

TIME_SCALE = 1000.0  # t in [0, 1] is embedded as if it were one of 1000 diffusion steps
MASKED_SCORE = -1e10  # finite, so that a sequence of padding alone gives no NaN


class TimeEmbedding(nn.Module):
    """Sinusoids of t, then a two-layer network; `time_mlp` in the checkpoint."""

    def __init__(self, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.linear_1 = nn.Linear(in_channels, hidden_size)
        self.linear_2 = nn.Linear(hidden_size, hidden_size)

    def forward(self, t: Tensor) -> Tensor:
        """t f32 [B] in [0, 1] -> f32 [B, hidden_size]."""
        half = self.in_channels // 2
        frequencies = torch.exp(torch.arange(half, device=t.device).float() * -(math.log(10000) / (half - 1)))
        angles = TIME_SCALE * t[:, None] * frequencies
        embedded: Tensor = self.linear_2(F.silu(self.linear_1(torch.cat([angles.sin(), angles.cos()], dim=-1))))
        return embedded


class ConvBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(GROUP_NORM_GROUPS, out_channels),
            nn.Mish(),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y: Tensor = self.block(x * mask) * mask
        return y


class ResnetBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, time_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_size, out_channels))
        self.block1 = ConvBlock(in_channels, out_channels)
        self.block2 = ConvBlock(out_channels, out_channels)
        self.res_conv = nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, mask: Tensor, time: Tensor) -> Tensor:
        h = self.block1(x, mask) + self.mlp(time)[..., None]
        y: Tensor = self.block2(h, mask) + self.res_conv(x * mask)
        return y


class Attention(nn.Module):
    def __init__(self, channels: int, num_heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        inner = num_heads * head_dim  # may differ from `channels`
        self.num_heads = num_heads
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels), nn.Dropout(dropout)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x f32 [B, T, C], bias f32 [B, 1, 1, T] added to the scores -> f32 [B, T, C]."""
        q, k, v = (
            linear(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for linear in (self.to_q, self.to_k, self.to_v)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)
        for module in self.to_out:
            y = module(y)
        return y


class GELUProjection(nn.Module):
    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class FeedForward(nn.Module):
    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        hidden_size = 4 * channels
        self.net = nn.Sequential(
            GELUProjection(channels, hidden_size), nn.Dropout(dropout), nn.Linear(hidden_size, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


class TransformerBlock(nn.Module):
    def __init__(self, config: EstimatorConfig, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, config.num_heads, config.head_dim, config.dropout)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, config.dropout)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x), bias)
        y: Tensor = x + self.ff(self.norm3(x))
        return y


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(channels, channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class TransformerBlocks(nn.ModuleList):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x f32 [B, C, T], mask f32 [B, 1, T] -> f32 [B, C, T]."""
        h = x.transpose(1, 2)
        bias = (1.0 - mask)[:, None] * MASKED_SCORE
        for block in self:
            h = block(h, bias)
        return h.transpose(1, 2)


class Stage(nn.ModuleList):
    """[resnet, transformer blocks, resampling], numbered as in the checkpoint; a middle stage has no resampling."""

    def __init__(self, config: EstimatorConfig, in_channels: int, channels: int, *resampling: nn.Module) -> None:
        resnet = ResnetBlock(in_channels, channels, config.time_size)
        blocks = TransformerBlocks(TransformerBlock(config, channels) for _ in range(config.num_blocks))
        super().__init__([resnet, blocks, *resampling])

    def forward(self, x: Tensor, mask: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """x f32 [B, in, T], mask f32 [B, 1, T] -> features f32 [B, C, T], and the same after resampling."""
        h = self[1](self[0](x, mask, time), mask)
        return h, self[2](h * mask) if len(self) > 2 else h


class ConditionalDecoder(nn.Module):
    """Velocity of the flow at time t. All stages but the last of each direction halve or double the rate."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        channels, last = config.channels, len(config.channels) - 1
        self.config = config
        self.time_mlp = TimeEmbedding(config.in_channels, config.time_size)
        self.down_blocks = nn.ModuleList(
            Stage(config, into, out, _conv3(out) if index == last else Downsample(out))
            for index, (into, out) in enumerate(pairwise((config.in_channels, *channels)))
        )
        self.mid_blocks = nn.ModuleList(Stage(config, channels[-1], channels[-1]) for _ in range(config.num_mid_blocks))
        self.up_blocks = nn.ModuleList(
            Stage(config, 2 * into, out, _conv3(out) if index == last else Upsample(out))
            for index, (into, out) in enumerate(pairwise((*channels[::-1], channels[0])))
        )
        self.final_block = ConvBlock(channels[0], channels[0])
        self.final_proj = nn.Conv1d(channels[0], config.out_channels, 1)
        self.apply(_initialize)

    def forward(self, x: Tensor, mask: Tensor, mu: Tensor, t: Tensor, speaker: Tensor, cond: Tensor) -> Tensor:
        """x, mu, cond f32 [B, mel, T], mask f32 [B, 1, T], t f32 [B], speaker f32 [B, mel] -> f32 [B, mel, T]."""
        time = self.time_mlp(t)
        h = torch.cat([x, mu, speaker[..., None].expand(-1, -1, x.shape[-1]), cond], dim=1)
        skips: list[tuple[Tensor, Tensor]] = []
        level_mask = mask
        for stage in self.down_blocks:
            features, h = stage(h, level_mask, time)
            skips.append((features, level_mask))
            level_mask = level_mask[..., ::2]
        for stage in self.mid_blocks:
            _, h = stage(h, skips[-1][1], time)
        for stage in self.up_blocks:
            skip, level_mask = skips.pop()
            _, h = stage(torch.cat([h[..., : skip.shape[-1]], skip], dim=1), level_mask, time)
        velocity: Tensor = self.final_proj(self.final_block(h, mask) * mask) * mask
        return velocity


def _conv3(channels: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, 3, padding=1)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)

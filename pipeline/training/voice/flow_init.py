"""Where the training of the velocity estimator starts: near the straight line from the noise to the mean mel.

A U-Net with its usual random start spends thousands of steps on learning to carry 80 dimensions of noise through
itself. Here it does so from the first, along its residual connections: were the mel known to be f, the velocity at x
would be (f - x) / (1 - t), which stays close to (1 + t) f - x where f is known with an error of half a neper. The
start has (1 + t) mel_mean + _SHARE * mel_std * mu - x. Every weight stays trainable.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from pipeline.model.config import GROUP_NORM_GROUPS
from pipeline.model.estimator import (
    ConditionalDecoder,
    ConvBlock,
    ResnetBlock,
    Stage,
    TransformerBlock,
    TransformerBlocks,
)

_BRANCH_GAIN = 0.02  # of what the blocks beside the straight line add to it
_NORM_GAIN = 0.1  # the same for norms, whose few weights would take long to grow
_SHARE = 1.36  # mean of 1 + t
_PILOT = 60.0  # constants that hold the last group norm's divisor nearly still, whatever the utterance
_SLOPE, _OFFSET = 0.25, 4.0  # velocities of -15 to 15 meet Mish where it is almost linear
_CLOCK_SLOPE = 2.0


@torch.no_grad()
def start_straight(estimator: ConditionalDecoder, mel_mean: Tensor, mel_std: Tensor) -> None:
    """Sets the estimator's weights; mel_mean, mel_std f32 [mel_bins] of the training data.

    Raises:
        ValueError: too narrow for x and mu side by side, or for the velocity, its opposite and the pilots.
    """
    bins, width = len(mel_mean), estimator.config.channels[0]
    group_size = width // GROUP_NORM_GROUPS
    if group_size < max(2 * math.ceil(bins / GROUP_NORM_GROUPS) + 2, 6) or width - group_size < 2 * bins:
        raise ValueError(f"{width} channels are too few to carry {bins} mel bins: take {2 * bins + 32} or more.")
    stages = cast(Stage, estimator.down_blocks[0]), cast(Stage, estimator.up_blocks[-1])
    for stage in stages:
        _soften(stage)
    down, up = (cast(ResnetBlock, stage[0]) for stage in stages)
    straight = torch.arange(2 * bins)  # x, then mu
    down.res_conv.weight[straight] = 0.0
    down.res_conv.weight[straight, straight] = 1.0
    _start_clock(estimator, down)
    skipped = up.res_conv.in_channels - width
    up.res_conv.weight[:, :skipped] *= _BRANCH_GAIN
    up.res_conv.weight[:, skipped:] = torch.eye(width)[..., None]
    cast(nn.Conv1d, stages[1][2]).weight[:] = _centre_tap(torch.eye(width))
    _start_last_layers(estimator, mel_mean, mel_std)


def _soften(stage: Stage) -> None:
    _layers(cast(ResnetBlock, stage[0]).block2)[1].weight.mul_(_NORM_GAIN)
    for block in cast(TransformerBlocks, stage[1]):
        transformer = cast(TransformerBlock, block)
        for layer in (transformer.attn1.to_out[0], transformer.ff.net[2]):
            cast(nn.Linear, layer).weight.mul_(_BRANCH_GAIN)


def _start_clock(estimator: ConditionalDecoder, resnet: ResnetBlock) -> None:
    """The first channel of the last group becomes _CLOCK_SLOPE * (t - 0.5) in every frame, up to 0.5 %.

    It comes from the time embedding through the second block, whose group norm is held still by pilots: the clock and
    its opposite vary by 1, four pilots are +-5.
    """
    width = len(resnet.res_conv.weight)
    group = slice(width - width // GROUP_NORM_GROUPS, width)
    clock, opposite = group.start, group.start + 1
    times = torch.linspace(0, 1, 501)
    features = nn.functional.pad(nn.functional.mish(estimator.time_mlp(times)), (0, 1), value=1.0)
    ridge = 1e-3 * torch.eye(features.shape[1])
    row = torch.linalg.solve(features.T @ features + ridge, features.T @ (times - 0.5))
    linear = cast(nn.Linear, resnet.mlp[1])
    linear.weight[clock], linear.bias[clock] = row[:-1], row[-1]
    for parameter in _layers(resnet.block1)[1].parameters():
        parameter[clock] = 0.0
    convolution, norm = _layers(resnet.block2)
    assert convolution.bias is not None
    convolution.weight[group] *= _BRANCH_GAIN
    convolution.weight[[clock, opposite]] = 0.0
    convolution.weight[clock, clock, 1], convolution.weight[opposite, clock, 1] = 1.0, -1.0
    convolution.bias[group.start + 2 : group.start + 6] = torch.tensor([5.0, -5.0, 5.0, -5.0])
    norm.weight[clock] = _CLOCK_SLOPE * math.sqrt((4 * 25.0 + 0.2) / (group.stop - group.start))
    norm.bias[clock] = _OFFSET
    resnet.res_conv.weight[group] = 0.0
    cast(Tensor, resnet.res_conv.bias)[clock] = -_OFFSET


def _start_last_layers(estimator: ConditionalDecoder, mel_mean: Tensor, mel_std: Tensor) -> None:
    """Each group of channels holds some bins of the velocity, their opposites, so that its mean is 0, and pilots."""
    bins, width = len(mel_mean), estimator.config.channels[0]
    size, per_group = width // GROUP_NORM_GROUPS, math.ceil(bins / GROUP_NORM_GROUPS)
    index = torch.arange(bins)
    plus = index // per_group * size + index % per_group
    minus = plus + per_group
    matrix, bias = torch.zeros(width, width), torch.zeros(width)
    pilots = bias.view(GROUP_NORM_GROUPS, size)[:, 2 * per_group :]
    num_pilots = pilots.shape[1] // 2 * 2
    pilots[:, 0:num_pilots:2], pilots[:, 1:num_pilots:2] = _PILOT, -_PILOT
    projection = torch.zeros(bins, width)
    for channel, sign in ((plus, 1.0), (minus, -1.0)):
        matrix[channel, index], matrix[channel, bins + index] = -sign, sign * _SHARE * mel_std
        matrix[channel, width - size] = sign * mel_mean / _CLOCK_SLOPE
        bias[channel] = sign * 1.5 * mel_mean
        projection[index, channel] = sign / (2 * _SLOPE)
    convolution, norm = _layers(estimator.final_block)
    assert convolution.bias is not None
    velocity_power = float((mel_mean**2 + mel_std**2).mean()) + 1
    power = (2 * per_group * velocity_power + num_pilots * _PILOT**2) / size
    convolution.weight[:], convolution.bias[:] = _centre_tap(matrix), bias
    norm.weight[torch.cat([plus, minus])] = _SLOPE * math.sqrt(power)
    norm.bias[torch.cat([plus, minus])] = _OFFSET
    estimator.final_proj.weight[:] = projection[..., None]
    nn.init.zeros_(cast(Tensor, estimator.final_proj.bias))


def _layers(block: ConvBlock) -> tuple[nn.Conv1d, nn.GroupNorm]:
    return cast(nn.Conv1d, block.block[0]), cast(nn.GroupNorm, block.block[1])


def _centre_tap(matrix: Tensor) -> Tensor:
    """[out, in] as a kernel of three frames that reads the middle one: [out, in, 3]."""
    return nn.functional.pad(matrix[..., None], (1, 1))

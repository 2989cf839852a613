"""First weights of the vocoder: the source passes straight through, and the F0 predictor says what is usual.

HiFT's last layer writes a log magnitude m and a phase p in [-1, 1] for each bin. Around a constant log magnitude c both
are linear: exp(c + m + ip) = exp(c) (1 + m + ip). The constant itself is a pulse at the edge of the frame, where the
window is 0. So a last layer that copies the source's spectrum to m and p gives the source back.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pipeline.model.hift import HiFTGenerator, ResBlock

GAIN, DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"  # of weight normalization

_HARMONIC_WEIGHT = 0.3
_USUAL_HZ = 120.0
_HZ_GAIN = 30.0  # the predictor's last layer adds up values near 1 to a hundred Hz
_OFFSET = 1.0  # keeps the copied channels positive, where the leaky ReLU before the last layer is linear
_LEVEL = -1.0  # c
_COPY_GAIN = 0.2
_REST = 0.2  # of the usual random weights beside the copy


@torch.no_grad()
def start_vocoder(vocoder: HiFTGenerator) -> None:
    vocoder.m_source.l_linear.weight.fill_(_HARMONIC_WEIGHT)
    vocoder.m_source.l_linear.bias.zero_()
    vocoder.f0_predictor.classifier.weight.mul_(_HZ_GAIN)
    vocoder.f0_predictor.classifier.bias.fill_(_USUAL_HZ)
    for block in (*vocoder.resblocks, *vocoder.source_resblocks):
        for conv in cast(ResBlock, block).convs2:
            _parameter(conv, GAIN).mul_(_REST)
            _parameter(conv, "bias").zero_()
    _wire_source_through(vocoder)


def _wire_source_through(vocoder: HiFTGenerator) -> None:
    """Real and imaginary part of the source's lowest bins become channels 2k, 2k + 1, and the last layer's m and p."""
    num_bins = vocoder.config.n_fft // 2 + 1
    into = cast(nn.Conv1d, vocoder.source_downs[-1])
    out = cast(nn.Conv1d, vocoder.conv_post)
    num_copied = min(num_bins, into.out_channels // 2)
    kernel, bias = _REST * out.weight, torch.zeros(2 * num_bins)
    middle = kernel.shape[2] // 2
    bias[:num_bins] = _LEVEL
    into.weight.mul_(_REST)
    into.weight[: 2 * num_copied] = 0.0
    for k in range(num_copied):
        for part, channel in ((k, 2 * k), (num_bins + k, 2 * k + 1)):
            into.weight[channel, part, 0] = 1.0
            kernel[part, channel, middle] += _COPY_GAIN
            bias[part] -= _COPY_GAIN * _OFFSET
    _parameter(into, "bias")[: 2 * num_copied] = _OFFSET
    _parameter(out, "bias").copy_(bias)
    _parameter(out, GAIN).copy_(kernel.norm(dim=(1, 2), keepdim=True))
    _parameter(out, DIRECTION).copy_(kernel)


def _parameter(module: nn.Module, name: str) -> Tensor:
    return module.get_parameter(name)

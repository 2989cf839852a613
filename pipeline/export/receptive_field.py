"""How many mel frames on either side a frame's F0 and its samples depend on, from the vocoder's dimensions alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model.config import HiFTConfig

F0_CONTEXT_FRAMES = 5  # five convolutions of kernel size 3
PRE_KERNEL_SIZE = POST_KERNEL_SIZE = 7


@dataclass(frozen=True, slots=True)
class Span:
    """Positions first..last of a signal, inclusive. Methods map outputs of a layer to the inputs that they need."""

    first: int
    last: int

    def through_conv(self, kernel: int, *, stride: int = 1, padding: int) -> Span:
        return Span(self.first * stride - padding, self.last * stride - padding + kernel - 1)

    def through_conv_transpose(self, kernel: int, *, stride: int, padding: int) -> Span:
        return Span(-((kernel - 1 - padding - self.first) // stride), (self.last + padding) // stride)

    def through_resblock(self, kernel: int, dilations: Sequence[int]) -> Span:
        reach = (kernel - 1) // 2 * sum(dilation + 1 for dilation in dilations)
        return Span(self.first - reach, self.last + reach)

    def shifted(self, offset: int) -> Span:
        return Span(self.first + offset, self.last + offset)

    def merge(self, other: Span) -> Span:
        return Span(min(self.first, other.first), max(self.last, other.last))


def receptive_field(config: HiFTConfig) -> int:
    """Mel frames on one side that the samples of a frame need, as mel or as source signal; the larger side."""
    hop = config.samples_per_frame
    samples = Span(0, hop - 1)
    spectrum = samples.through_conv_transpose(config.n_fft, stride=config.stft_hop, padding=config.n_fft // 2)
    x = spectrum.through_conv(POST_KERNEL_SIZE, padding=POST_KERNEL_SIZE // 2)
    needed = samples
    for stage in reversed(range(len(config.upsample_rates))):
        x = _widest(x, config.resblock_kernel_sizes, config.resblock_dilations)
        needed = needed.merge(_source_samples(config, x, stage))
        if stage == len(config.upsample_rates) - 1:
            x = x.shifted(-1)  # one frame is put in front, so that the spectrum has as many
        kernel, rate = config.upsample_kernel_sizes[stage], config.upsample_rates[stage]
        x = x.through_conv_transpose(kernel, stride=rate, padding=(kernel - rate) // 2)
    mel = x.through_conv(PRE_KERNEL_SIZE, padding=PRE_KERNEL_SIZE // 2)
    source = Span(needed.first // hop, needed.last // hop)
    frames = mel.merge(source)
    return max(-frames.first, frames.last)


def f0_receptive_field() -> int:
    return F0_CONTEXT_FRAMES


def _widest(x: Span, kernels: Sequence[int], dilations: Sequence[Sequence[int]]) -> Span:
    spans = [x.through_resblock(kernel, dilation) for kernel, dilation in zip(kernels, dilations, strict=True)]
    return max(spans, key=lambda span: span.last)


def _source_samples(config: HiFTConfig, x: Span, stage: int) -> Span:
    """Source samples that positions x of the stage need through the source branch."""
    x = x.through_resblock(config.source_resblock_kernel_sizes[stage], config.source_resblock_dilations[stage])
    rate = math.prod(config.upsample_rates[stage + 1 :])
    spectrum = x if rate == 1 else x.through_conv(2 * rate, stride=rate, padding=rate // 2)
    return spectrum.through_conv(config.n_fft, stride=config.stft_hop, padding=config.n_fft // 2)

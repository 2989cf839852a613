"""What a frame's F0 and its samples depend on, in mel and inside the vocoder, from the vocoder's dimensions alone."""

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


@dataclass(frozen=True, slots=True)
class StageSpan:
    """What the samples of frame 0 need of one upsampling stage."""

    upsampled: Span  # of the signal that it upsamples
    spectrum: Span  # of the source spectrum
    blocks: Span  # where its resblocks begin, after the upsampling
    spectrum_rate: int  # positions of the spectrum for one of the signal that is upsampled

    @property
    def inputs(self) -> Span:
        """Of the signal that is upsampled, so that as much of the spectrum is enough as well."""
        first, last = self.spectrum.first // self.spectrum_rate, self.spectrum.last // self.spectrum_rate
        return self.upsampled.merge(Span(first, last))


def stage_spans(config: HiFTConfig) -> list[StageSpan]:
    samples = Span(0, config.samples_per_frame - 1)
    spectrum = samples.through_conv_transpose(config.n_fft, stride=config.stft_hop, padding=config.n_fft // 2)
    x = spectrum.through_conv(POST_KERNEL_SIZE, padding=POST_KERNEL_SIZE // 2)
    spans: list[StageSpan] = []
    for stage in reversed(range(len(config.upsample_rates))):
        spans.insert(0, _stage_span(config, stage, _widest(x, config.resblock_kernel_sizes, config.resblock_dilations)))
        x = spans[0].upsampled
    return spans


def receptive_field(config: HiFTConfig) -> int:
    """Mel frames on one side that the samples of a frame need, as mel or as source signal; the larger side."""
    hop, spans = config.samples_per_frame, stage_spans(config)
    frames = spans[0].upsampled.through_conv(PRE_KERNEL_SIZE, padding=PRE_KERNEL_SIZE // 2)
    for span in spans:
        source = span.spectrum.through_conv(config.n_fft, stride=config.stft_hop, padding=config.n_fft // 2)
        frames = frames.merge(Span(source.first // hop, source.last // hop))
    return max(-frames.first, frames.last)


def f0_receptive_field() -> int:
    return F0_CONTEXT_FRAMES


def _stage_span(config: HiFTConfig, stage: int, blocks: Span) -> StageSpan:
    kernel, rate = config.upsample_kernel_sizes[stage], config.upsample_rates[stage]
    is_last = stage == len(config.upsample_rates) - 1
    x = blocks.shifted(-1) if is_last else blocks  # one frame is put in front, so that the spectrum has as many
    return StageSpan(
        upsampled=x.through_conv_transpose(kernel, stride=rate, padding=(kernel - rate) // 2),
        spectrum=_source_spectrum(config, blocks, stage),
        blocks=blocks,
        spectrum_rate=math.prod(config.upsample_rates[stage:]),
    )


def _widest(x: Span, kernels: Sequence[int], dilations: Sequence[Sequence[int]]) -> Span:
    spans = [x.through_resblock(kernel, dilation) for kernel, dilation in zip(kernels, dilations, strict=True)]
    return max(spans, key=lambda span: span.last)


def _source_spectrum(config: HiFTConfig, x: Span, stage: int) -> Span:
    """Of the source spectrum, for positions x of the stage."""
    x = x.through_resblock(config.source_resblock_kernel_sizes[stage], config.source_resblock_dilations[stage])
    rate = math.prod(config.upsample_rates[stage + 1 :])
    return x if rate == 1 else x.through_conv(2 * rate, stride=rate, padding=rate // 2)

"""Settings of the vocoder, as cosyvoice.yaml gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.model.flow_config import SAMPLE_RATE
from pipeline.model.plain_yaml import Section


@dataclass(frozen=True, slots=True)
class HiFTConfig:
    """Harmonic source and inverse-STFT vocoder (HiFTNet, arXiv 2309.09493)."""

    mel_bins: int
    sample_rate: int
    base_channels: int
    num_harmonics: int  # sines: the fundamental and its overtones
    sine_amplitude: float
    noise_std: float
    voiced_threshold_hz: float
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    n_fft: int
    stft_hop: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    source_resblock_kernel_sizes: tuple[int, ...]
    source_resblock_dilations: tuple[tuple[int, ...], ...]
    lrelu_slope: float
    audio_limit: float
    f0_channels: int

    @property
    def samples_per_frame(self) -> int:
        return math.prod(self.upsample_rates) * self.stft_hop


def read_hift(section: Section) -> HiFTConfig:
    stft = section.section("istft_params", {"n_fft": 16, "hop_len": 4})
    predictor = section.part("f0_predictor", ("ConvRNNF0Predictor",))
    predictor.choice("num_class", (1,), 1)
    rates = section.integers("upsample_rates", [8, 8])
    kernels = section.integers("resblock_kernel_sizes", [3, 7, 11])
    hift = HiFTConfig(
        mel_bins=section.integer("in_channels", 80),
        sample_rate=section.choice("sampling_rate", (SAMPLE_RATE,), SAMPLE_RATE),
        base_channels=section.integer("base_channels", 512),
        num_harmonics=section.integer("nb_harmonics", 8, minimum=0) + 1,
        sine_amplitude=section.number("nsf_alpha", 0.1),
        noise_std=section.number("nsf_sigma", 0.003),
        voiced_threshold_hz=section.number("nsf_voiced_threshold", 10),
        upsample_rates=rates,
        upsample_kernel_sizes=section.integers("upsample_kernel_sizes", [16, 16])[: len(rates)],
        n_fft=stft.integer("n_fft", minimum=2),
        stft_hop=stft.integer("hop_len"),
        resblock_kernel_sizes=kernels,
        resblock_dilations=section.integer_lists("resblock_dilation_sizes", [[1, 3, 5]] * 3)[: len(kernels)],
        source_resblock_kernel_sizes=section.integers("source_resblock_kernel_sizes", [7, 11])[: len(rates)],
        source_resblock_dilations=section.integer_lists("source_resblock_dilation_sizes", [[1, 3, 5]] * 2)[
            : len(rates)
        ],
        lrelu_slope=section.number("lrelu_slope", 0.1, minimum=-1e9),
        audio_limit=section.number("audio_limit", 0.99),
        f0_channels=predictor.integer("cond_channels", 512),
    )
    section.agree("f0_predictor.in_channels", predictor.integer("in_channels", 80), "in_channels", hift.mel_bins)
    _check_upsampling(section, hift)
    _check_resblocks(section, hift)
    return hift


def _check_upsampling(section: Section, hift: HiFTConfig) -> None:
    rates, kernels = hift.upsample_rates, hift.upsample_kernel_sizes
    if not rates or len(rates) != len(kernels):
        raise section.error("upsample_kernel_sizes", f"{len(kernels)} sizes for {len(rates)} upsample_rates")
    for rate, kernel in zip(rates, kernels, strict=True):
        if kernel < rate or (kernel - rate) % 2:
            raise section.error("upsample_kernel_sizes", f"{kernel} is not {rate}, its rate, plus an even number")
    if hift.base_channels >> len(rates) == 0:
        raise section.error("base_channels", f"{hift.base_channels} cannot be halved {len(rates)} times")
    if hift.n_fft % 2 or hift.stft_hop >= hift.n_fft:
        raise section.error("istft_params", f"n_fft {hift.n_fft} is odd or not above hop_len {hift.stft_hop}")


def _check_resblocks(section: Section, hift: HiFTConfig) -> None:
    for prefix, kernels, dilations, num_needed in (
        ("resblock", hift.resblock_kernel_sizes, hift.resblock_dilations, 1),
        (
            "source_resblock",
            hift.source_resblock_kernel_sizes,
            hift.source_resblock_dilations,
            len(hift.upsample_rates),
        ),
    ):
        if len(kernels) < num_needed or any(kernel % 2 == 0 for kernel in kernels):
            raise section.error(f"{prefix}_kernel_sizes", f"{list(kernels)} are not {num_needed} or more odd numbers")
        if len(kernels) != len(dilations):
            raise section.error(f"{prefix}_dilation_sizes", f"{len(dilations)} lists for {len(kernels)} kernel sizes")

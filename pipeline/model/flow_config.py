"""Settings of the flow from speech tokens to a mel spectrogram, as cosyvoice.yaml gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.model.encoder_config import ENCODERS, EncoderConfig, read_encoder
from pipeline.model.plain_yaml import Section

SAMPLE_RATE = 22050  # Hz, of every CosyVoice-1 model
MEL_HOP = 256  # samples between mel frames, fixed in the official inference
GROUP_NORM_GROUPS = 8  # of every group norm in the estimator (Matcha-TTS)


@dataclass(frozen=True, slots=True)
class RegulatorConfig:
    """Convolutions after the interpolation from token rate to mel rate."""

    channels: int
    out_channels: int
    num_convs: int
    num_groups: int


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """The U-Net that gives the velocity of the flow."""

    in_channels: int  # x, mu, speaker and condition side by side
    out_channels: int
    channels: tuple[int, ...]
    num_blocks: int  # transformer blocks in each stage
    num_mid_blocks: int
    num_heads: int
    head_dim: int
    dropout: float

    @property
    def time_size(self) -> int:
        return 4 * self.channels[0]


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Conditional flow matching from speech tokens to a mel spectrogram."""

    num_tokens: int
    token_rate: float  # tokens per second
    embedding_size: int
    mel_bins: int
    speaker_size: int
    encoder: EncoderConfig
    regulator: RegulatorConfig
    estimator: EstimatorConfig
    schedule: Literal["cosine", "linear"]
    guidance: float  # classifier-free guidance rate of inference
    training_guidance_drop: float  # how often training hides the condition
    sigma_min: float

    def num_mel_frames(self, num_tokens: int) -> int:
        """Mel frames of `num_tokens` tokens, truncated in the official order of operations."""
        return int(num_tokens / self.token_rate * SAMPLE_RATE / MEL_HOP)


def read_flow(section: Section) -> FlowConfig:
    cfm = section.part("decoder", ("ConditionalCFM",))
    params = cfm.section("cfm_params")
    params = params.section("content") if params.has("content") else params
    params.choice("solver", ("euler",), "euler")
    flow = FlowConfig(
        num_tokens=section.integer("vocab_size", 4096),
        token_rate=section.number("input_frame_rate", 50, minimum=1.0),
        embedding_size=section.integer("input_size", 512),
        mel_bins=section.integer("output_size", 80),
        speaker_size=section.integer("spk_embed_dim", 192),
        encoder=read_encoder(section.part("encoder", ENCODERS)),
        regulator=_regulator(section.part("length_regulator", ("InterpolateRegulator",))),
        estimator=_estimator(cfm.part("estimator", ("ConditionalDecoder",))),
        schedule=params.choice("t_scheduler", ("cosine", "linear")),
        guidance=params.number("inference_cfg_rate"),
        training_guidance_drop=params.number("training_cfg_rate", maximum=1.0),
        sigma_min=params.number("sigma_min", 1e-4, maximum=1.0),
    )
    bins = flow.mel_bins
    section.agree("encoder.input_size", flow.encoder.input_size, "input_size", flow.embedding_size)
    section.agree("length_regulator.channels", flow.regulator.channels, "output_size", bins)
    section.agree("length_regulator.out_channels", flow.regulator.out_channels, "output_size", bins)
    section.agree("decoder.estimator.in_channels", flow.estimator.in_channels, "4 * output_size", 4 * bins)
    section.agree("decoder.estimator.out_channels", flow.estimator.out_channels, "output_size", bins)
    return flow


def _regulator(section: Section) -> RegulatorConfig:
    channels = section.integer("channels")
    num_groups = section.integer("groups", 1)
    if channels % num_groups:
        raise section.error("groups", f"{channels} channels do not divide into {num_groups} groups")
    out_channels = section.integer("out_channels") if section.has("out_channels") else channels
    return RegulatorConfig(channels, out_channels, section.length("sampling_ratios"), num_groups)


def _estimator(section: Section) -> EstimatorConfig:
    section.choice("act_fn", ("gelu",), "snake")
    channels = section.integers("channels", [256, 256])
    if section.integer("in_channels", minimum=4) % 2:
        raise section.error("in_channels", "an odd number has no sinusoidal time embedding")
    if not channels or any(width % GROUP_NORM_GROUPS for width in channels):
        raise section.error("channels", f"{list(channels)} are not all multiples of {GROUP_NORM_GROUPS}")
    return EstimatorConfig(
        in_channels=section.integer("in_channels"),
        out_channels=section.integer("out_channels"),
        channels=channels,
        num_blocks=section.integer("n_blocks", 1, minimum=0),
        num_mid_blocks=section.integer("num_mid_blocks", 2, minimum=0),
        num_heads=section.integer("num_heads", 4),
        head_dim=section.integer("attention_head_dim", 64),
        dropout=section.number("dropout", 0.05, maximum=1.0),
    )

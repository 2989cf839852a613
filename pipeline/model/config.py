"""Dimensions and settings of a CosyVoice-1 checkpoint, read from its cosyvoice.yaml as plain data.

A key that the file leaves out has the default of the official class, also where that default is then refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import BundleError
from pipeline.model.plain_yaml import REQUIRED, Section, read_plain_yaml

SAMPLE_RATE = 22050  # Hz, of every CosyVoice-1 model
MEL_HOP = 256  # samples between mel frames, fixed in the official inference
GROUP_NORM_GROUPS = 8  # of every group norm in the estimator (Matcha-TTS)


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """A stack of self-attention layers with relative positions (Transformer-XL, arXiv 1901.02860)."""

    kind: Literal["conformer", "transformer"]  # names the layer norms; conformers here have no convolution, no macaron
    input_size: int
    hidden_size: int
    num_heads: int
    ff_size: int
    num_layers: int
    input_layer: Literal["linear", "linear_legacy"]  # the legacy one ends in a ReLU
    activation: Literal["relu", "swish", "gelu"]
    normalize_before: bool
    static_chunk_size: int  # 0: every position sees all; n: positions see up to the end of their chunk of n
    has_key_bias: bool
    dropout: float
    positional_dropout: float
    attention_dropout: float

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """Repetition-aware sampling, VALL-E 2 (arXiv 2406.05370), section 4.2."""

    top_p: float
    top_k: int
    window: int
    tau_r: float


@dataclass(frozen=True, slots=True)
class LMConfig:
    """The speech-token language model. The end token's id is `num_speech_tokens`."""

    num_text_tokens: int
    num_speech_tokens: int
    text_embedding_size: int
    input_size: int
    output_size: int
    speaker_size: int
    text_encoder: EncoderConfig
    decoder: EncoderConfig
    sampling: SamplingConfig
    label_smoothing: float
    length_normalized_loss: bool


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


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """The text tokenizer that the yaml names, with the settings of Whisper's `get_tokenizer`."""

    name: str  # "whisper.tokenizer.get_tokenizer" or "cosyvoice.tokenizer.tokenizer.get_tokenizer"
    multilingual: bool
    num_languages: int
    language: str
    task: str


@dataclass(frozen=True, slots=True)
class ModelConfig:
    sample_rate: int
    token_rate: float
    lm: LMConfig
    flow: FlowConfig
    hift: HiFTConfig
    tokenizer: TokenizerConfig | None  # None: the file holds model sections only


def read_config(path: str | Path) -> ModelConfig:
    """Reads cosyvoice.yaml. Raises BundleError naming file, key and cure; runs nothing that the file names."""
    top = read_plain_yaml(Path(path))
    sample_rate = top.choice("sample_rate", (SAMPLE_RATE,))
    lm = _lm(_model(top, "llm", "TransformerLM"))
    flow = _flow(_model(top, "flow", "MaskedDiffWithXvec"))
    hift = _hift(_model(top, "hift", "HiFTGenerator"))
    _agree(top, "flow.vocab_size", flow.num_tokens, "llm.speech_token_size", lm.num_speech_tokens)
    _agree(top, "flow.spk_embed_dim", flow.speaker_size, "llm.spk_embed_dim", lm.speaker_size)
    _agree(top, "hift.in_channels", hift.mel_bins, "flow.output_size", flow.mel_bins)
    return ModelConfig(sample_rate, flow.token_rate, lm, flow, hift, _tokenizer(top))


def _model(top: Section, key: str, class_name: str) -> Section:
    section = top.section(key)
    if section.class_name != class_name:
        raise BundleError(
            f"{top.file}: {key}: architecture {section.class_name or 'without a !new: tag'} is not supported: only "
            f"CosyVoice-1 (300M, 300M-25Hz, SFT, Instruct) is, whose {key} is {class_name}. Export such a checkpoint."
        )
    return section


def _part(parent: Section, key: str, class_names: tuple[str, ...], default: Any = REQUIRED) -> Section:
    section = parent.section(key, default)
    if section.class_name not in class_names:
        raise parent.error(key, f"{section.class_name or 'no class'} is not supported, only {' or '.join(class_names)}")
    return section


def _agree(section: Section, key: str, value: int, other_key: str, other: int) -> None:
    if value != other:
        raise section.error(key, f"{value} does not fit {other_key}, which is {other}")


def _lm(section: Section) -> LMConfig:
    lm = LMConfig(
        num_text_tokens=section.integer("text_token_size"),
        num_speech_tokens=section.integer("speech_token_size"),
        text_embedding_size=section.integer("text_encoder_input_size"),
        input_size=section.integer("llm_input_size"),
        output_size=section.integer("llm_output_size"),
        speaker_size=section.integer("spk_embed_dim", 192),
        text_encoder=_encoder(_part(section, "text_encoder", tuple(_ENCODERS))),
        decoder=_encoder(_part(section, "llm", tuple(_ENCODERS))),
        sampling=_sampling(_part(section, "sampling", ("ras_sampling",))),
        label_smoothing=section.number("lsm_weight", 0.0, maximum=1.0),
        length_normalized_loss=section.flag("length_normalized_loss", True),
    )
    _agree(
        section,
        "text_encoder.input_size",
        lm.text_encoder.input_size,
        "text_encoder_input_size",
        lm.text_embedding_size,
    )
    _agree(section, "llm.input_size", lm.decoder.input_size, "llm_input_size", lm.input_size)
    _agree(section, "llm.output_size", lm.decoder.hidden_size, "llm_output_size", lm.output_size)
    return lm


def _sampling(section: Section) -> SamplingConfig:
    return SamplingConfig(
        top_p=section.number("top_p", 0.8, maximum=1.0),
        top_k=section.integer("top_k", 25),
        window=section.integer("win_size", 10),
        tau_r=section.number("tau_r", 0.1),
    )


# what the official classes take when the file leaves a key out
_ENCODERS: dict[str, dict[str, Any]] = {
    "ConformerEncoder": {
        "kind": "conformer",
        "pos_enc_layer_type": "rel_pos",
        "selfattention_layer_type": "rel_selfattn",
        "activation_type": "swish",
        "macaron_style": True,
        "use_cnn_module": True,
    },
    "TransformerEncoder": {
        "kind": "transformer",
        "pos_enc_layer_type": "abs_pos",
        "selfattention_layer_type": "selfattn",
        "activation_type": "relu",
        "macaron_style": False,
        "use_cnn_module": False,
    },
}


def _encoder(section: Section) -> EncoderConfig:
    defaults = _ENCODERS[section.class_name]
    section.choice("pos_enc_layer_type", ("rel_pos_espnet",), defaults["pos_enc_layer_type"])
    section.choice("selfattention_layer_type", ("rel_selfattn",), defaults["selfattention_layer_type"])
    for switch in ("macaron_style", "use_cnn_module"):
        section.choice(switch, (False,), defaults[switch])
    section.choice("use_dynamic_chunk", (False,), False)
    section.choice("global_cmvn", (None,), None)
    encoder = EncoderConfig(
        kind=defaults["kind"],
        input_size=section.integer("input_size"),
        hidden_size=section.integer("output_size", 256, minimum=2),
        num_heads=section.integer("attention_heads", 4),
        ff_size=section.integer("linear_units", 2048),
        num_layers=section.integer("num_blocks", 6),
        input_layer=section.choice("input_layer", ("linear", "linear_legacy"), "conv2d"),
        activation=section.choice("activation_type", ("relu", "swish", "gelu"), defaults["activation_type"]),
        normalize_before=section.flag("normalize_before", True),
        static_chunk_size=section.integer("static_chunk_size", 0, minimum=0),
        has_key_bias=section.flag("key_bias", True),
        dropout=section.number("dropout_rate", 0.1, maximum=1.0),
        positional_dropout=section.number("positional_dropout_rate", 0.1, maximum=1.0),
        attention_dropout=section.number("attention_dropout_rate", 0.0, maximum=1.0),
    )
    if encoder.hidden_size % encoder.num_heads or encoder.hidden_size % 2:
        raise section.error(
            "output_size", f"{encoder.hidden_size} is odd or not divisible by {encoder.num_heads} attention_heads"
        )
    return encoder


def _flow(section: Section) -> FlowConfig:
    cfm = _part(section, "decoder", ("ConditionalCFM",))
    params = cfm.section("cfm_params")
    params = params.section("content") if params.has("content") else params
    params.choice("solver", ("euler",), "euler")
    flow = FlowConfig(
        num_tokens=section.integer("vocab_size", 4096),
        token_rate=section.number("input_frame_rate", 50, minimum=1.0),
        embedding_size=section.integer("input_size", 512),
        mel_bins=section.integer("output_size", 80),
        speaker_size=section.integer("spk_embed_dim", 192),
        encoder=_encoder(_part(section, "encoder", tuple(_ENCODERS))),
        regulator=_regulator(_part(section, "length_regulator", ("InterpolateRegulator",))),
        estimator=_estimator(_part(cfm, "estimator", ("ConditionalDecoder",))),
        schedule=params.choice("t_scheduler", ("cosine", "linear")),
        guidance=params.number("inference_cfg_rate"),
        training_guidance_drop=params.number("training_cfg_rate", maximum=1.0),
        sigma_min=params.number("sigma_min", 1e-4, maximum=1.0),
    )
    bins = flow.mel_bins
    _agree(section, "encoder.input_size", flow.encoder.input_size, "input_size", flow.embedding_size)
    _agree(section, "length_regulator.channels", flow.regulator.channels, "output_size", bins)
    _agree(section, "length_regulator.out_channels", flow.regulator.out_channels, "output_size", bins)
    _agree(section, "decoder.estimator.in_channels", flow.estimator.in_channels, "4 * output_size", 4 * bins)
    _agree(section, "decoder.estimator.out_channels", flow.estimator.out_channels, "output_size", bins)
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


def _hift(section: Section) -> HiFTConfig:
    stft = section.section("istft_params", {"n_fft": 16, "hop_len": 4})
    predictor = _part(section, "f0_predictor", ("ConvRNNF0Predictor",))
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
    _agree(section, "f0_predictor.in_channels", predictor.integer("in_channels", 80), "in_channels", hift.mel_bins)
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


def _tokenizer(top: Section) -> TokenizerConfig | None:
    if not top.has("get_tokenizer"):
        return None
    section = top.section("get_tokenizer")
    return TokenizerConfig(
        name=section.tag_target,
        multilingual=section.flag("multilingual", True),
        num_languages=section.integer("num_languages", 99),
        language=section.text("language", "en"),
        task=section.text("task", "transcribe"),
    )

"""Settings of the speech-token language model, as cosyvoice.yaml gives them."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.encoder_config import ENCODERS, EncoderConfig, read_encoder
from pipeline.model.plain_yaml import Section


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


def read_lm(section: Section) -> LMConfig:
    lm = LMConfig(
        num_text_tokens=section.integer("text_token_size"),
        num_speech_tokens=section.integer("speech_token_size"),
        text_embedding_size=section.integer("text_encoder_input_size"),
        input_size=section.integer("llm_input_size"),
        output_size=section.integer("llm_output_size"),
        speaker_size=section.integer("spk_embed_dim", 192),
        text_encoder=read_encoder(section.part("text_encoder", ENCODERS)),
        decoder=read_encoder(section.part("llm", ENCODERS)),
        sampling=_sampling(section.part("sampling", ("ras_sampling",))),
        label_smoothing=section.number("lsm_weight", 0.0, maximum=1.0),
        length_normalized_loss=section.flag("length_normalized_loss", True),
    )
    text_input = lm.text_encoder.input_size
    section.agree("text_encoder.input_size", text_input, "text_encoder_input_size", lm.text_embedding_size)
    section.agree("llm.input_size", lm.decoder.input_size, "llm_input_size", lm.input_size)
    section.agree("llm.output_size", lm.decoder.hidden_size, "llm_output_size", lm.output_size)
    return lm


def _sampling(section: Section) -> SamplingConfig:
    return SamplingConfig(
        top_p=section.number("top_p", 0.8, maximum=1.0),
        top_k=section.integer("top_k", 25),
        window=section.integer("win_size", 10),
        tau_r=section.number("tau_r", 0.1),
    )

"""Dimensions and settings of a CosyVoice-1 checkpoint, read from its cosyvoice.yaml as plain data.

A key that the file leaves out has the default of the official class, also where that default is then refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BundleError
from pipeline.model.encoder_config import EncoderConfig
from pipeline.model.flow_config import (
    GROUP_NORM_GROUPS,
    MEL_HOP,
    SAMPLE_RATE,
    EstimatorConfig,
    FlowConfig,
    RegulatorConfig,
    read_flow,
)
from pipeline.model.hift_config import HiFTConfig, read_hift
from pipeline.model.lm_config import LMConfig, SamplingConfig, read_lm
from pipeline.model.plain_yaml import Section, read_plain_yaml

__all__ = [
    "GROUP_NORM_GROUPS",
    "MEL_HOP",
    "SAMPLE_RATE",
    "EncoderConfig",
    "EstimatorConfig",
    "FlowConfig",
    "HiFTConfig",
    "LMConfig",
    "ModelConfig",
    "RegulatorConfig",
    "SamplingConfig",
    "TokenizerConfig",
    "read_config",
]


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
    lm = read_lm(_model(top, "llm", "TransformerLM"))
    flow = read_flow(_model(top, "flow", "MaskedDiffWithXvec"))
    hift = read_hift(_model(top, "hift", "HiFTGenerator"))
    if flow.num_tokens < lm.num_speech_tokens:
        raise top.error("flow.vocab_size", f"{flow.num_tokens} is below llm.speech_token_size {lm.num_speech_tokens}")
    top.agree("flow.spk_embed_dim", flow.speaker_size, "llm.spk_embed_dim", lm.speaker_size)
    top.agree("hift.in_channels", hift.mel_bins, "flow.output_size", flow.mel_bins)
    return ModelConfig(sample_rate, flow.token_rate, lm, flow, hift, _tokenizer(top))


def _model(top: Section, key: str, class_name: str) -> Section:
    section = top.section(key)
    if section.class_name != class_name:
        raise BundleError(
            f"{top.file}: {key}: architecture {section.class_name or 'without a !new: tag'} is not supported: only "
            f"CosyVoice-1 (300M, 300M-25Hz, SFT, Instruct) is, whose {key} is {class_name}. Export such a checkpoint."
        )
    return section


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

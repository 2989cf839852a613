"""Writes what was trained as an official CosyVoice-1 checkpoint folder, as `cosyvoice-serve export` takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from torch import Tensor

from pipeline.export.tokenizer_files import UNITS_FILE
from pipeline.model.config import SAMPLE_RATE, EncoderConfig, FlowConfig, HiFTConfig, LMConfig, ModelConfig
from pipeline.model.hift import HiFTGenerator
from pipeline.training.voice.dataset import TOKENS_FILE
from pipeline.training.voice.flow_model import VoiceFlow
from pipeline.training.voice.lm_model import VoiceLM
from pipeline.training.voice.speakers import SPEAKERS, speaker_vectors

_HEAD = (
    "# Written by `cosyvoice-serve train`: the official CosyVoice-1 architecture in the bundled voice's dimensions\n"
)


def write_checkpoint(data: Path, lm: VoiceLM, flow: VoiceFlow, vocoder: HiFTGenerator, folder: Path) -> None:
    """Fills `folder` with cosyvoice.yaml, llm.pt, flow.pt, hift.pt, spk2info.pt, tokens.txt and units.json.

    Args:
        data: the dataset whose text symbols and speech tokens the models were trained with.
    """
    config = ModelConfig(SAMPLE_RATE, flow.flow.config.token_rate, lm.config, flow.flow.config, vocoder.config, None)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cosyvoice.yaml").write_text(config_text(config), "utf-8")
    torch.save(_halved(lm.checkpoint()), folder / "llm.pt")
    torch.save(_halved(flow.checkpoint()), folder / "flow.pt")
    # the vocoder's weights are products of a gain and a direction, which would not keep the rounding
    torch.save(vocoder.state_dict(), folder / "hift.pt")
    torch.save(_speakers(), folder / "spk2info.pt")
    for name in (TOKENS_FILE, UNITS_FILE):
        copyfile(data / name, folder / name)


def _halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices rounded to what 16 bits hold, so that a bundle stores them in half the bytes."""
    return {name: value.half().float() if value.ndim > 1 else value for name, value in state.items()}


def _speakers() -> dict[str, dict[str, Tensor]]:
    vectors = torch.from_numpy(speaker_vectors())
    return {speaker.name: {"embedding": row[None].clone()} for speaker, row in zip(SPEAKERS, vectors, strict=True)}


@dataclass(frozen=True, slots=True)
class _Node:
    """A mapping of the yaml with the tag that names its class."""

    tag: str
    values: dict[str, Any]


def config_text(config: ModelConfig) -> str:
    """The cosyvoice.yaml that `read_config` reads as `config`; a tokenizer is not written."""
    sections = {
        "sample_rate": config.sample_rate,
        "llm": _lm(config.lm),
        "flow": _flow(config.flow),
        "hift": _hift(config.hift),
    }
    return _HEAD + "\n".join(_lines(sections, "")) + "\n"


def _lines(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, _Node):
            yield f"{indent}{key}: {value.tag}"
            yield from _lines(value.values, indent + "    ")
        elif isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "    ")
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    return repr(value)


def _lm(lm: LMConfig) -> _Node:
    sampling = {
        "top_p": lm.sampling.top_p,
        "top_k": lm.sampling.top_k,
        "win_size": lm.sampling.window,
        "tau_r": lm.sampling.tau_r,
    }
    return _Node(
        "!new:cosyvoice.llm.llm.TransformerLM",
        {
            "text_encoder_input_size": lm.text_embedding_size,
            "llm_input_size": lm.input_size,
            "llm_output_size": lm.output_size,
            "text_token_size": lm.num_text_tokens,
            "speech_token_size": lm.num_speech_tokens,
            "length_normalized_loss": lm.length_normalized_loss,
            "lsm_weight": lm.label_smoothing,
            "spk_embed_dim": lm.speaker_size,
            "text_encoder": _encoder(lm.text_encoder),
            "llm": _encoder(lm.decoder),
            "sampling": _Node("!name:cosyvoice.utils.common.ras_sampling", sampling),
        },
    )


def _encoder(encoder: EncoderConfig) -> _Node:
    is_conformer = encoder.kind == "conformer"
    name = "ConformerEncoder" if is_conformer else "TransformerEncoder"
    values = {
        "input_size": encoder.input_size,
        "output_size": encoder.hidden_size,
        "attention_heads": encoder.num_heads,
        "linear_units": encoder.ff_size,
        "num_blocks": encoder.num_layers,
        "dropout_rate": encoder.dropout,
        "positional_dropout_rate": encoder.positional_dropout,
        "attention_dropout_rate": encoder.attention_dropout,
        "normalize_before": encoder.normalize_before,
        "input_layer": encoder.input_layer,
        "pos_enc_layer_type": "rel_pos_espnet",
        "selfattention_layer_type": "rel_selfattn",
        "activation_type": encoder.activation,
        "static_chunk_size": encoder.static_chunk_size,
        "key_bias": encoder.has_key_bias,
    }
    without = {"use_cnn_module": False, "macaron_style": False} if is_conformer else {}
    return _Node(f"!new:cosyvoice.transformer.encoder.{name}", values | without)


def _flow(flow: FlowConfig) -> _Node:
    regulator = {
        "channels": flow.regulator.channels,
        "out_channels": flow.regulator.out_channels,
        "sampling_ratios": (1,) * flow.regulator.num_convs,
        "groups": flow.regulator.num_groups,
    }
    return _Node(
        "!new:cosyvoice.flow.flow.MaskedDiffWithXvec",
        {
            "input_size": flow.embedding_size,
            "output_size": flow.mel_bins,
            "spk_embed_dim": flow.speaker_size,
            "output_type": "mel",
            "vocab_size": flow.num_tokens,
            "input_frame_rate": round(flow.token_rate),
            "only_mask_loss": True,
            "encoder": _encoder(flow.encoder),
            "length_regulator": _Node("!new:cosyvoice.flow.length_regulator.InterpolateRegulator", regulator),
            "decoder": _matching(flow),
        },
    )


def _matching(flow: FlowConfig) -> _Node:
    params = {
        "sigma_min": flow.sigma_min,
        "solver": "euler",
        "t_scheduler": flow.schedule,
        "training_cfg_rate": flow.training_guidance_drop,
        "inference_cfg_rate": flow.guidance,
        "reg_loss_type": "l1",
    }
    estimator = {
        "in_channels": flow.estimator.in_channels,
        "out_channels": flow.estimator.out_channels,
        "channels": flow.estimator.channels,
        "dropout": flow.estimator.dropout,
        "attention_head_dim": flow.estimator.head_dim,
        "n_blocks": flow.estimator.num_blocks,
        "num_mid_blocks": flow.estimator.num_mid_blocks,
        "num_heads": flow.estimator.num_heads,
        "act_fn": "gelu",
    }
    return _Node(
        "!new:cosyvoice.flow.flow_matching.ConditionalCFM",
        {
            "in_channels": 3 * flow.mel_bins,
            "n_spks": 1,
            "spk_emb_dim": flow.mel_bins,
            "cfm_params": _Node("!new:omegaconf.DictConfig", {"content": params}),
            "estimator": _Node("!new:cosyvoice.flow.decoder.ConditionalDecoder", estimator),
        },
    )


def _hift(hift: HiFTConfig) -> _Node:
    predictor = {"num_class": 1, "in_channels": hift.mel_bins, "cond_channels": hift.f0_channels}
    return _Node(
        "!new:cosyvoice.hifigan.generator.HiFTGenerator",
        {
            "in_channels": hift.mel_bins,
            "base_channels": hift.base_channels,
            "nb_harmonics": hift.num_harmonics - 1,
            "sampling_rate": hift.sample_rate,
            "nsf_alpha": hift.sine_amplitude,
            "nsf_sigma": hift.noise_std,
            "nsf_voiced_threshold": hift.voiced_threshold_hz,
            "upsample_rates": hift.upsample_rates,
            "upsample_kernel_sizes": hift.upsample_kernel_sizes,
            "istft_params": {"n_fft": hift.n_fft, "hop_len": hift.stft_hop},
            "resblock_kernel_sizes": hift.resblock_kernel_sizes,
            "resblock_dilation_sizes": hift.resblock_dilations,
            "source_resblock_kernel_sizes": hift.source_resblock_kernel_sizes,
            "source_resblock_dilation_sizes": hift.source_resblock_dilations,
            "lrelu_slope": hift.lrelu_slope,
            "audio_limit": hift.audio_limit,
            "f0_predictor": _Node("!new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor", predictor),
        },
    )

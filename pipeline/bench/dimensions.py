"""The sizes that the benchmark makes checkpoints of, as the text of their cosyvoice.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Size = Literal["300m", "tiny"]

_OFFICIAL: Mapping[str, object] = MappingProxyType(
    {
        "num_text_tokens": 51866,
        "num_speech_tokens": 4096,
        "text_size": 512,
        "lm_size": 1024,
        "lm_heads": 16,
        "lm_ff": 4096,
        "text_layers": 6,
        "lm_layers": 14,
        "flow_size": 512,
        "flow_heads": 8,
        "flow_ff": 2048,
        "flow_layers": 6,
        "channels": [256, 256],
        "num_blocks": 4,
        "num_mid_blocks": 12,
        "head_dim": 64,
        "heads": 8,
        "hift_size": 512,
        "f0_size": 512,
    }
)
_TINY: Mapping[str, object] = MappingProxyType(
    {
        "num_text_tokens": 286,  # the bundled voice's table of text symbols
        "num_speech_tokens": 64,
        "text_size": 16,
        "lm_size": 32,
        "lm_heads": 4,
        "lm_ff": 64,
        "text_layers": 1,
        "lm_layers": 2,
        "flow_size": 32,
        "flow_heads": 4,
        "flow_ff": 64,
        "flow_layers": 1,
        "channels": [16, 16],
        "num_blocks": 1,
        "num_mid_blocks": 1,
        "head_dim": 8,
        "heads": 2,
        "hift_size": 16,
        "f0_size": 16,
    }
)
_SIZES: Mapping[Size, Mapping[str, object]] = MappingProxyType({"300m": _OFFICIAL, "tiny": _TINY})

_CONFORMER = """!new:cosyvoice.transformer.encoder.ConformerEncoder
        input_size: {input_size}
        output_size: {size}
        attention_heads: {heads}
        linear_units: {ff}
        num_blocks: {layers}
        normalize_before: True
        input_layer: linear
        pos_enc_layer_type: rel_pos_espnet
        selfattention_layer_type: rel_selfattn
        use_cnn_module: False
        macaron_style: False"""

_TEMPLATE = """# random weights, for measuring only
sample_rate: 22050
llm: !new:cosyvoice.llm.llm.TransformerLM
    text_encoder_input_size: {text_size}
    llm_input_size: {lm_size}
    llm_output_size: {lm_size}
    text_token_size: {num_text_tokens}
    speech_token_size: {num_speech_tokens}
    spk_embed_dim: 192
    text_encoder: {text_encoder}
        static_chunk_size: 1
    llm: !new:cosyvoice.transformer.encoder.TransformerEncoder
        input_size: {lm_size}
        output_size: {lm_size}
        attention_heads: {lm_heads}
        linear_units: {lm_ff}
        num_blocks: {lm_layers}
        input_layer: linear_legacy
        pos_enc_layer_type: rel_pos_espnet
        selfattention_layer_type: rel_selfattn
        static_chunk_size: 1
    sampling: !name:cosyvoice.utils.common.ras_sampling
        top_p: 0.8
        top_k: 25
        win_size: 10
        tau_r: 0.1
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: {flow_size}
    output_size: 80
    spk_embed_dim: 192
    vocab_size: {num_speech_tokens}
    input_frame_rate: 50
    encoder: {flow_encoder}
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 80
        sampling_ratios: [1, 1, 1, 1]
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1.0e-06
                solver: euler
                t_scheduler: cosine
                training_cfg_rate: 0.2
                inference_cfg_rate: 0.7
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 320
            out_channels: 80
            channels: {channels}
            dropout: 0.0
            attention_head_dim: {head_dim}
            n_blocks: {num_blocks}
            num_mid_blocks: {num_mid_blocks}
            num_heads: {heads}
            act_fn: gelu
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: 80
    base_channels: {hift_size}
    nb_harmonics: 8
    sampling_rate: 22050
    upsample_rates: [8, 8]
    upsample_kernel_sizes: [16, 16]
    istft_params:
        n_fft: 16
        hop_len: 4
    resblock_kernel_sizes: [3, 7, 11]
    resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    source_resblock_kernel_sizes: [7, 11]
    source_resblock_dilation_sizes: [[1, 3, 5], [1, 3, 5]]
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: 80
        cond_channels: {f0_size}
"""


def config_text(size: Size) -> str:
    """cosyvoice.yaml with the values of the official CosyVoice-300M, or with tiny ones."""
    values = _SIZES[size]
    text_encoder = _CONFORMER.format(
        input_size=values["text_size"],
        size=values["lm_size"],
        heads=values["lm_heads"],
        ff=values["lm_ff"],
        layers=values["text_layers"],
    )
    flow_encoder = _CONFORMER.format(
        input_size=values["flow_size"],
        size=values["flow_size"],
        heads=values["flow_heads"],
        ff=values["flow_ff"],
        layers=values["flow_layers"],
    )
    return _TEMPLATE.format(text_encoder=text_encoder, flow_encoder=flow_encoder, **values)

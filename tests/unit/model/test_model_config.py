"""cosyvoice.yaml: dimensions, official defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.model.config import ModelConfig, SamplingConfig, TokenizerConfig, read_config

GOLDEN = Path(__file__).parents[2] / "golden"
REFERENCE = (GOLDEN / "reference-small" / "cosyvoice.yaml").read_text("utf-8")

ONLY_REQUIRED = """
sample_rate: 22050
llm: !new:cosyvoice.llm.llm.TransformerLM
    text_encoder_input_size: 24
    llm_input_size: 24
    llm_output_size: 256
    text_token_size: 97
    speech_token_size: 4096
    text_encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        input_size: 24
        input_layer: linear
        pos_enc_layer_type: rel_pos_espnet
        use_cnn_module: False
        macaron_style: False
    llm: !new:cosyvoice.transformer.encoder.TransformerEncoder
        input_size: 24
        input_layer: linear
        pos_enc_layer_type: rel_pos_espnet
        selfattention_layer_type: rel_selfattn
    sampling: !name:cosyvoice.utils.common.ras_sampling
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        input_size: 512
        input_layer: linear
        pos_enc_layer_type: rel_pos_espnet
        use_cnn_module: False
        macaron_style: False
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 80
        sampling_ratios: []
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        in_channels: 240
        cfm_params: {solver: euler, t_scheduler: linear, training_cfg_rate: 0.2, inference_cfg_rate: 0}
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 320
            out_channels: 80
            act_fn: gelu
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
"""


def read(folder: Path, text: str) -> ModelConfig:
    (folder / "cosyvoice.yaml").write_text(text, "utf-8")
    return read_config(folder / "cosyvoice.yaml")


def changed(old: str, new: str, text: str = REFERENCE) -> str:
    assert old in text
    return text.replace(old, new)


def test_dimensions_come_from_the_file() -> None:
    config = read_config(GOLDEN / "reference-50hz" / "cosyvoice.yaml")
    assert config.token_rate == 50
    assert (config.lm.input_size, config.lm.output_size, config.lm.speaker_size) == (36, 42, 48)
    assert (config.lm.text_encoder.ff_size, config.lm.text_encoder.head_dim) == (72, 10)
    assert config.lm.decoder.head_dim == 7
    assert config.lm.sampling == SamplingConfig(top_p=0.7, top_k=25, window=8, tau_r=0.1)
    assert (config.flow.encoder.normalize_before, config.flow.encoder.static_chunk_size) == (False, 5)
    assert (config.flow.regulator.num_convs, config.flow.regulator.num_groups) == (2, 4)
    assert (config.flow.guidance, config.flow.sigma_min) == (0.5, 1e-6)
    assert (config.hift.num_harmonics, config.hift.samples_per_frame, config.hift.n_fft) == (6, 256, 32)


def test_omitted_keys_have_the_official_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, ONLY_REQUIRED)
    text_encoder, decoder = config.lm.text_encoder, config.lm.decoder
    assert (text_encoder.activation, decoder.activation) == ("swish", "relu")
    assert (text_encoder.hidden_size, text_encoder.num_heads, text_encoder.ff_size) == (256, 4, 2048)
    assert (text_encoder.num_layers, text_encoder.normalize_before, text_encoder.static_chunk_size) == (6, True, 0)
    assert (text_encoder.dropout, text_encoder.positional_dropout, text_encoder.attention_dropout) == (0.1, 0.1, 0.0)
    assert config.lm.sampling == SamplingConfig(top_p=0.8, top_k=25, window=10, tau_r=0.1)
    assert (config.lm.speaker_size, config.lm.label_smoothing, config.lm.length_normalized_loss) == (192, 0.0, True)
    flow, estimator = config.flow, config.flow.estimator
    assert (flow.num_tokens, flow.token_rate, flow.embedding_size, flow.mel_bins) == (4096, 50, 512, 80)
    assert (flow.schedule, flow.sigma_min, flow.regulator.num_convs, flow.regulator.num_groups) == (
        "linear",
        1e-4,
        0,
        1,
    )
    assert (estimator.channels, estimator.num_blocks, estimator.num_mid_blocks) == ((256, 256), 1, 2)
    assert (estimator.num_heads, estimator.head_dim, estimator.dropout) == (4, 64, 0.05)
    hift = config.hift
    assert (hift.base_channels, hift.num_harmonics, hift.f0_channels) == (512, 9, 512)
    assert (hift.sine_amplitude, hift.noise_std, hift.voiced_threshold_hz) == (0.1, 0.003, 10)
    assert (hift.upsample_rates, hift.upsample_kernel_sizes, hift.n_fft, hift.stft_hop) == ((8, 8), (16, 16), 16, 4)
    assert (hift.resblock_kernel_sizes, hift.resblock_dilations) == ((3, 7, 11), ((1, 3, 5),) * 3)
    assert (hift.source_resblock_kernel_sizes, hift.source_resblock_dilations) == ((7, 11), ((1, 3, 5),) * 2)
    assert (hift.lrelu_slope, hift.audio_limit) == (0.1, 0.99)


def test_the_tokenizer_is_read_where_the_file_names_one(tmp_path: Path) -> None:
    section = "get_tokenizer: !name:whisper.tokenizer.get_tokenizer {multilingual: True, num_languages: 100}\n"
    expected = TokenizerConfig("whisper.tokenizer.get_tokenizer", True, 100, "en", "transcribe")
    assert read(tmp_path, REFERENCE + section).tokenizer == expected
    assert read(tmp_path, REFERENCE).tokenizer is None


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("llm", "llm.llm.TransformerLM", "llm.llm.Qwen2LM"),
        ("flow", "MaskedDiffWithXvec", "CausalMaskedDiffWithXvec"),
        ("hift", "generator.HiFTGenerator", "generator.CausalHiFTGenerator"),
        ("llm", "!new:cosyvoice.llm.llm.TransformerLM", ""),
    ],
)
def test_other_architectures_are_refused(tmp_path: Path, key: str, old: str, new: str) -> None:
    with pytest.raises(BundleError, match=rf"{key}: architecture .* only CosyVoice-1 \(300M, 300M-25Hz"):
        read(tmp_path, changed(old, new))


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("sample_rate", "sample_rate: 22050\nllm", "sample_rate: 24000\nllm"),
        ("sample_rate", "sample_rate: 22050\nllm", "llm"),
        ("hift.sampling_rate", "sampling_rate: 22050", "sampling_rate: 24000"),
        ("flow.decoder.estimator.act_fn", "act_fn: 'gelu'", "act_fn: 'snake'"),
        ("flow.decoder.estimator.act_fn", "            act_fn: 'gelu'\n", ""),
        ("flow.decoder.estimator.channels", "channels: [32, 32]", "channels: [32, 36]"),
        ("flow.decoder.estimator.in_channels", "in_channels: 320", "in_channels: 160"),
        ("flow.decoder.cfm_params.content.t_scheduler", "t_scheduler: 'cosine'", "t_scheduler: 'cosin'"),
        ("flow.decoder.cfm_params.content.solver", "solver: 'euler'", "solver: 'midpoint'"),
        ("flow.decoder.cfm_params.content.inference_cfg_rate", "inference_cfg_rate: 0.7", "inference_cfg_rate: -1"),
        ("llm.text_encoder.input_layer", "input_layer: 'linear'\n", "input_layer: 'conv2d'\n"),
        ("llm.text_encoder.input_layer", "        input_layer: 'linear'\n", ""),
        ("llm.text_encoder.use_cnn_module", "use_cnn_module: False", "use_cnn_module: True"),
        ("llm.text_encoder.use_cnn_module", "        use_cnn_module: False\n", ""),
        ("llm.text_encoder.macaron_style", "macaron_style: False", "macaron_style: True"),
        ("llm.text_encoder.use_dynamic_chunk", "use_dynamic_chunk: False", "use_dynamic_chunk: True"),
        ("llm.text_encoder.pos_enc_layer_type", "'rel_pos_espnet'", "'abs_pos'"),
        ("llm.text_encoder.selfattention_layer_type", "'rel_selfattn'", "'selfattn'"),
        ("llm.text_encoder.output_size", "attention_heads: 4", "attention_heads: 5"),
        ("llm.text_encoder.input_size", "text_encoder_input_size: 24", "text_encoder_input_size: 20"),
        ("llm.text_encoder: .*Qwen2Encoder", "encoder.ConformerEncoder", "encoder.Qwen2Encoder"),
        ("llm.llm.output_size", "llm_output_size: 32", "llm_output_size: 30"),
        ("llm.sampling", "common.ras_sampling", "common.nucleus_sampling"),
        ("llm.text_token_size", "    text_token_size: 97\n", ""),
        ("flow.vocab_size", "vocab_size: 64", "vocab_size: 60"),
        ("flow.spk_embed_dim", "output_size: 80\n    spk_embed_dim: 192", "output_size: 80\n    spk_embed_dim: 96"),
        ("flow.input_frame_rate", "input_frame_rate: 25", "input_frame_rate: 0"),
        ("flow.length_regulator.channels", "channels: 80\n        sampling", "channels: 40\n        sampling"),
        ("flow.length_regulator.sampling_ratios", "sampling_ratios: [1, 1, 1, 1]", "sampling_ratios: 4"),
        ("hift.f0_predictor.in_channels", "    in_channels: 80\n    base", "    in_channels: 100\n    base"),
        ("hift.upsample_kernel_sizes", "upsample_kernel_sizes: [16, 16]", "upsample_kernel_sizes: [16]"),
        ("hift.upsample_kernel_sizes", "upsample_kernel_sizes: [16, 16]", "upsample_kernel_sizes: [15, 16]"),
        ("hift.upsample_rates", "upsample_rates: [8, 8]", "upsample_rates: eight"),
        ("hift.resblock_kernel_sizes", "    resblock_kernel_sizes: [3, 7, 11]", "    resblock_kernel_sizes: [4]"),
        ("hift.source_resblock_kernel_sizes", "kernel_sizes: [7, 11]", "kernel_sizes: [7]"),
        ("hift.resblock_dilation_sizes", "[[1, 3, 5], [1, 3, 5], [1, 3, 5]]", "[[1]]"),
        ("hift.istft_params", "n_fft: 16", "n_fft: 15"),
        ("hift.base_channels", "base_channels: 32", "base_channels: 3"),
        ("hift.f0_predictor", "f0_predictor.ConvRNNF0Predictor", "f0_predictor.CausalConvRNNF0Predictor"),
        ("hift.f0_predictor.num_class", "num_class: 1", "num_class: 2"),
    ],
)  # fmt: skip
def test_unsupported_or_unfitting_settings_name_file_and_key(tmp_path: Path, key: str, old: str, new: str) -> None:
    with pytest.raises(BundleError, match=rf"cosyvoice\.yaml: {key}"):
        read(tmp_path, changed(old, new))

"""Official checkpoint folder -> bundle, with progress, a parity report, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import get_args

import numpy as np
from onnx import ModelProto
from torch.nn import Linear, Module

from pipeline import __version__
from pipeline.errors import BundleError
from pipeline.export.checkpoint import FILES, Checkpoint, load_checkpoint
from pipeline.export.flow_graph import build_flow_graphs
from pipeline.export.graph import save_model
from pipeline.export.hift_graph import build_hift_graphs
from pipeline.export.lm_cache_scales import CacheScales, measure_cache_scales
from pipeline.export.lm_graph import build_lm_graphs, padded_head_dim
from pipeline.export.onnx_engine import OnnxEngine
from pipeline.export.parity import Array, Case, compare
from pipeline.export.quantize import at_least_int8
from pipeline.export.receptive_field import f0_receptive_field, receptive_field
from pipeline.export.report import ParityReport
from pipeline.export.tokenizer_files import languages_of, tokenizer_of, write_tokenizer_files
from pipeline.export.torch_engine import TorchEngine
from pipeline.export.vocoder_int8 import (
    MIN_SIGNAL_TO_NOISE_DB,
    build_int8_vocoder,
    measure_ranges,
    signal_to_noise_db,
    vocoder_examples,
)
from pipeline.model.config import HiFTConfig, LMConfig
from pipeline.runtime.bundle import (
    Bundle,
    FlowSpec,
    GraphName,
    LMSpec,
    Manifest,
    Precision,
    SamplingSpec,
    VocoderSpec,
    new_bundle,
    sha256_of,
    write_manifest,
    write_voices,
)
from pipeline.token2wav.source import HarmonicSource
from pipeline.types import F32, Profile

Progress = Callable[[str], None]

# graphs that differ between precisions
QUANTIZED: frozenset[GraphName] = frozenset({"lm_prefix", "lm", "flow_encoder", "flow_estimator", "vocoder"})
FOUR_BITS: frozenset[GraphName] = frozenset({"lm"})  # of which int4 has one of its own; it shares int8's others
_LM_GRAPHS: frozenset[GraphName] = frozenset({"lm_prefix", "lm_tables", "lm"})
_FLOW_GRAPHS: frozenset[GraphName] = frozenset({"flow_encoder", "flow_estimator"})

_LANGUAGES = ("zh", "en", "ja", "yue", "ko")  # what the official models speak
_MIN_SPEECH_PER_PHONEME = 1.0  # a Japanese or English phone can be one token long; official text tokens have at least 2
_PARITY_TEXT_LENGTH, _PARITY_NUM_TOKENS = 12, 45  # more than 40 tokens: the length regulator's three pieces


def export(
    checkpoint_dir: Path,
    bundle_dir: Path,
    *,
    precisions: Sequence[Precision] = ("fp32",),
    name: str | None = None,
    description: str = "",
    ranks: Path | None = None,
    profile: Profile = "exact",
    progress: Progress = print,
) -> ParityReport:
    """Makes the bundle and compares it with torch, graph by graph.

    Args:
        precisions: the first is the bundle's default.
        name: the model's id; None: the checkpoint folder's name.
        description: one sentence for those who list the models.
        ranks: the tokenizer's ranks file, when it is not found by itself.
        profile: how the flow is solved where the service's configuration does not say.

    Raises:
        BundleError: a file is missing, damaged or not of a supported model, or the graphs differ from torch by more
            than the tolerance. Nothing is left at `bundle_dir` then.
    """
    progress(f"reading {checkpoint_dir}")
    checkpoint = load_checkpoint(checkpoint_dir)
    with new_bundle(bundle_dir) as folder:
        write_tokenizer_files(
            checkpoint.path, folder, num_text_tokens=checkpoint.config.lm.num_text_tokens, ranks=ranks
        )
        manifest = write_graphs(
            checkpoint, folder, precisions, name or checkpoint_dir.resolve().name, progress, description, profile
        )
        progress("comparing the graphs with torch")
        report = _self_parity(checkpoint, Bundle(folder, manifest), precisions)
        if not report.passed:
            raise BundleError(f"the exported graphs differ from torch; nothing was written.\n{report.table()}")
    size = sum(info.size for info in manifest.files.values())
    progress(f"wrote {bundle_dir}: {len(manifest.files)} files, {size / 1e6:.1f} MB")
    return report


def write_graphs(
    checkpoint: Checkpoint,
    folder: Path,
    precisions: Sequence[Precision],
    name: str,
    progress: Progress,
    description: str = "",
    profile: Profile = "exact",
) -> Manifest:
    """Everything of a bundle but its tokenizer's files; the manifest covers what lies in the folder."""
    write_voices(folder, checkpoint.voices)
    graphs: dict[Precision, dict[GraphName, str]] = {}
    scales = _cache_scales(checkpoint) if set(precisions) - {"fp32"} else None
    for precision in dict.fromkeys(precisions):
        files = graphs[precision] = {graph_name: _file(graph_name, precision) for graph_name in get_args(GraphName)}
        missing = {graph_name for graph_name, file in files.items() if not (folder / file).exists()}
        for graph_name, model in _models(checkpoint, precision, missing, scales, progress):
            if graph_name in missing:
                progress(f"writing {files[graph_name]}")
                save_model(model, folder / files[graph_name])
    return write_manifest(folder, _manifest(checkpoint, name, description, graphs, profile))


def _file(graph_name: GraphName, precision: Precision) -> str:
    if graph_name not in QUANTIZED:
        return f"{graph_name}.onnx"
    return f"{graph_name}.{precision if graph_name in FOUR_BITS else at_least_int8(precision)}.onnx"


def _models(
    checkpoint: Checkpoint,
    precision: Precision,
    missing: Set[GraphName],
    scales: list[CacheScales] | None,
    progress: Progress,
) -> Iterator[tuple[GraphName, ModelProto]]:
    """The graphs of each module of which one is missing; with the scales of a KV cache of 8 bits, unless in fp32."""
    config = checkpoint.config
    if missing & _LM_GRAPHS:
        cache_scales = None if precision == "fp32" else scales
        yield from build_lm_graphs(_state(checkpoint.llm), config.lm, precision, cache_scales).items()
    precision = at_least_int8(precision)
    if missing & _FLOW_GRAPHS:
        yield from build_flow_graphs(_state(checkpoint.flow), config.flow, precision).items()
    if missing - _LM_GRAPHS - _FLOW_GRAPHS:
        hift = build_hift_graphs(_state(checkpoint.hift), config.hift)
        if precision == "int8":
            hift["vocoder"] = _int8_vocoder(checkpoint, hift["vocoder"], progress)
        yield from hift.items()


def _cache_scales(checkpoint: Checkpoint) -> list[CacheScales]:
    return measure_cache_scales(checkpoint.llm, [voice.embedding for voice in checkpoint.voices])


def _int8_vocoder(checkpoint: Checkpoint, exact: ModelProto, progress: Progress) -> ModelProto:
    """In 8 bits where that comes near enough to `exact` on an example that its scales are not from."""
    config, state = checkpoint.config.hift, _state(checkpoint.hift)
    progress("measuring the vocoder's ranges")
    *examples, held_out = vocoder_examples(checkpoint, vocoder_spec(config, checkpoint.hift.m_source.l_linear))
    model = build_int8_vocoder(state, config, measure_ranges(state, config, examples))
    ratio = signal_to_noise_db(exact, model, [held_out])
    is_near = ratio >= MIN_SIGNAL_TO_NOISE_DB
    progress(f"vocoder in int8: {ratio:.1f} dB signal to noise{'' if is_near else ', too little: it stays fp32'}")
    return model if is_near else exact


def _state(module: Module) -> dict[str, F32]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def _manifest(
    checkpoint: Checkpoint,
    name: str,
    description: str,
    graphs: dict[Precision, dict[GraphName, str]],
    profile: Profile,
) -> Manifest:
    config = checkpoint.config
    tokenizer = tokenizer_of(checkpoint.path)
    return Manifest(
        name=name,
        description=description,
        sample_rate=config.sample_rate,
        token_rate=config.token_rate,
        languages=_LANGUAGES if tokenizer == "whisper-bpe" else languages_of(checkpoint.path),
        tokenizer=tokenizer,
        lm=lm_spec(config.lm, tokenizer),
        flow=FlowSpec(
            mel_bins=config.flow.mel_bins,
            schedule=config.flow.schedule,
            guidance=config.flow.guidance,
            profile=profile,
        ),
        vocoder=vocoder_spec(config.hift, checkpoint.hift.m_source.l_linear),
        voices=tuple(voice.name for voice in checkpoint.voices),
        graphs=graphs,
        source={
            "exporter": f"cosyvoice-serve {__version__}",
            **{file: sha256_of(checkpoint.path / file) for file in FILES},
        },
    )


def lm_spec(config: LMConfig, tokenizer: str = "whisper-bpe") -> LMSpec:
    """What the manifest says of a language model whose text that tokenizer writes."""
    sampling = config.sampling
    bounds = {"min_speech_per_text": _MIN_SPEECH_PER_PHONEME} if tokenizer == "phoneme" else {}
    return LMSpec(
        num_layers=config.decoder.num_layers,
        num_heads=config.decoder.num_heads,
        head_dim=padded_head_dim(config.decoder.head_dim),
        hidden_size=config.decoder.hidden_size,
        num_text_tokens=config.num_text_tokens,
        num_speech_tokens=config.num_speech_tokens,
        speaker_size=config.speaker_size,
        sampling=SamplingSpec(top_p=sampling.top_p, top_k=sampling.top_k, window=sampling.window, tau_r=sampling.tau_r),
        **bounds,
    )


def vocoder_spec(config: HiFTConfig, merge: Linear) -> VocoderSpec:
    """What the manifest says of a vocoder; `merge` adds up its harmonics, f32 [1, num_harmonics]."""
    return VocoderSpec(
        hop_length=config.samples_per_frame,
        num_harmonics=config.num_harmonics,
        sine_amplitude=config.sine_amplitude,
        noise_std=config.noise_std,
        voiced_threshold_hz=config.voiced_threshold_hz,
        harmonic_weights=tuple(merge.weight.detach().flatten().tolist()),
        harmonic_bias=merge.bias.detach().item(),
        context_frames=receptive_field(config),
        f0_context_frames=f0_receptive_field(),
    )


def _self_parity(checkpoint: Checkpoint, bundle: Bundle, precisions: Sequence[Precision]) -> ParityReport:
    """The arrays of a golden file, computed by torch from arbitrary inputs, against the graphs."""
    case = _example(checkpoint)
    engines = [OnnxEngine(bundle, precision) for precision in dict.fromkeys(precisions)]
    title = f"{checkpoint.path}: the bundle's graphs against torch"
    return compare(list(engines), [case], title, is_relative=True)


def _example(checkpoint: Checkpoint) -> Case:
    """Seeded inputs, and what torch makes of them."""
    config, torch_engine = checkpoint.config, TorchEngine(checkpoint)
    random = np.random.default_rng(0)
    text = random.integers(0, config.lm.num_text_tokens, (1, _PARITY_TEXT_LENGTH))
    tokens = random.integers(0, config.lm.num_speech_tokens, (1, _PARITY_NUM_TOKENS))
    speaker = checkpoint.voices[0].embedding[None]
    num_frames = config.flow.num_mel_frames(_PARITY_NUM_TOKENS)
    z = random.standard_normal((1, config.flow.mel_bins, num_frames), dtype=np.float32)
    inputs: dict[str, Array] = {"text": text, "speech_tokens": tokens, "spk_embedding": speaker, "flow.z": z}
    mel = torch_engine.mel(z, tokens, speaker, None)
    f0 = torch_engine.f0(mel)
    harmonic = HarmonicSource(vocoder_spec(config.hift, checkpoint.hift.m_source.l_linear), config.sample_rate)
    source = harmonic.make(f0[0], harmonic.phases(f0[0], 0.0)[:-1], 0, 0)[None, None]
    outputs: dict[str, Array] = {
        "lm.text_encoder_out": torch_engine.text_encoder_out(text),
        "lm.prefill_input": torch_engine.prefill_input(text, speaker),
        "lm.log_probs": torch_engine.log_probs(text, speaker, tokens),
        "flow.mu": torch_engine.mu(tokens, None),
        "flow.estimator_t0.3": torch_engine.estimator(z, tokens, speaker, None),
        "flow.mel_10steps": mel,
        "hift.mel": mel,
        "hift.f0": f0,
        "hift.source": source,
        "hift.wave": torch_engine.wave(mel, source),
    }
    return Case("", {**inputs, **outputs}, has_end=False)

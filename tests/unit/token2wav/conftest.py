"""A bundle of the small reference checkpoint: all that token2wav reads, without the language model's graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.export.flow_graph import build_flow_graphs
from pipeline.export.hift_graph import build_hift_graphs
from pipeline.export.receptive_field import f0_receptive_field, receptive_field
from pipeline.runtime.bundle import (
    Bundle,
    FlowSpec,
    LMSpec,
    Manifest,
    VocoderSpec,
    new_bundle,
    write_manifest,
    write_voices,
)
from pipeline.token2wav.token2wav import OnnxToken2Wav
from pipeline.types import Utterance, Voice

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return load_checkpoint(REFERENCE)


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export_token2wav(checkpoint, tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="session")
def token2wav(bundle: Bundle) -> OnnxToken2Wav:
    return OnnxToken2Wav(bundle, "fp32", num_threads=1)


@pytest.fixture(scope="session")
def voice(bundle: Bundle) -> Voice:
    return next(iter(bundle.voices.values()))


@pytest.fixture
def utterance(voice: Voice) -> Utterance:
    return Utterance("test", (), voice, seed=7)


def export_token2wav(checkpoint: Checkpoint, path: Path) -> Bundle:
    """Writes the graphs of flow and vocoder."""
    flow, hift = (
        {name: tensor.numpy() for name, tensor in module.state_dict().items()}
        for module in (checkpoint.flow, checkpoint.hift)
    )
    config = checkpoint.config
    graphs = {**build_flow_graphs(flow, config.flow), **build_hift_graphs(hift, config.hift)}
    manifest = Manifest(
        name="small",
        token_rate=config.token_rate,
        languages=("zh",),
        tokenizer="phoneme",
        lm=LMSpec(
            num_layers=1,
            num_heads=1,
            head_dim=8,
            hidden_size=8,
            num_text_tokens=config.lm.num_text_tokens,
            num_speech_tokens=config.lm.num_speech_tokens,
            speaker_size=config.lm.speaker_size,
        ),
        flow=FlowSpec(mel_bins=config.flow.mel_bins, schedule=config.flow.schedule, guidance=config.flow.guidance),
        vocoder=VocoderSpec(
            hop_length=config.hift.samples_per_frame,
            num_harmonics=config.hift.num_harmonics,
            sine_amplitude=config.hift.sine_amplitude,
            noise_std=config.hift.noise_std,
            voiced_threshold_hz=config.hift.voiced_threshold_hz,
            harmonic_weights=tuple(hift["m_source.l_linear.weight"][0].tolist()),
            harmonic_bias=float(hift["m_source.l_linear.bias"][0]),
            context_frames=receptive_field(config.hift),
            f0_context_frames=f0_receptive_field(),
        ),
        voices=tuple(voice.name for voice in checkpoint.voices),
        graphs={"fp32": {name: f"{name}.onnx" for name in graphs}},
    )
    with new_bundle(path) as folder:
        for name, graph in graphs.items():
            onnx.save(graph, folder / f"{name}.onnx")
        write_voices(folder, checkpoint.voices)
        write_manifest(folder, manifest)
    return Bundle.open(path)

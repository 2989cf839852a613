"""The vocoder's graphs against the official code's arrays, torch, and their stated receptive fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.export.hift_graph import build_hift_graphs
from pipeline.export.receptive_field import f0_receptive_field, receptive_field, stage_spans
from pipeline.export.weights import read_weights, vocoder_names
from pipeline.model.config import HiFTConfig, read_config
from pipeline.model.hift import HiFTGenerator
from pipeline.runtime.session import Session, make_session

GOLDEN = Path(__file__).parents[2] / "golden"
NO_CONTEXT = np.zeros(2, np.int64)
CHECKPOINTS = ["reference-small", "reference-50hz"]


def sessions_of(weights: Mapping[str, torch.Tensor], config: HiFTConfig) -> tuple[Session, Session]:
    graphs = build_hift_graphs({name: tensor.numpy() for name, tensor in weights.items()}, config)
    f0, vocoder = (
        make_session(graphs[name].SerializeToString(), num_threads=1) for name in ("f0_predictor", "vocoder")
    )
    return f0, vocoder


def small(**changes: object) -> HiFTConfig:
    config = read_config(GOLDEN / "reference-small" / "cosyvoice.yaml").hift
    return replace(config, mel_bins=6, base_channels=16, f0_channels=8, **changes)


CONFIGS = {
    "official": small(),
    "two kernels": small(
        resblock_kernel_sizes=(3, 7),
        resblock_dilations=((1, 3, 5), (1, 3)),
        source_resblock_kernel_sizes=(5, 3),
        source_resblock_dilations=((1,), (1, 2)),
    ),
    "three stages": small(
        upsample_rates=(4, 3, 2),
        upsample_kernel_sizes=(8, 7, 4),
        n_fft=20,
        stft_hop=5,
        resblock_kernel_sizes=(3,),
        resblock_dilations=((1, 2),),
        source_resblock_kernel_sizes=(3, 3, 3),
        source_resblock_dilations=((1,), (1,), (1,)),
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def config(request: pytest.FixtureRequest) -> HiFTConfig:
    return CONFIGS[request.param]


@pytest.fixture(scope="module")
def module(config: HiFTConfig) -> HiFTGenerator:
    torch.manual_seed(0)
    return HiFTGenerator(config).eval()


@pytest.fixture(scope="module")
def sessions(module: HiFTGenerator, config: HiFTConfig) -> tuple[Session, Session]:
    return sessions_of(module.state_dict(), config)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_f0_and_wave_equal_the_official_ones(name: str) -> None:
    weights, arrays = vocoder_names(read_weights(GOLDEN / name / "hift.pt")), np.load(GOLDEN / name / "golden.npz")
    f0, vocoder = sessions_of(weights, read_config(GOLDEN / name / "cosyvoice.yaml").hift)
    mel = np.ascontiguousarray(arrays["hift.mel"].transpose(0, 2, 1))
    np.testing.assert_allclose(f0.run({"mel": mel})["f0"], arrays["hift.f0"], atol=1e-4)
    wave = vocoder.run({"mel": mel, "source": arrays["hift.source"][:, 0], "context": NO_CONTEXT})["wave"]
    np.testing.assert_allclose(wave, arrays["hift.wave"], atol=1e-4)


@pytest.mark.parametrize("num_frames", [1, 2, 9])
def test_vocoder_equals_torch_for_any_size_and_length(
    config: HiFTConfig, module: HiFTGenerator, sessions: tuple[Session, Session], num_frames: int
) -> None:
    random = np.random.default_rng(num_frames)
    mel = random.standard_normal((2, num_frames, 6)).astype(np.float32)
    source = random.standard_normal((2, num_frames * config.samples_per_frame)).astype(np.float32)
    f0, vocoder = sessions
    with torch.inference_mode():
        mel_t = torch.from_numpy(mel).transpose(1, 2)
        wave = module.decode(mel_t, torch.from_numpy(source)[:, None])
        pitch = module.f0_predictor(mel_t)
    samples = vocoder.run({"mel": mel, "source": source, "context": NO_CONTEXT})["wave"]
    np.testing.assert_allclose(samples, wave.reshape(2, -1), atol=1e-5)
    np.testing.assert_allclose(f0.run({"mel": mel})["f0"], pitch, atol=1e-5)


def reach(gradient: torch.Tensor, num_frames: int) -> int:
    """The largest distance in frames from the middle to anything that the middle depends on."""
    touched = np.flatnonzero(gradient.abs().reshape(-1, num_frames, gradient.shape[-1] // num_frames).sum((0, 2)))
    return int(np.abs(touched - num_frames // 2).max())


def test_receptive_field_is_exact(config: HiFTConfig) -> None:
    """Where the gradient of one frame's samples is not 0, in float64, which loses nothing on the way."""
    field = receptive_field(config)
    num_frames = 4 * field + 1
    generator = torch.Generator().manual_seed(0)
    mel = torch.randn(1, 6, num_frames, generator=generator, dtype=torch.float64, requires_grad=True)
    source = torch.randn(
        1, 1, num_frames * config.samples_per_frame, generator=generator, dtype=torch.float64, requires_grad=True
    )
    torch.manual_seed(0)
    wave = HiFTGenerator(config).double().decode(mel, source).reshape(num_frames, -1)
    wave[num_frames // 2].sum().backward()
    assert mel.grad is not None
    assert source.grad is not None
    assert max(reach(mel.grad, num_frames), reach(source.grad, num_frames)) == field


@pytest.mark.parametrize("first", [0, 3, 40])
def test_frames_with_their_context_are_those_of_the_whole(
    config: HiFTConfig, sessions: tuple[Session, Session], first: int
) -> None:
    """At the start of a signal, where there is less context than a frame may need, and up to its end."""
    field, hop, num_frames = receptive_field(config), config.samples_per_frame, 45 + receptive_field(config)
    random = np.random.default_rng(first)
    mel = random.standard_normal((1, num_frames, 6)).astype(np.float32)
    source = random.standard_normal((1, num_frames * hop)).astype(np.float32)
    _, vocoder = sessions
    whole = vocoder.run({"mel": mel, "source": source, "context": NO_CONTEXT})["wave"]
    for stop in (first + 1, first + 4, num_frames):
        start, end = max(0, first - field), min(num_frames, stop + field)
        context = np.array([first - start, end - stop])
        inputs = {"mel": mel[:, start:end], "source": source[:, start * hop : end * hop], "context": context}
        wave = vocoder.run(inputs)["wave"]
        np.testing.assert_allclose(wave, whole[:, first * hop : stop * hop], atol=1e-5)


def test_the_last_stage_computes_little_of_the_context() -> None:
    config = read_config(GOLDEN / "reference-small" / "cosyvoice.yaml").hift
    last = stage_spans(config)[-1]
    frames_before = -last.blocks.first / math.prod(config.upsample_rates)
    assert 0 < frames_before < receptive_field(config) / 5


def test_f0_receptive_field_is_exact(sessions: tuple[Session, Session]) -> None:
    mel = np.random.default_rng(0).standard_normal((1, 31, 6)).astype(np.float32)
    changed = mel.copy()
    changed[:, 15] += 3.0
    f0, _ = sessions
    before, after = (f0.run({"mel": values})["f0"][0] for values in (mel, changed))
    distances = np.flatnonzero(before != after) - 15
    assert (distances.min(), distances.max()) == (-f0_receptive_field(), f0_receptive_field())

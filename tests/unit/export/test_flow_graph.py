"""The flow's graphs against the official code's arrays, and against torch for dimensions that no checkpoint has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.export.flow_encoder_graph import build_flow_encoder
from pipeline.export.flow_estimator_graph import build_flow_estimator
from pipeline.export.flow_graph import build_flow_graphs
from pipeline.export.weights import read_weights
from pipeline.model.config import EstimatorConfig, FlowConfig, read_config
from pipeline.model.estimator import ConditionalDecoder
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.runtime.session import Session, make_session

GOLDEN = Path(__file__).parents[2] / "golden"
CHECKPOINTS = ["reference-small", "reference-50hz"]


def session_of(model: object) -> Session:
    return make_session(model.SerializeToString(), num_threads=1)


def state_of(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def randomized(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """In eval mode, with every parameter away from its initial value (norms are 1, biases 0 at first)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def golden(request: pytest.FixtureRequest) -> Path:
    return GOLDEN / request.param


def test_estimator_equals_the_official_velocity(golden: Path) -> None:
    config, arrays = read_config(golden / "cosyvoice.yaml").flow, np.load(golden / "golden.npz")
    state = {name: tensor.numpy() for name, tensor in read_weights(golden / "flow.pt").items()}
    estimator = session_of(build_flow_graphs(state, config)["flow_estimator"])
    embedding = arrays["spk_embedding"] / np.linalg.norm(arrays["spk_embedding"])
    speaker = embedding @ state["spk_embed_affine_layer.weight"].T + state["spk_embed_affine_layer.bias"]
    z, mu = (np.ascontiguousarray(arrays[name].transpose(0, 2, 1)) for name in ("flow.z", "flow.mu"))
    inputs = {"x": z, "mu": mu, "spks": speaker, "cond": np.zeros_like(mu), "t": np.array([0.3], np.float32)}
    velocity = estimator.run(inputs)["velocity"]
    np.testing.assert_allclose(velocity.transpose(0, 2, 1), arrays["flow.estimator_t0.3"], atol=1e-4)


SHAPES: dict[str, dict[str, object]] = {
    "two levels": {"channels": (16, 16)},
    "three levels": {"channels": (16, 24, 32), "num_blocks": 2, "num_mid_blocks": 1},
    "one level": {"channels": (8,), "num_mid_blocks": 0, "num_heads": 3, "head_dim": 4},
}
DEFAULTS = {
    "in_channels": 40,
    "out_channels": 10,
    "num_blocks": 1,
    "num_mid_blocks": 2,
    "num_heads": 2,
    "head_dim": 8,
    "dropout": 0.0,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_estimator_equals_torch_for_any_size_and_length(shape: str) -> None:
    config = EstimatorConfig(**{**DEFAULTS, **SHAPES[shape]})
    module = randomized(ConditionalDecoder(config))
    state = {f"decoder.estimator.{name}": array for name, array in state_of(module).items()}
    session = session_of(build_flow_estimator(state, config))
    for num_frames in (1, 2, 3, 8, 21):
        random = np.random.default_rng(num_frames)
        x, mu, cond = random.standard_normal((3, 2, num_frames, 10)).astype(np.float32)
        speaker = random.standard_normal((2, 10)).astype(np.float32)
        inputs = {"x": x, "mu": mu, "cond": cond, "spks": speaker, "t": np.array([0.6], np.float32)}
        velocity = session.run(inputs)["velocity"]
        x_t, mu_t, cond_t = (torch.from_numpy(array).transpose(1, 2) for array in (x, mu, cond))
        with torch.inference_mode():
            mask, t = torch.ones(2, 1, num_frames), torch.full((2,), 0.6)
            expected = module(x_t, mask, mu_t, t, torch.from_numpy(speaker), cond_t)
        np.testing.assert_allclose(velocity.transpose(0, 2, 1), expected.numpy(), atol=1e-4, rtol=1e-5)


def postnorm(config: FlowConfig) -> FlowConfig:
    encoder = replace(config.encoder, kind="transformer", normalize_before=False, activation="relu")
    return replace(config, encoder=replace(encoder, input_layer="linear_legacy"))


def chunked(config: FlowConfig) -> FlowConfig:
    return replace(config, encoder=replace(config.encoder, static_chunk_size=3, activation="gelu", num_heads=2))


def grouped(config: FlowConfig) -> FlowConfig:
    return replace(
        config,
        encoder=replace(config.encoder, has_key_bias=False),
        regulator=replace(config.regulator, num_convs=1, num_groups=4),
    )


@pytest.mark.parametrize("change", [postnorm, chunked, grouped])
def test_encoder_equals_torch_for_every_form(change: Callable[[FlowConfig], FlowConfig]) -> None:
    config = change(read_config(GOLDEN / CHECKPOINTS[0] / "cosyvoice.yaml").flow)
    module = randomized(MaskedDiffWithXvec(config))
    session = session_of(build_flow_encoder(state_of(module), config))
    for num_tokens in (1, 2, 7):
        random = np.random.default_rng(num_tokens)
        tokens = random.integers(0, config.num_tokens, (1, num_tokens))
        speaker = random.standard_normal((1, config.speaker_size)).astype(np.float32)
        encoded = session.run({"tokens": tokens, "speaker": speaker, **places(num_tokens, config)})
        with torch.inference_mode():
            mu = module.mu(torch.from_numpy(tokens))
            projected = module.speaker(torch.from_numpy(speaker))
        np.testing.assert_allclose(encoded["mu"].transpose(0, 2, 1), mu.numpy(), atol=1e-4)
        np.testing.assert_allclose(encoded["spks"], projected.numpy(), atol=1e-5)


def places(num_tokens: int, config: FlowConfig) -> dict[str, np.ndarray]:
    """The interpolation of a short utterance, which is stretched as one piece."""
    num_frames = config.num_mel_frames(num_tokens)
    positions = np.maximum((np.arange(num_frames) + 0.5) * num_tokens / num_frames - 0.5, 0)
    lower = positions.astype(np.int64)
    weight = (positions - lower).astype(np.float32)[:, None]
    return {"lower": lower, "upper": np.minimum(lower + 1, num_tokens - 1), "upper_weight": weight}

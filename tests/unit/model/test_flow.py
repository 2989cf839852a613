"""The flow: stretching from token rate to mel rate, guidance, schedules and batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.model.config import FlowConfig, read_config
from pipeline.model.flow import MaskedDiffWithXvec, stretch

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def config() -> FlowConfig:
    return read_config(GOLDEN / "reference-small" / "cosyvoice.yaml").flow


@pytest.fixture(scope="module")
def flow(config: FlowConfig) -> MaskedDiffWithXvec:
    torch.manual_seed(0)
    return MaskedDiffWithXvec(config).eval()


def with_guidance(flow: MaskedDiffWithXvec, guidance: float) -> MaskedDiffWithXvec:
    other = MaskedDiffWithXvec(replace(flow.config, guidance=guidance)).eval()
    other.load_state_dict(flow.state_dict())
    return other


@pytest.mark.parametrize(("token_rate", "num_frames"), [(25.0, 206), (50.0, 103)])
def test_mel_frames_are_truncated_seconds(config: FlowConfig, token_rate: float, num_frames: int) -> None:
    assert replace(config, token_rate=token_rate).num_mel_frames(60) == num_frames


def test_long_sequences_keep_their_ends_apart() -> None:
    x = torch.zeros(1, 1, 50)
    x[..., 20:30] = 1.0
    stretched = stretch(x, num_frames=170, num_edge_frames=68)
    assert stretched.shape[2] == 170
    assert (stretched[..., :68] == 0).all()
    assert (stretched[..., -68:] == 0).all()
    assert (stretched[..., 68:-68] == 1).all()


@pytest.mark.parametrize("num_tokens", [1, 40])
def test_short_sequences_are_stretched_as_one_piece(num_tokens: int) -> None:
    ramp = torch.arange(num_tokens, dtype=torch.float32)[None, None]
    stretched = stretch(ramp, num_frames=100, num_edge_frames=68)
    expected = torch.nn.functional.interpolate(ramp, size=100, mode="linear")
    assert torch.equal(stretched, expected)


def test_a_prompt_is_stretched_to_its_own_frames(flow: MaskedDiffWithXvec) -> None:
    tokens = torch.arange(50)[None] % 64
    mu = flow.mu(tokens, prompt_tokens=tokens[:, :10], num_prompt_frames=31)
    assert mu.shape == (1, 80, 31 + flow.config.num_mel_frames(50))


def test_guidance_extrapolates_away_from_the_unconditional_velocity(flow: MaskedDiffWithXvec) -> None:
    x, mu, cond = torch.randn(3, 1, 80, 15).unbind()
    speaker, t = torch.randn(1, 80), torch.tensor(0.4)
    zero = torch.zeros_like(mu)
    with torch.inference_mode():
        conditional = flow.velocity(x, mu, t, speaker, cond)
        unconditional = flow.velocity(x, zero, t, torch.zeros_like(speaker), zero)
        guided = with_guidance(flow, 2.0).guided_velocity(x, mu, t, speaker, cond)
        unguided = with_guidance(flow, 0.0).guided_velocity(x, mu, t, speaker, cond)
    torch.testing.assert_close(guided, 3 * conditional - 2 * unconditional, atol=1e-4, rtol=1e-4)
    assert torch.equal(unguided, conditional)


@pytest.mark.parametrize(("schedule", "middle"), [("cosine", 1 - 0.5**0.5), ("linear", 0.5)])
def test_schedules_run_from_noise_to_mel(config: FlowConfig, schedule: str, middle: float) -> None:
    times = MaskedDiffWithXvec(replace(config, schedule=schedule)).times(10)  # type: ignore[arg-type]
    assert times[0] == 0
    assert float(times[5]) == pytest.approx(middle, abs=1e-6)
    assert float(times[10]) == pytest.approx(1, abs=1e-6)


def test_the_prompts_mel_is_the_condition_and_the_rest_is_zero(flow: MaskedDiffWithXvec) -> None:
    prompt_mel = torch.randn(1, 4, 80)
    cond = flow.condition(torch.randn(1, 80, 10), prompt_mel)
    assert torch.equal(cond[..., :4], prompt_mel.transpose(1, 2))
    assert not cond[..., 4:].any()


def test_the_training_form_silences_padding(flow: MaskedDiffWithXvec) -> None:
    tokens, lengths = torch.randint(0, 64, (2, 9)), torch.tensor([9, 6])
    mu = flow.length_regulator(flow.encode(tokens, lengths), torch.tensor([30, 20]))
    assert mu.shape == (2, 80, 30)
    assert not mu[1, :, 20:].any()
    assert mu[1, :, :20].any()


def test_gradients_reach_every_parameter_of_the_estimator(config: FlowConfig) -> None:
    model = MaskedDiffWithXvec(config)
    x, mu, cond = torch.randn(3, 2, 80, 13).unbind()
    mask = torch.ones(2, 1, 13)
    model.estimator(x, mask, mu, torch.rand(2), torch.randn(2, 80), cond).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.estimator.parameters())

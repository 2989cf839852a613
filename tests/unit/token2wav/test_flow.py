from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from pipeline.export.checkpoint import load_checkpoint
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.token2wav import OnnxToken2Wav
from pipeline.types import Profile, Prompt, Voice
from tests.unit.token2wav.conftest import REFERENCE


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "golden.npz") as arrays:
        return dict(arrays)


def frames(array: np.ndarray) -> np.ndarray:
    """[1, bins, T] -> [T, bins]."""
    return np.ascontiguousarray(array[0].T)


def test_flow_equals_the_official_code_with_guidance(token2wav: OnnxToken2Wav, golden: dict[str, np.ndarray]) -> None:
    flow, voice = token2wav.flow, Voice("golden", golden["spk_embedding"][0])
    condition = flow.condition(golden["speech_tokens"][0], voice)
    np.testing.assert_allclose(condition.mu[0], frames(golden["flow.mu"]), atol=1e-4)
    velocity = flow.velocity(condition, frames(golden["flow.z"]), 0.3)
    np.testing.assert_allclose(velocity, frames(golden["flow.estimator_t0.3"]), atol=1e-4)
    mel = flow.mel(golden["speech_tokens"][0], voice, frames(golden["flow.z"]))
    np.testing.assert_allclose(mel, frames(golden["flow.mel_10steps"]), atol=1e-3)


def test_a_prompt_stands_in_front_as_tokens_and_as_known_mel(
    token2wav: OnnxToken2Wav, golden: dict[str, np.ndarray]
) -> None:
    torch_flow = load_checkpoint(REFERENCE).flow
    random = np.random.default_rng(0)
    tokens, prompt_tokens = random.integers(0, 64, 45), random.integers(0, 64, 23)
    prompt_mel = random.standard_normal((81, 80)).astype(np.float32)
    voice = Voice("prompted", golden["spk_embedding"][0], Prompt(np.zeros(0, np.int64), prompt_tokens, prompt_mel))
    z = random.standard_normal((81 + token2wav.manifest.num_mel_frames(45), 80)).astype(np.float32)
    with torch.inference_mode():
        mu = torch_flow.mu(torch.from_numpy(tokens)[None], torch.from_numpy(prompt_tokens)[None], 81)
        cond = torch_flow.condition(mu, torch.from_numpy(prompt_mel)[None])
        speaker = torch_flow.speaker(torch.from_numpy(golden["spk_embedding"]))
        expected = torch_flow.solve(torch.from_numpy(z.T)[None], mu, speaker, cond)
    mel = token2wav.flow.mel(tokens, voice, z)
    np.testing.assert_allclose(mel, frames(expected.numpy())[81:], atol=1e-3)


def test_guidance_zero_evaluates_the_condition_alone(bundle: Bundle, golden: dict[str, np.ndarray]) -> None:
    spec = bundle.manifest.flow.model_copy(update={"guidance": 0.0})
    unguided = replace(bundle, manifest=bundle.manifest.model_copy(update={"flow": spec}))
    flow, voice = OnnxFlow(unguided, "fp32", 1), Voice("golden", golden["spk_embedding"][0])
    z = frames(golden["flow.z"])
    condition = flow.condition(golden["speech_tokens"][0], voice)
    x = z.copy()
    for t, next_t in pairwise(flow.solver.times):
        x += np.float32(next_t - t) * flow.velocity(condition, x, t)
    np.testing.assert_array_equal(flow.solve(condition, z), x)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("profile", ["exact", "fast"])
def test_two_threads_make_the_values_that_one_makes(bundle: Bundle, precision: Precision, profile: Profile) -> None:
    voice, tokens = next(iter(bundle.voices.values())), np.arange(45) % 64
    z = np.random.default_rng(1).standard_normal((bundle.manifest.num_mel_frames(45), 80)).astype(np.float32)
    one, two = (OnnxFlow(bundle, precision, num_threads, profile) for num_threads in (1, 2))
    condition = one.condition(tokens, voice)
    np.testing.assert_array_equal(one.solve(condition, z), two.solve(condition, z))


def test_an_embedding_counts_by_its_direction(token2wav: OnnxToken2Wav, golden: dict[str, np.ndarray]) -> None:
    tokens, voice = np.arange(5), Voice("golden", golden["spk_embedding"][0])
    louder = replace(voice, embedding=3 * voice.embedding)
    np.testing.assert_allclose(
        token2wav.flow.condition(tokens, voice).speaker, token2wav.flow.condition(tokens, louder).speaker, atol=1e-6
    )

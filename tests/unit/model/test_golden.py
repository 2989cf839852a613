"""Every array of the golden files, which the official code computed from the checkpoints beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.export.checkpoint import Checkpoint, load_checkpoint

GOLDEN = Path(__file__).parents[2] / "golden"
FOLDERS = ("reference-small", "reference-50hz")  # the second: 50 tokens/s, uneven sizes, a prompt, yaml references
INPUTS = {"text", "speech_tokens", "spk_embedding", "flow.z", "hift.mel", "hift.source"}
PROMPT_INPUTS = {"flow.prompt.tokens", "flow.prompt.mel", "flow.prompt.z"}


class Case:
    def __init__(self, folder: str) -> None:
        self.checkpoint: Checkpoint = load_checkpoint(GOLDEN / folder)
        with np.load(GOLDEN / folder / "golden.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name]) for name in arrays}

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    @property
    def prefix(self) -> Tensor:
        return self.checkpoint.llm.prefill_input(self["text"], self["spk_embedding"])

    def greedy_tokens(self) -> Tensor:
        num_tokens = len(self["lm.greedy_tokens"])
        return self.checkpoint.llm.greedy(self.prefix, num_tokens, min_tokens=num_tokens)

    def mu(self, prompt: str = "") -> Tensor:
        if not prompt:
            return self.checkpoint.flow.mu(self["speech_tokens"])
        num_frames = self["flow.prompt.mel"].shape[1]
        return self.checkpoint.flow.mu(self["speech_tokens"], self["flow.prompt.tokens"], num_frames)

    def conditions(self, prompt: str) -> tuple[Tensor, Tensor, Tensor]:
        flow, mu = self.checkpoint.flow, self[f"flow.{prompt}mu"]
        cond = flow.condition(mu, self["flow.prompt.mel"] if prompt else None)
        return mu, flow.speaker(self["spk_embedding"]), cond

    def velocity(self, prompt: str = "") -> Tensor:
        mu, speaker, cond = self.conditions(prompt)
        return self.checkpoint.flow.velocity(self[f"flow.{prompt}z"], mu, 0.3, speaker, cond)

    def mel(self, prompt: str = "") -> Tensor:
        return self.checkpoint.flow.solve(self[f"flow.{prompt}z"], *self.conditions(prompt), num_steps=10)


COMPUTED: dict[str, Callable[[Case], Tensor]] = {
    "lm.text_encoder_out": lambda c: c.checkpoint.llm.text_encode(c["text"], torch.tensor([c["text"].shape[1]])),
    "lm.prefill_input": lambda c: c.prefix,
    "lm.log_probs": lambda c: c.checkpoint.llm.teacher_forced(c.prefix, c["speech_tokens"]),
    "lm.greedy_tokens": lambda c: c.greedy_tokens(),
    "flow.mu": lambda c: c.mu(),
    "flow.estimator_t0.3": lambda c: c.velocity(),
    "flow.mel_10steps": lambda c: c.mel(),
    "hift.f0": lambda c: c.checkpoint.hift.f0_predictor(c["hift.mel"]),
    "hift.wave": lambda c: c.checkpoint.hift.decode(c["hift.mel"], c["hift.source"]),
}
COMPUTED_FROM_PROMPT: dict[str, Callable[[Case], Tensor]] = {
    "flow.prompt.mu": lambda c: c.mu("prompt."),
    "flow.prompt.estimator_t0.3": lambda c: c.velocity("prompt."),
    "flow.prompt.mel_10steps": lambda c: c.mel("prompt."),
}


@cache
def case(folder: str) -> Case:
    return Case(folder)


def assert_matches(folder: str, name: str, compute: Callable[[Case], Tensor]) -> None:
    expected = case(folder)[name]
    with torch.inference_mode():
        actual = compute(case(folder))
    assert actual.shape == expected.shape
    tolerance = 1e-3 if name.endswith("mel_10steps") else 0 if name.endswith("tokens") else 1e-4
    assert (actual - expected).abs().max() <= tolerance


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", COMPUTED)
def test_the_model_computes_what_the_official_code_does(folder: str, name: str) -> None:
    assert_matches(folder, name, COMPUTED[name])


@pytest.mark.parametrize("name", COMPUTED_FROM_PROMPT)
def test_a_prompt_is_used_as_the_official_code_does(name: str) -> None:
    assert_matches("reference-50hz", name, COMPUTED_FROM_PROMPT[name])


def test_no_golden_array_is_left_out() -> None:
    assert set(case("reference-small").arrays) == INPUTS | set(COMPUTED)
    assert set(case("reference-50hz").arrays) == INPUTS | PROMPT_INPUTS | set(COMPUTED) | set(COMPUTED_FROM_PROMPT)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_lm_reads_the_prompts_tokens_last(folder: str) -> None:
    c = case(folder)
    prompt = c["speech_tokens"][:, :5]
    with torch.inference_mode():
        prefix = c.checkpoint.llm.prefill_input(c["text"], c["spk_embedding"], prompt)
        expected = c.checkpoint.llm.speech_embedding(prompt)
    assert torch.equal(prefix[:, :-5], c.prefix)
    assert torch.equal(prefix[:, -5:], expected)


def test_without_a_speaker_the_lm_reads_one_position_less() -> None:
    c = case("reference-small")
    with torch.inference_mode():
        prefix = c.checkpoint.llm.prefill_input(c["text"], None)
    assert torch.equal(prefix, torch.cat([c.prefix[:, :1], c.prefix[:, 2:]], dim=1))

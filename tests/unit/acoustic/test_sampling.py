from __future__ import annotations

import math
import random

import numpy as np
import pytest

from pipeline.acoustic.sampling import Sampler
from pipeline.runtime.bundle import SamplingSpec

SPEC = SamplingSpec(top_p=0.8, top_k=25, window=10, tau_r=0.1)
END = 12
LOGITS = np.random.default_rng(3).normal(0, 0.8, END + 1).astype(np.float32)


def reference_draw(scores: list[float], history: list[int], spec: SamplingSpec, rng: random.Random) -> int:
    """The official procedure, step by step: sort, fill the nucleus, draw; a repetition draws from all the others."""

    def softmax(values: list[float]) -> list[float]:
        exps = [math.exp(v - max(values)) for v in values]
        return [e / sum(exps) for e in exps]

    probabilities = softmax(scores)
    order = sorted(range(len(scores)), key=lambda i: -probabilities[i])
    nucleus: list[int] = []
    while len(nucleus) < min(spec.top_k, len(order)) and sum(probabilities[i] for i in nucleus) < spec.top_p:
        nucleus.append(order[len(nucleus)])
    token = rng.choices(nucleus, [probabilities[i] for i in nucleus])[0]
    if history[-spec.window :].count(token) >= spec.window * spec.tau_r:
        rest = softmax([-math.inf if i == token else s for i, s in enumerate(scores)])
        token = rng.choices(range(len(rest)), rest)[0]
    return token


def sampler(history: list[int], seed: int = 0, spec: SamplingSpec = SPEC) -> Sampler:
    made = Sampler.seeded(spec, END, seed)
    made.history.extend(history)
    return made


@pytest.mark.parametrize(
    ("spec", "num_recent_winners"),
    [
        (SPEC, 0),
        (SPEC, 1),
        (SPEC.model_copy(update={"tau_r": 0.3}), 2),
        (SPEC.model_copy(update={"tau_r": 0.3}), 3),
        (SPEC.model_copy(update={"top_k": 3}), 1),
        (SPEC.model_copy(update={"top_p": 0.6, "top_k": 100}), 0),
    ],
)
def test_draws_are_distributed_as_the_official_procedure(spec: SamplingSpec, num_recent_winners: int) -> None:
    winner = int(LOGITS.argmax())
    history = [winner] * 20 + [(winner + 1) % END] * (spec.window - num_recent_winners) + [winner] * num_recent_winners
    num_draws, rng = 4000, random.Random(1)
    ours = sampler([], 5, spec)
    counts = np.zeros((2, END + 1))
    for _ in range(num_draws):
        ours.history[:] = history
        counts[0, ours.draw(LOGITS, may_end=True)] += 1
        counts[1, reference_draw(LOGITS.tolist(), history, spec, rng)] += 1

    drawn = counts.sum(axis=0) > 0
    difference = ((counts[0] - counts[1]) ** 2)[drawn] / counts.sum(axis=0)[drawn]
    num_free = int(drawn.sum()) - 1
    assert difference.sum() < num_free + 4 * math.sqrt(2 * num_free)  # chi-square: its mean and four deviations


def test_the_end_token_is_barred_until_it_may_come() -> None:
    logits = LOGITS.copy()
    logits[END] = 50.0
    assert all(sampler([], seed).draw(logits, may_end=False) != END for seed in range(200))
    assert sampler([]).draw(logits, may_end=True) == END


def test_a_token_drawn_in_the_window_yields_to_another() -> None:
    logits = np.full(END + 1, -5.0, np.float32)
    logits[4] = 10.0
    assert sampler([4] + [0] * SPEC.window).draw(logits, may_end=True) == 4  # left the window
    assert all(sampler([4] + [0] * (SPEC.window - 1), seed).draw(logits, may_end=True) != 4 for seed in range(100))


def test_ties_go_to_the_lower_id() -> None:
    spec = SPEC.model_copy(update={"top_k": 3, "top_p": 1.0, "tau_r": 2.0})
    logits = np.zeros(END + 1, np.float32)
    logits[7] = 1.0
    drawn = {sampler([], seed, spec).draw(logits, may_end=True) for seed in range(200)}
    assert drawn == {7, 0, 1}


def test_top_k_of_one_is_greedy() -> None:
    greedy = SPEC.model_copy(update={"top_k": 1, "tau_r": 2.0})
    assert sampler([], 9, greedy).draw(LOGITS, may_end=True) == int(LOGITS.argmax())


def test_a_seed_repeats_its_draws_and_the_input_stays_as_it_was() -> None:
    before = LOGITS.copy()
    first, second = sampler([], -7), sampler([], -7)
    assert [first.draw(LOGITS, may_end=False) for _ in range(50)] == [
        second.draw(LOGITS, may_end=False) for _ in range(50)
    ]
    assert first.history == second.history
    np.testing.assert_array_equal(LOGITS, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_without_a_distribution_are_refused(bad: float) -> None:
    logits = LOGITS.copy()
    logits[2] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="no distribution"):
        sampler([]).draw(logits, may_end=True)

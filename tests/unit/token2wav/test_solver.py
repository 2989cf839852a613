from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.runtime.bundle import Bundle, FlowSpec
from pipeline.token2wav import flow as flow_module
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.solver import Solver, schedule, solver_of
from pipeline.types import F32

Z = np.ones((2, 3), np.float32)


def error_of(solver: Solver) -> float:
    """Of x' = -x + t, whose solution from 1 is t - 1 + 2 exp(-t), at t = 1."""
    return float(np.abs(solver.solve(lambda x, t, _: np.float32(t) - x, Z) - 2 * np.exp(-1)).max())


def test_schedules_run_from_noise_to_mel() -> None:
    for name in ("cosine", "linear"):
        times = schedule(name, 10)
        assert (times[0], len(times)) == (0, 11)
        assert times[-1] == pytest.approx(1)
        assert (np.diff(times) > 0).all()
    assert np.diff(schedule("cosine", 10))[0] < np.diff(schedule("cosine", 10))[-1]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_halving_the_steps_halves_the_error(name: str) -> None:
    coarse, fine = (error_of(Solver(schedule(name, steps), num_guided=0)) for steps in (20, 40))
    assert 1.8 < coarse / fine < 2.2


def test_the_exact_profile_is_the_models_own_schedule_with_guidance_on_every_step() -> None:
    spec, guided = FlowSpec(num_steps=7, schedule="linear"), []
    solver = solver_of("exact", spec)

    def velocity(x: F32, t: float, is_guided: bool) -> F32:
        guided.append((round(7 * t), is_guided))
        return np.ones_like(x)

    np.testing.assert_allclose(solver.solve(velocity, Z), 2 * Z, rtol=1e-6)
    assert guided == [(step, True) for step in range(7)]


@pytest.mark.parametrize(("guidance", "num_rows"), [(0.7, 9), (0.0, 6)])
def test_the_fast_profile_evaluates_fewer_rows_and_stays_near(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, guidance: float, num_rows: int
) -> None:
    num_evaluated: list[int] = []
    evaluate = flow_module._evaluate

    def counted(*inputs: Any) -> F32:
        num_evaluated.append(1)
        return evaluate(*inputs)

    spec = bundle.manifest.flow.model_copy(update={"guidance": guidance})
    guided = replace(bundle, manifest=bundle.manifest.model_copy(update={"flow": spec}))
    exact_flow, fast_flow = OnnxFlow(guided, "fp32", 1), OnnxFlow(guided, "fp32", 1, "fast")
    condition = exact_flow.condition(np.arange(20), next(iter(bundle.voices.values())))
    z = np.random.default_rng(0).standard_normal(condition.mu.shape[1:]).astype(np.float32)
    exact = exact_flow.solve(condition, z)
    monkeypatch.setattr(flow_module, "_evaluate", counted)
    fast = fast_flow.solve(condition, z)
    assert len(num_evaluated) == num_rows
    assert 0 < np.abs(fast - exact).mean() < 0.3 * exact.std()

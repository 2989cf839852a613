from __future__ import annotations

import numpy as np
import pytest

from pipeline.runtime.bundle import Bundle, FlowSpec
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.solver import FAST_STEPS, Solver, schedule, solver_of
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


def test_halving_the_steps_divides_the_error_by_two_or_by_four() -> None:
    for order, least, most in ((1, 1.8, 2.2), (2, 3.4, 4.6)):
        for name in ("linear", "cosine"):
            coarse, fine = (error_of(Solver(schedule(name, steps), order=order)) for steps in (20, 40))
            assert least < coarse / fine < most


def test_the_exact_profile_is_the_models_own_schedule_with_guidance_on_every_step() -> None:
    spec, renewed = FlowSpec(num_steps=7, schedule="linear"), []
    solver = solver_of("exact", spec)

    def velocity(x: F32, t: float, is_renewed: bool) -> F32:
        renewed.append((round(7 * t), is_renewed))
        return np.ones_like(x)

    np.testing.assert_allclose(solver.solve(velocity, Z), 2 * Z, rtol=1e-6)
    assert renewed == [(step, True) for step in range(7)]


@pytest.mark.parametrize(("guidance", "num_rows"), [(0.7, 9), (0.0, 6)])
def test_the_fast_profile_evaluates_fewer_rows_and_stays_near(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, guidance: float, num_rows: int
) -> None:
    rows: list[int] = []
    estimate = OnnxFlow._estimate

    def counted(flow: OnnxFlow, x: F32, *inputs: F32 | float) -> F32:
        rows.append(len(x))
        return estimate(flow, x, *inputs)  # type: ignore[arg-type]

    spec = bundle.manifest.flow.model_copy(update={"guidance": guidance})
    flows = [OnnxFlow(bundle, "fp32", 1, profile) for profile in ("exact", "fast")]  # type: ignore[arg-type]
    for flow in flows:
        monkeypatch.setattr(flow, "spec", spec)
    condition = flows[0].condition(np.arange(20), next(iter(bundle.voices.values())))
    z = np.random.default_rng(0).standard_normal(condition.mu.shape[1:]).astype(np.float32)
    exact = flows[0].solve(condition, z)
    monkeypatch.setattr(OnnxFlow, "_estimate", counted)
    fast = flows[1].solve(condition, z)
    assert (len(rows), sum(rows)) == (FAST_STEPS, num_rows)
    assert 0 < np.abs(fast - exact).mean() < 0.3 * exact.std()

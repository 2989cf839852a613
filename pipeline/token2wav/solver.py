"""How the flow is integrated from noise to mel: exactly as the official inference, or faster and a little off.

The fast profile takes six of Euler's steps on the cosine schedule, with guidance on the first three: 9 rows go through
the estimator instead of 20 (6 instead of 10 where the model has no guidance). Guidance decides early where a trajectory
goes; what it adds near the end is small. On the bundled voice's flow methods of second order were further off at the
same cost. `pipeline.training.voice.flow_distance` measures the profiles' distances from many steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.runtime.bundle import FlowSpec
from pipeline.types import F32, F64, Profile

Velocity = Callable[[F32, float, bool], F32]  # (x, t, with guidance)

FAST_STEPS, FAST_GUIDED_STEPS = 6, 3


@dataclass(frozen=True, slots=True)
class Solver:
    """Euler's method, one evaluation at each time but the last; the first `num_guided` of them with guidance."""

    times: F64  # f64 [steps + 1]
    num_guided: int

    def solve(self, velocity: Velocity, z: F32) -> F32:
        """From z at the first time to the last: f32, of the shape of z."""
        x = z.astype(np.float32)
        for index, (t, next_t) in enumerate(pairwise(self.times)):
            x += np.float32(next_t - t) * velocity(x, float(t), index < self.num_guided)
        return x


def solver_of(profile: Profile, spec: FlowSpec) -> Solver:
    if profile == "exact":
        return Solver(schedule(spec.schedule, spec.num_steps), spec.num_steps)
    return Solver(schedule("cosine", FAST_STEPS), FAST_GUIDED_STEPS)


def schedule(name: str, num_steps: int) -> F64:
    """Times from 0 to 1, f64 [num_steps + 1]; the cosine one begins with small steps."""
    times = np.linspace(0.0, 1.0, num_steps + 1)
    return 1 - np.cos(0.5 * np.pi * times) if name == "cosine" else times

"""What a replica learns from Ray about itself."""

from __future__ import annotations

from typing import Any

import ray


def replica_num_cpus() -> float | None:
    """The `num_cpus` that Ray assigned to this replica; None where there is no replica, as in Ray's local testing."""
    if not ray.is_initialized():
        return None
    context: Any = ray.get_runtime_context()
    if context.get_actor_id() is None:
        return None
    num_cpus = context.get_assigned_resources().get("CPU")
    return None if num_cpus is None else float(num_cpus)

"""How many threads a session gets: what the configuration says, else the replica's CPUs."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


def num_threads_for(num_cpus: float | None, configured: int | None) -> int:
    """Threads for ONNX Runtime.

    Args:
        num_cpus: the replica's share (Ray's `num_cpus`); None takes every core that this process may use.
        configured: wins when it is set.
    """
    if configured is not None:
        return configured
    num_visible = num_visible_cpus()
    return num_visible if num_cpus is None else max(1, min(math.floor(num_cpus), num_visible))


def num_visible_cpus() -> int:
    """Cores that the affinity mask and the container's CPU quota leave to this process, at least one."""
    if hasattr(os, "sched_getaffinity"):
        num_cores = len(os.sched_getaffinity(0))
    else:  # macOS
        num_cores = os.cpu_count() or 1
    return max(1, min(num_cores, math.floor(_cgroup_quota(CGROUP_ROOT))))


def _cgroup_quota(root: Path) -> float:
    """CPUs per period of cgroup v2 (cpu.max) or v1 (cpu.cfs_quota_us); many when there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return float(os.cpu_count() or 1)
    if quota.strip() in ("max", "-1"):
        return float(os.cpu_count() or 1)
    return int(quota) / int(period)

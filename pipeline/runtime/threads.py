"""How many threads a session gets: what the configuration says, else the replica's CPUs; and which go first."""

from __future__ import annotations

import math
import os
import sys
import threading
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
SYSTEM_ROOT = Path("/sys/devices/system")


def num_threads_for(num_cpus: float | None, configured: int | None) -> int:
    """Threads for ONNX Runtime.

    Args:
        num_cpus: the replica's share (Ray's `num_cpus`); None takes every core that this process may use.
        configured: wins when it is set. Otherwise there are no more threads than physical cores: two threads of one
            core share the units that compute.
    """
    if configured is not None:
        return configured
    num_visible = num_visible_cores()
    return num_visible if num_cpus is None else max(1, min(math.floor(num_cpus), num_visible))


def be_nice(niceness: int) -> None:
    """Adds to the niceness of this thread, and of those that it starts; the kernel takes 19 for more.

    To Linux a thread is a process. Elsewhere it has no priority of its own, and nothing changes.
    """
    if niceness and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def num_visible_cpus() -> int:
    """CPUs that the affinity mask and the container's quota leave to this process, at least one."""
    return _within_quota(len(_affinity()))


def num_visible_cores() -> int:
    """Physical cores behind these CPUs: the hardware threads of one count once (SMT), where Linux tells."""
    return _within_quota(len({_siblings(cpu) for cpu in _affinity()}))


def num_numa_nodes() -> int:
    """Nodes of memory that the CPUs of this process lie in, at least one."""
    nodes = [path for cpu in _affinity() for path in (SYSTEM_ROOT / "cpu" / f"cpu{cpu}").glob("node[0-9]*")]
    return max(1, len({path.name for path in nodes}))


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))  # macOS


def _siblings(cpu: int) -> str:
    """Names the core of a CPU by the CPUs that share it."""
    try:
        return (SYSTEM_ROOT / "cpu" / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _within_quota(count: int) -> int:
    return max(1, min(count, math.floor(_cgroup_quota(CGROUP_ROOT))))


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

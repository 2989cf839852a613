"""Threads come from the configuration, else from the replica's CPUs, within what the process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.runtime import threads
from pipeline.runtime.threads import num_numa_nodes, num_threads_for, num_visible_cores, num_visible_cpus


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores; the returned folder is its cgroup."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(threads, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(threads, "SYSTEM_ROOT", tmp_path / "system")
    return tmp_path


def test_the_configured_number_wins(eight_cores: Path) -> None:
    assert num_threads_for(2.0, 5) == 5


@pytest.mark.parametrize(("num_cpus", "expected"), [(0.5, 1), (1.0, 1), (2.9, 2), (64.0, 8), (None, 8)])
def test_the_replicas_share_is_rounded_down_within_the_machine(
    eight_cores: Path, num_cpus: float | None, expected: int
) -> None:
    assert num_threads_for(num_cpus, None) == expected


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("nonsense", 8)]
)
def test_the_quota_of_cgroup_v2_limits_them(eight_cores: Path, limit: str, expected: int) -> None:
    (eight_cores / "cpu.max").write_text(limit + "\n")
    assert num_threads_for(None, None) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_the_quota_of_cgroup_v1_limits_them(eight_cores: Path, quota: str, expected: int) -> None:
    (eight_cores / "cpu").mkdir()
    (eight_cores / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (eight_cores / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert num_visible_cpus() == expected


def describe_cpu(cpu: int, siblings: str, node: int) -> None:
    folder = threads.SYSTEM_ROOT / "cpu" / f"cpu{cpu}"
    (folder / "topology").mkdir(parents=True)
    (folder / "topology" / "thread_siblings_list").write_text(siblings + "\n")
    (folder / f"node{node}").mkdir()


def test_hardware_threads_of_a_core_count_once(eight_cores: Path) -> None:
    for cpu in range(8):
        describe_cpu(cpu, f"{cpu % 4},{cpu % 4 + 4}", cpu % 2)
    assert (num_visible_cpus(), num_visible_cores(), num_numa_nodes()) == (8, 4, 2)
    assert num_threads_for(None, None) == num_threads_for(8.0, None) == 4
    assert num_threads_for(3.0, None) == 3
    assert num_threads_for(None, 8) == 8


def test_a_machine_that_does_not_tell_has_a_core_for_each_cpu(eight_cores: Path) -> None:
    assert (num_visible_cores(), num_numa_nodes()) == (8, 1)

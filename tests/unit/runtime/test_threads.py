"""Threads come from the configuration, else from the replica's CPUs, within what the process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.runtime import threads
from pipeline.runtime.threads import num_threads_for, num_visible_cpus


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores; the returned folder is its cgroup."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(threads, "CGROUP_ROOT", tmp_path)
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

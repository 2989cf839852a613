"""What a measurement ran on, and whether it had the machine to itself."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline import __version__
from pipeline.runtime.threads import CGROUP_ROOT, num_numa_nodes, num_visible_cores, num_visible_cpus

_PACKAGES = ("onnxruntime", "numpy", "torch")
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
QUIET_SHARE = 0.05  # of the machine's CPU time that others may use before a measurement counts as disturbed
_STEAL = 7  # columns of /proc/stat's first line: user nice system idle iowait irq softirq steal
_IDLE, _IO_WAIT = 3, 4


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    num_cpus: int  # that this process may use
    num_cores: int  # physical ones behind them
    num_numa_nodes: int
    cpu_flags: list[str]  # those that matter here
    memory_gb: float
    system: str
    versions: dict[str, str]

    @classmethod
    def describe(cls) -> Machine:
        model, flags = _cpu_info()
        return cls(
            cpu=model,
            num_cpus=num_visible_cpus(),
            num_cores=num_visible_cores(),
            num_numa_nodes=num_numa_nodes(),
            cpu_flags=[flag for flag in _FLAGS if flag in flags],
            memory_gb=round(memory_mb() / 1000, 1),
            system=platform.platform(),
            versions={
                "cosyvoice-serve": __version__,
                "python": sys.version.split()[0],
                **{name: found for name in _PACKAGES if (found := _version(name))},
            },
        )


def memory_mb() -> float:
    """Memory that processes here may take: the machine's, or the container's limit (cgroup v2)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = (CGROUP_ROOT / "memory.max").read_text().strip()
    except OSError:
        limit = "max"
    return (machine if limit == "max" else min(machine, int(limit))) / 1e6


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_info() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in entries.items()}
    flags = fields.get("flags") or fields.get("Features") or ""
    return fields.get("model name") or platform.machine(), set(flags.split())


@dataclass(frozen=True, slots=True)
class Quiet:
    """How busy others kept the machine during a measurement."""

    load_before: float  # 1-minute load averages
    load_after: float
    busy_elsewhere: float | None  # share of all CPU time; None where the system does not tell

    @property
    def warning(self) -> str | None:
        if self.busy_elsewhere is None or self.busy_elsewhere <= QUIET_SHARE:
            return None
        return (
            f"other processes used {self.busy_elsewhere:.0%} of this machine's CPU time meanwhile: "
            "these figures are indicative only, measure again when it is quiet"
        )


class QuietMeter:
    """Compares the machine's CPU time with that of this process and the children it waited for."""

    def __init__(self) -> None:
        self._load_before = os.getloadavg()[0]
        self._machine_before, self._own_before = cpu_times_s(), _own_time_s()

    def stop(self) -> Quiet:
        return Quiet(self._load_before, os.getloadavg()[0], self._busy_elsewhere())

    def _busy_elsewhere(self) -> float | None:
        before, after = self._machine_before, cpu_times_s()
        if before is None or after is None or after[1] <= before[1]:
            return None
        busy, total = after[0] - before[0], after[1] - before[1]
        return max(0.0, (busy - (_own_time_s() - self._own_before)) / total)


def _own_time_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_times_s() -> tuple[float, float] | None:
    """Busy and total seconds of all CPUs since the start, time stolen by the hypervisor counted as busy."""
    try:
        fields = Path("/proc/stat").read_text("utf-8").split(maxsplit=_STEAL + 2)[1 : _STEAL + 2]
    except OSError:
        return None
    ticks = [int(field) for field in fields]
    total = sum(ticks)
    hertz = os.sysconf("SC_CLK_TCK")
    return (total - ticks[_IDLE] - ticks[_IO_WAIT]) / hertz, total / hertz

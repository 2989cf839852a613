"""Runs a measurement in a process of its own, so that its memory, threads and caches are nobody else's.

`python -m pipeline.bench.process RESULT_FILE` reads a job from stdin and is what `run_alone` starts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.bench.plan import HUGE_PAGES
from pipeline.errors import StageFailed

CPU_WINDOW_S = 0.5
_ONE_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_alone(function: str, **arguments: Any) -> dict[str, Any]:
    """Calls `module:function` of pipeline.bench in a new process, which has huge pages as replicas have.

    Arguments and result are what JSON can hold. The function also gets `spawned_at`, the monotonic time before the
    process was started, if it asks for nothing else by that name. Raises StageFailed with the end of its stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        job = json.dumps({"function": function, "arguments": arguments, "spawned_at": time.monotonic()})
        done = subprocess.run(
            [sys.executable, "-m", "pipeline.bench.process", str(result)],
            input=job,
            env=HUGE_PAGES | {name: value for name, value in os.environ.items() if name not in _ONE_THREAD_VARIABLES},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode or not result.is_file():
            raise StageFailed(f"{function}({arguments}) failed:\n{done.stderr[-2000:]}")
        values: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return values


class CpuMeter:
    """CPU use of this process while the block runs: `peak` of half a second and `mean` in percent of one core."""

    peak = 0.0
    mean = 0.0
    used_s = 0.0  # CPU seconds

    def __enter__(self) -> CpuMeter:
        self._is_done = threading.Event()
        self._started = self._marked = _clocks()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
        end = _clocks()
        self.used_s = end[0] - self._started[0]
        self.mean = _percent(self._started, end)
        self.peak = max(self.peak, self.mean)

    def _watch(self) -> None:
        while not self._is_done.wait(CPU_WINDOW_S):
            now = _clocks()
            self.peak = max(self.peak, _percent(self._marked, now))
            self._marked = now


def _clocks() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _percent(start: tuple[float, float], end: tuple[float, float]) -> float:
    elapsed = end[1] - start[1]
    return 100 * (end[0] - start[0]) / elapsed if elapsed else 0.0


def peak_rss_mb() -> float:
    """The largest resident memory of this process so far, its mapped files included.

    Not ru_maxrss where /proc tells: a child inherits that from the process that started it.
    """
    try:
        status = Path("/proc/self/status").read_text("utf-8")
    except OSError:
        in_bytes = sys.platform == "darwin"
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if in_bytes else 1e3)
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def private_mb() -> float | None:
    """Memory that this process alone has mapped now, which is what it adds to the machine's; None beyond Linux."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024 / 1e6


def _main(result: Path) -> None:
    job = json.load(sys.stdin)
    module, _, name = job["function"].partition(":")
    function = getattr(import_module(f"pipeline.bench.{module}"), name)
    arguments = job["arguments"]
    if "spawned_at" in function.__annotations__:
        arguments["spawned_at"] = job["spawned_at"]
    result.write_text(json.dumps(function(**arguments)), "utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

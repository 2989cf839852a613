"""A measurement's own process, and the meters in it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from pipeline.bench.process import CpuMeter, run_alone
from pipeline.errors import StageFailed


def test_a_result_comes_back_from_another_process() -> None:
    assert run_alone("table:ratio", value=2.0) == "2.00x"


def test_a_failure_names_the_function_and_the_reason() -> None:
    with pytest.raises(StageFailed, match=r"(?s)table:ratio.*unexpected keyword argument .speed."):
        run_alone("table:ratio", speed=2.0)


def test_a_busy_thread_uses_cpu_time_and_a_sleeping_one_does_not() -> None:
    with CpuMeter() as busy:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    with CpuMeter() as idle:
        time.sleep(0.1)
    assert busy.used_s >= 0.1
    assert idle.used_s < 0.05
    assert busy.peak >= busy.mean > 0


def test_peak_memory_is_the_processs_own_and_stays_after_it_was_freed() -> None:
    code = (
        "from pipeline.bench.process import peak_rss_mb; start = peak_rss_mb(); block = bytearray(256_000_000); "
        "block[::4096] = bytes(len(block[::4096])); del block; print(start, peak_rss_mb())"
    )
    block = bytearray(256_000_000)
    block[::4096] = bytes(len(block[::4096]))
    start, peak = map(float, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert start < 200
    assert peak - start == pytest.approx(256, rel=0.1)

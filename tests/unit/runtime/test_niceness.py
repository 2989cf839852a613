"""What `be_nice` asks of the scheduler, read back from it in the thread that asked."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from pipeline.runtime.threads import be_nice

MAX_NICENESS = 19  # Linux's

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only to Linux a thread has a niceness of its own")


def _scheduled(*additions: int) -> tuple[int, int]:
    """(policy, niceness) of a new thread after these calls."""
    found: list[tuple[int, int]] = []

    def ask() -> None:
        for niceness in additions:
            be_nice(niceness)
        thread = threading.get_native_id()
        found.append((os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, thread)))

    worker = threading.Thread(target=ask)
    worker.start()
    worker.join()
    return found[0]


def test_within_the_range_it_adds_up() -> None:
    policy, niceness = _scheduled(2, 3)
    assert (policy, niceness) == (os.sched_getscheduler(0), min(os.getpriority(os.PRIO_PROCESS, 0) + 5, MAX_NICENESS))


def test_beyond_the_last_niceness_it_stays_there_and_is_not_idles() -> None:
    assert _scheduled(MAX_NICENESS + 1) == (os.sched_getscheduler(0), MAX_NICENESS)


def test_the_caller_keeps_its_own() -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    _scheduled(MAX_NICENESS + 1)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before

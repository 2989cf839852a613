"""Jobs on the lanes: one that is alone takes both, several take one each.

Threads that work on one job wait for each other, jobs side by side do not; so a single job is done sooner on both
lanes, and two jobs together sooner on one lane each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

Result = TypeVar("Result")

Lane = int | None  # None: all of them


class LaneJobs:
    """Runs jobs in the order in which they come, on threads of its own. Close it.

    A job that found itself alone keeps all lanes until it ends; who comes meanwhile waits for that.
    """

    def __init__(self, num_lanes: int) -> None:
        self._executor = ThreadPoolExecutor(num_lanes, thread_name_prefix="token2wav")
        self._change = Condition()  # guards _free and _num_inside
        self._num_lanes = num_lanes
        self._free = list(range(num_lanes))
        self._num_inside = 0  # jobs that came and have not ended

    def submit(self, jobs: Sequence[Callable[[Lane], Result]]) -> list[Future[Result]]:
        """One future per job, in order, of what it returns or raises; a cancelled one that waits never runs."""
        with self._change:
            self._num_inside += len(jobs)
        futures = [self._executor.submit(self._run, job) for job in jobs]
        for future in futures:
            future.add_done_callback(self._leave)
        return futures

    def close(self) -> None:
        """Waits for the jobs inside."""
        self._executor.shutdown()

    def _run(self, job: Callable[[Lane], Result]) -> Result:
        lane = self._take()
        try:
            return job(lane)
        finally:
            self._give_back(lane)

    def _take(self) -> Lane:
        with self._change:
            self._change.wait_for(lambda: bool(self._free))
            if self._num_inside > 1:
                return self._free.pop()
            self._free.clear()
            return None

    def _give_back(self, lane: Lane) -> None:
        with self._change:
            self._free += range(self._num_lanes) if lane is None else [lane]
            self._change.notify_all()

    def _leave(self, future: Future[Result]) -> None:
        with self._change:
            self._num_inside -= 1

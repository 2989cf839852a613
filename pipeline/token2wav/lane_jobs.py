"""Jobs on the lanes: one that is alone takes both, several take one each.

Threads that work on one job wait for each other, jobs side by side do not; so a single job is done sooner on both
lanes, and two jobs together sooner on one lane each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import Any, Generic, TypeVar

from pipeline.runtime.core_claims import CoreClaims
from pipeline.runtime.threads import be_nice

Result = TypeVar("Result")

Lane = int | None  # None: all of them


@dataclass(frozen=True, slots=True)
class _Order(Generic[Result]):
    """A job that came, and what its caller holds."""

    job: Callable[[Lane], Result]
    future: Future[Result]
    is_urgent: bool
    came_alone: bool  # to lanes that were all free


class LaneJobs:
    """Runs jobs on threads of its own: urgent ones first, otherwise in the order in which they come. Close it.

    A job that finds itself alone, when it comes or when it begins, keeps all lanes until it ends; who comes meanwhile
    waits for that. So the first of a burst is done soonest, whenever its thread wakes up.

    Args:
        niceness: added to that of the threads (Linux).
        claims: where others learn that a job is inside, and where a core for each lane is claimed as long as an
            urgent one is.
    """

    def __init__(self, num_lanes: int, *, niceness: int = 0, claims: CoreClaims | None = None) -> None:
        self._executor = ThreadPoolExecutor(num_lanes, "token2wav", initializer=be_nice, initargs=(niceness,))
        self._change = Condition()  # guards the fields below
        self._claims = claims
        self._lanes = list(range(num_lanes))
        self._free = list(self._lanes)
        self._urgent: deque[_Order[Any]] = deque()
        self._others: deque[_Order[Any]] = deque()

    def submit(
        self, jobs: Sequence[Callable[[Lane], Result]], are_urgent: Sequence[bool] | None = None
    ) -> list[Future[Result]]:
        """One future per job, in order, of what it returns or raises; a cancelled one that waits never runs."""
        urgency = are_urgent or [False] * len(jobs)
        with self._change:
            came_alone = len(jobs) == 1 and self._is_alone()
            orders = [
                _Order(job, Future[Result](), is_urgent, came_alone)
                for job, is_urgent in zip(jobs, urgency, strict=True)
            ]
            for order in orders:
                (self._urgent if order.is_urgent else self._others).append(order)
                self._claim(order)
        for _ in orders:
            self._executor.submit(self._run_next)
        return [order.future for order in orders]

    def close(self) -> None:
        """Waits for the jobs inside."""
        self._executor.shutdown()
        if self._claims is not None:
            self._claims.close()

    def _run_next(self) -> None:
        order, lane = self._take()
        if order is None:
            return
        try:
            result = order.job(lane)
        except BaseException as error:
            self._give_back(order, lane)
            order.future.set_exception(error)
        else:
            self._give_back(order, lane)
            order.future.set_result(result)

    def _take(self) -> tuple[_Order[Any] | None, Lane]:
        """The next job, and what it may use; none in place of a cancelled one."""
        with self._change:
            self._change.wait_for(lambda: bool(self._free))
            order = (self._urgent or self._others).popleft()
            if not order.future.set_running_or_notify_cancel():
                self._release(order)
                return None, None
            has_all = order.came_alone and len(self._free) == len(self._lanes)
            if not (has_all or self._is_alone()):
                return order, self._free.pop()
            self._free.clear()
            return order, None

    def _is_alone(self) -> bool:
        """Whether nobody else runs or waits."""
        is_awaited = any(not order.future.cancelled() for order in (*self._urgent, *self._others))
        return len(self._free) == len(self._lanes) and not is_awaited

    def _give_back(self, order: _Order[Any], lane: Lane) -> None:
        with self._change:
            self._release(order)
            self._free += self._lanes if lane is None else [lane]
            self._change.notify_all()

    def _claim(self, order: _Order[Any]) -> None:
        if self._claims is None:
            return
        self._claims.start_using()
        if order.is_urgent:
            self._claims.claim(len(self._lanes))

    def _release(self, order: _Order[Any]) -> None:
        if self._claims is None:
            return
        self._claims.stop_using()
        if order.is_urgent:
            self._claims.release()

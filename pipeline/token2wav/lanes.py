"""Two halves of one computation side by side, because two runs on half the threads beat one run on all of them.

Measured on 2 cores with the sizes of 300M: threads that share an operator wait for each other at its end, a few
thousand times in an evaluation of the flow, where two runs that know nothing of each other wait once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import TypeVar

from pipeline.runtime.bundle import Bundle, GraphName, Precision
from pipeline.runtime.prepared import open_session
from pipeline.runtime.session import Session

Result = TypeVar("Result")

FEWEST_THREADS_TO_HALVE = 4  # three would leave one without work


class Lanes:
    """A graph's sessions for the left and the right half. On one thread the halves follow each other.

    A half is computed in the same way whatever `num_threads` is, so the values that it gives depend on it only as far
    as a session's own do. May be used from several threads.
    """

    def __init__(self, bundle: Bundle, name: GraphName, precision: Precision, num_threads: int) -> None:
        self.is_parallel = num_threads == 2 or num_threads >= FEWEST_THREADS_TO_HALVE
        num_threads_each = num_threads // 2 if self.is_parallel else num_threads
        self.left = open_session(bundle, name, precision, num_threads=num_threads_each)
        # A session that has no threads of its own computes on those of its callers, any number at a time.
        shares = not self.is_parallel or num_threads_each == 1
        self.right = self.left if shares else open_session(bundle, name, precision, num_threads=num_threads_each)
        self._other_thread = ThreadPoolExecutor(1, "lane") if self.is_parallel else None

    def single(self, lane: int) -> Lanes:
        """Lane 0 or 1 alone, for a job beside another: the same halves, one after the other, so the same values."""
        single = copy(self)
        single.left = single.right = self.right if lane else self.left
        single._other_thread = None
        return single

    def run(self, left: Callable[[Session], Result], right: Callable[[Session], Result]) -> tuple[Result, Result]:
        """What the two functions return. An error is raised once both have ended."""
        if self._other_thread is None:
            return left(self.left), right(self.right)
        future = self._other_thread.submit(right, self.right)
        try:
            result = left(self.left)
        finally:
            future.exception()  # waits
        return result, future.result()

"""Reading memory, as the bound of what reads its weights once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class MemoryReader:
    """Reads `num_bytes` on several threads, each its own part; what it computes costs next to nothing."""

    def __init__(self, num_bytes: int, num_threads: int) -> None:
        self._parts = [np.ones(max(1, num_bytes // 8 // num_threads), np.uint64) for _ in range(num_threads)]
        self._pool = ThreadPoolExecutor(num_threads)
        self.num_bytes = sum(part.nbytes for part in self._parts)

    def read(self) -> float:
        """Once. Seconds that it took."""
        started = time.perf_counter()
        list(self._pool.map(np.bitwise_or.reduce, self._parts))
        return time.perf_counter() - started

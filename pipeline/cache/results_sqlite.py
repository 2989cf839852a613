"""Results in one SQLite file, shared by the ingress replicas of a node."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

from pipeline.errors import StageFailed

_BUSY_TIMEOUT_S = 2.0
_PAGE_SIZE = 16384  # bytes: results are tens of kilobytes and more
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, size INTEGER NOT NULL, used_at REAL NOT NULL, data BLOB);
CREATE INDEX IF NOT EXISTS by_use ON results (used_at, size);
"""
_EVICT = """
DELETE FROM results WHERE key IN (
    SELECT key FROM (SELECT key, SUM(size) OVER (ORDER BY used_at DESC, key) AS kept FROM results) WHERE kept > ?
)
"""

T = TypeVar("T")


class SqliteResults:
    """The file is made on first use. One connection, used by one thread at a time.

    Args:
        max_bytes: of all results together, without SQLite's own few percent.
    """

    def __init__(self, path: str | Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path).expanduser().absolute()
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> bytes | None:
        return self._call(lambda connection: self._get(connection, key))

    def put(self, key: str, data: bytes) -> None:
        self._call(lambda connection: self._put(connection, key, data))

    def _get(self, connection: sqlite3.Connection, key: str) -> bytes | None:
        row = connection.execute("SELECT data FROM results WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        connection.execute("UPDATE results SET used_at = ? WHERE key = ?", (self._clock(), key))
        return bytes(row[0])

    def _put(self, connection: sqlite3.Connection, key: str, data: bytes) -> None:
        row = (key, len(data), self._clock(), data)
        connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", row)
        connection.execute(_EVICT, (self._max_bytes,))

    def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                with self._connection:
                    return work(self._connection)
            except (sqlite3.Error, OSError) as error:
                self._connection = None
                raise StageFailed(
                    f"the result cache {self._path} cannot be used ({error}): remove the file, or set results.store to "
                    "a writable one."
                ) from None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the newest results, no more
        connection.executescript(_SCHEMA)
        return connection

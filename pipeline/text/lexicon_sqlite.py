"""The user lexicon in one SQLite file, shared by the replicas of a node."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import LexiconUnavailable
from pipeline.text.lexicon_entry import Entry, stored_entry

_READ_TIMEOUT_S = 0.25  # a text waits for it
_WRITE_TIMEOUT_S = 2.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (word TEXT PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY CHECK (id = 0), value TEXT NOT NULL);
"""


class SqliteLexicon:
    """The file is made by the first `put`; until then the lexicon is empty. Each call opens and closes the file."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser().absolute()

    def version(self) -> str:
        rows = self._read("SELECT value FROM version")
        return str(rows[0][0]) if rows else ""

    def words(self) -> list[str]:
        return [word for (word,) in self._read("SELECT word FROM entries")]

    def get(self, word: str) -> Entry | None:
        rows = self._read("SELECT word, kind, value FROM entries WHERE word = ?", word)
        return stored_entry(*rows[0]) if rows else None

    def entries(self, after: str, limit: int) -> list[Entry]:
        rows = self._read("SELECT word, kind, value FROM entries WHERE word > ? ORDER BY word LIMIT ?", after, limit)
        return [entry for row in rows if (entry := stored_entry(*row)) is not None]

    def put(self, entry: Entry) -> None:
        with self._change() as connection:
            row = (entry.word, entry.kind, entry.value)
            connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", row)

    def delete(self, word: str) -> bool:
        if not self._path.exists():
            return False
        with self._change() as connection:
            return connection.execute("DELETE FROM entries WHERE word = ?", (word,)).rowcount > 0

    def _read(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        try:
            uri = f"{self._path.as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=_READ_TIMEOUT_S)) as connection:
                return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise LexiconUnavailable(
                f"the lexicon {self._path} cannot be read ({error}): move the file away if it is damaged, or stop the "
                "program that locks it."
            ) from None

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which also changes the version."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_WRITE_TIMEOUT_S)) as connection:
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
                    connection.execute("INSERT OR REPLACE INTO version VALUES (0, ?)", (uuid.uuid4().hex,))
        except (sqlite3.Error, OSError) as error:
            raise LexiconUnavailable(
                f"the lexicon {self._path} cannot be written ({error}): set text.lexicon to a writable file or to a "
                "redis:// URL."
            ) from None

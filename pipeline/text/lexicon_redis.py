"""The user lexicon in Redis, shared by the replicas of a cluster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.errors import LexiconUnavailable, MissingExtra
from pipeline.text.lexicon_entry import Entry, stored_entry

_ENTRIES = "{cosyvoice-serve}:lexicon:entries"  # a hash of word -> [kind, value]; the braces keep both keys together
_VERSION = "{cosyvoice-serve}:lexicon:version"
_TIMEOUT_S = 0.5

T = TypeVar("T")


class RedisLexicon:
    """Connects on first use; `url` as redis-py takes it, e.g. redis://host:6379/0."""

    def __init__(self, url: str) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise MissingExtra("a lexicon in Redis needs an extra: pip install 'cosyvoice-serve[redis]'.") from None
        self._client: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # for a connection that went stale; the default retries for seconds
        )
        self._error = redis.RedisError

    def version(self) -> str:
        return self._call(lambda: str(self._client.get(_VERSION) or ""))

    def words(self) -> list[str]:
        return self._call(lambda: list(self._client.hkeys(_ENTRIES)))

    def get(self, word: str) -> Entry | None:
        stored = self._call(lambda: self._client.hget(_ENTRIES, word))
        return None if stored is None else stored_entry(word, *_fields(stored))

    def entries(self, after: str, limit: int) -> list[Entry]:
        stored = self._call(lambda: self._client.hgetall(_ENTRIES))
        page = sorted(word for word in stored if word > after)[:limit]
        found = (stored_entry(word, *_fields(stored[word])) for word in page)
        return [entry for entry in found if entry is not None]

    def put(self, entry: Entry) -> None:
        value = json.dumps([entry.kind, entry.value], ensure_ascii=False)
        self._change(lambda transaction: transaction.hset(_ENTRIES, entry.word, value))

    def delete(self, word: str) -> bool:
        return bool(self._change(lambda transaction: transaction.hdel(_ENTRIES, word)))

    def _change(self, command: Callable[[Any], Any]) -> Any:
        """One transaction, which also changes the version. Returns the command's result."""

        def run() -> Any:
            with self._client.pipeline(transaction=True) as transaction:
                command(transaction)
                transaction.set(_VERSION, uuid.uuid4().hex)
                return transaction.execute()[0]

        return self._call(run)

    def _call(self, command: Callable[[], T]) -> T:
        try:
            return command()
        except (self._error, OSError) as error:
            raise LexiconUnavailable(
                f"the lexicon in Redis cannot be reached ({error}): start it, or set text.lexicon to another place."
            ) from None


def _fields(stored: str) -> list[object]:
    """Kind and value; anything else where the field is damaged."""
    try:
        fields = json.loads(stored)
    except ValueError:
        return []
    return fields if isinstance(fields, list) else []

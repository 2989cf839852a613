"""Words that are read otherwise than the rules would: a shipped list, and the user's own in a shared store.

The store is a SQLite file or Redis. Every process keeps the user's words as an index with their first `cache_size`
entries, and recently used ones of the others in an LRU; it asks the store's version at most every `poll_s` seconds, so
a change reaches every replica within that time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import chain
from typing import Literal, Protocol

from pipeline.errors import InvalidRequest, LexiconUnavailable
from pipeline.text.lexicon_entry import Entry
from pipeline.text.word_index import WordIndex

log = logging.getLogger(__name__)

Origin = Literal["lexicon", "common"]
RETRY_AFTER_S = 5.0  # a store that cannot be reached is left alone so long


class LexiconStore(Protocol):
    """Where the user's entries live. Every method raises LexiconUnavailable when the store cannot be reached.

    What is stored but is no entry, written by another program, is left out and logged.
    """

    def version(self) -> str:
        """Differs after every change; empty while nothing was ever written."""
        ...

    def words(self) -> list[str]: ...

    def get(self, word: str) -> Entry | None: ...

    def entries(self, after: str, limit: int) -> list[Entry]:
        """By code point, those that sort after the word `after`."""
        ...

    def put(self, entry: Entry) -> None: ...

    def delete(self, word: str) -> bool:
        """Whether there was such an entry."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """text[start:end] is a word of the lexicon."""

    start: int
    end: int
    entry: Entry
    origin: Origin


class Lexicon:
    """The words in force. Without a store there are only the shipped ones.

    A store that cannot be reached is logged and tried again after RETRY_AFTER_S; until then texts are read with the
    entries that are known, and listing or changing entries raises LexiconUnavailable.
    """

    def __init__(
        self,
        store: LexiconStore | None = None,
        common: Mapping[str, Entry] | None = None,
        *,
        cache_size: int = 4096,
        poll_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._common = dict(common or {})
        self._cache_size = cache_size
        self._poll_s = poll_s
        self._clock = clock
        self._next_poll_s = clock()
        self._version = ""
        self._replace_words([], [])

    def find(self, text: str) -> list[Match]:
        """Matches from left to right, without overlap, the longest first."""
        self._refresh()
        matches: list[Match] = []
        end = 0
        for start in self._index.starts(text):
            if start >= end and (match := self._match_at(text, start)):
                matches.append(match)
                end = match.end
        return matches

    def entries(self, after: str = "", limit: int = 100) -> list[Entry]:
        """The user's entries in order, a page at a time."""
        return self._writable().entries(after, limit)

    def get(self, word: str) -> Entry | None:
        """The user's entry of a word in normal form, as it is stored now."""
        return self._writable().get(word)

    def put(self, entry: Entry) -> None:
        self._writable().put(entry)
        self._next_poll_s = self._clock()

    def delete(self, word: str) -> bool:
        was_there = self._writable().delete(word)
        self._next_poll_s = self._clock()
        return was_there

    def _writable(self) -> LexiconStore:
        if self._store is None:
            raise InvalidRequest("this service has no user lexicon: set text.lexicon to a file or a redis:// URL.")
        return self._store

    def _refresh(self) -> None:
        if self._store is None or (now := self._clock()) < self._next_poll_s:
            return
        self._next_poll_s = now + self._poll_s
        try:
            version = self._store.version()  # before the words: a change in between is seen at the next poll
            if version != self._version:
                known = self._store.entries("", self._cache_size)
                self._replace_words(self._store.words() if len(known) == self._cache_size else [], known)
                self._version = version
            self._is_reached = True
        except LexiconUnavailable as error:
            self._leave_alone(error, "Known entries stay in force")

    def _leave_alone(self, error: LexiconUnavailable, consequence: str) -> None:
        self._is_reached = False
        self._next_poll_s = self._clock() + max(self._poll_s, RETRY_AFTER_S)
        log.warning("%s %s.", error.message, consequence)

    def _replace_words(self, words: list[str], known: list[Entry]) -> None:
        """`words` are needed only where the store has more than the `known` entries."""
        self._known = {entry.word: entry for entry in known if entry.word}
        self._user_words = self._known.keys() | filter(None, words)
        self._index = WordIndex(chain(self._user_words, self._common))
        self._cached = lru_cache(self._cache_size)(self._fetch)
        self._is_reached = True

    def _fetch(self, word: str) -> Entry | None:
        if self._store is None or not self._is_reached:
            raise LexiconUnavailable("the lexicon was not reached a moment ago.")
        return self._store.get(word)

    def _match_at(self, text: str, start: int) -> Match | None:
        for end, word in self._index.at(text, start):
            if entry := self._user_entry(word):
                return Match(start, end, entry, "lexicon")
            if entry := self._common.get(word):
                return Match(start, end, entry, "common")
        return None

    def _user_entry(self, word: str) -> Entry | None:
        if word not in self._user_words:
            return None
        try:
            return self._known.get(word) or self._cached(word)
        except LexiconUnavailable as error:
            if self._is_reached:
                self._leave_alone(error, f"{word!r} is read without its entry")
            return None


@lru_cache(maxsize=1)
def common_words() -> Mapping[str, Entry]:
    """The shipped entries: lines of word, kind and value."""
    lines = (files("pipeline.text") / "data" / "common_words.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {word: Entry.checked(word, kind, value) for word, kind, value in rows}


def open_lexicon(location: str | None, *, cache_size: int = 4096, poll_s: float = 1.0) -> Lexicon:
    """The shipped words above the user's at `location`: a file, a redis:// URL, or None for no user lexicon."""
    return Lexicon(_open_store(location), common_words(), cache_size=cache_size, poll_s=poll_s)


def _open_store(location: str | None) -> LexiconStore | None:
    if location is None:
        return None
    if location.startswith(("redis://", "rediss://", "unix://")):
        from pipeline.text.lexicon_redis import RedisLexicon

        return RedisLexicon(location)
    from pipeline.text.lexicon_sqlite import SqliteLexicon

    return SqliteLexicon(location)

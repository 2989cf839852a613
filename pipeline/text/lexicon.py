"""Words that are read otherwise than the rules would: a shipped list, and the user's own in a shared store.

The store is a SQLite file or Redis. Every process keeps the user's words as an index with their first `cache_size`
entries, and recently used ones of the others in an LRU; it asks the store's version at most every `poll_s` seconds, so
a change reaches every replica within that time.
"""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import chain
from typing import Literal, Protocol

from pipeline.errors import InvalidRequest, LexiconUnavailable
from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import Reading, parse_phones, parse_pinyin, parse_sounds

log = logging.getLogger(__name__)

Kind = Literal["pinyin", "phonemes", "respelling"]
Origin = Literal["lexicon", "common"]
MAX_WORD_LENGTH = 32
MAX_VALUE_LENGTH = 200
RETRY_AFTER_S = 5.0  # a store that cannot be reached is left alone so long


@dataclass(frozen=True, slots=True)
class Entry:
    """One word. `value` is tone-number pinyin, phones as in `readings`, or the text to read instead; see `checked`."""

    word: str
    kind: Kind
    value: str

    @classmethod
    def checked(cls, word: str, kind: str, value: str) -> Entry:
        """The entry in normal form. Raises InvalidRequest with the reason for what cannot be spoken."""
        word, value = normal_form(word), normal_form(value)
        _check_text("word", word, MAX_WORD_LENGTH)
        _check_text("value", value, MAX_VALUE_LENGTH)
        for known, check in _CHECKS.items():
            if kind == known:
                return cls(word, known, check(word, value))
        raise InvalidRequest(f"kind {kind!r} is unknown; known are: {', '.join(_CHECKS)}.")

    def readings(self) -> tuple[Reading, ...]:
        """One per character of the word; a respelling has none."""
        if self.kind == "pinyin":
            return tuple(self.value.split())
        return (self.value, *[""] * (len(self.word) - 1))


def stored_entry(word: str, *fields: object) -> Entry | None:
    """The entry that a store has for a word, None where it is damaged."""
    try:
        kind, value = fields
        return Entry.checked(word, str(kind), str(value))
    except (ValueError, InvalidRequest) as error:
        log.warning("the lexicon's entry of %r is left out, delete it: %s", word, error)
        return None


def normal_form(text: str) -> str:
    """How words and values are stored and compared."""
    return unicodedata.normalize("NFC", text.strip())


def _check_text(name: str, text: str, max_length: int) -> None:
    if len(text) > max_length:
        raise InvalidRequest(f"{name} {text[:20]!r}... has {len(text)} characters: at most {max_length}.")
    if not any(map(str.isalnum, text)):
        raise InvalidRequest(f"{name} {text!r} has no letter, character or number that could be spoken.")
    if not text.isprintable():
        raise InvalidRequest(f"{name} {text!r} holds control characters: leave them out.")


def _checked_pinyin(word: str, value: str) -> str:
    if not all(map(is_hanzi, word)):
        raise InvalidRequest(f"word {word!r} is not Chinese characters alone: give it a respelling instead of pinyin.")
    try:
        syllables = parse_pinyin(value)
    except ValueError as error:
        raise InvalidRequest(f"pinyin {value!r} of {word!r}: {error}.") from None
    if len(syllables) != len(word):
        raise InvalidRequest(f"pinyin {value!r} has {len(syllables)} syllables, {word!r} has {len(word)} characters.")
    return " ".join(syllables)


def _checked_phones(word: str, value: str) -> str:
    if not (word.replace("'", "").isalpha() and word[0] != "'"):
        raise InvalidRequest(f"word {word!r} is not one word of letters: give it a respelling instead of phonemes.")
    try:
        return " ".join(parse_phones(value)) if word.isascii() else parse_sounds(value)
    except ValueError as error:
        cure = "" if word.isascii() else "; give it kana, hangul, jyutping, or a respelling instead of phonemes"
        raise InvalidRequest(f"phonemes {value!r} of {word!r}: {error}{cure}.") from None


def _checked_respelling(word: str, value: str) -> str:
    return value


_CHECKS: dict[Kind, Callable[[str, str], str]] = {
    "pinyin": _checked_pinyin,
    "phonemes": _checked_phones,
    "respelling": _checked_respelling,
}


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


class _Index:
    """Finds words of a set in a text, longest first. Words in lower case match any capitals."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        lengths: dict[str, set[int]] = {}
        for word in self._words:
            lengths.setdefault(word[0].lower(), set()).add(len(word))
        self._lengths = {char: sorted(found, reverse=True) for char, found in lengths.items()}
        self._start = _start_pattern(word[0] for word in self._words)

    def starts(self, text: str) -> list[int]:
        """Where a word could begin."""
        return [match.start() for match in self._start.finditer(text)]

    def at(self, text: str, start: int) -> Iterator[tuple[int, str]]:
        """(end, word) of the words that begin at `start`; Latin words and numbers match whole."""
        for length in self._lengths[text[start].lower()]:
            end = start + length
            written = text[start:end]
            for word in (written, written.lower()):
                if word in self._words and len(written) == length and _is_boundary(text, end):
                    yield end, word
                    break


_LATIN = "".join(filter(str.isalnum, map(chr, range(0x250))))  # to the end of Latin Extended-B, before IPA


def _start_pattern(chars: Iterable[str]) -> re.Pattern[str]:
    """One of `chars`, in either case; a Latin one only at the beginning of a word."""
    either = {form for char in chars for form in (char, char.lower(), char.upper()) if len(form) == 1}
    latin, others = "".join(either & set(_LATIN)), "".join(either - set(_LATIN))
    return re.compile(f"(?<![{_LATIN}]){_one_of(latin)}|{_one_of(others)}")


def _one_of(chars: str) -> str:
    return f"[{re.escape(chars)}]" if chars else "(?!)"


def _is_boundary(text: str, position: int) -> bool:
    return not (position < len(text) and _is_latin(text[position - 1]) and _is_latin(text[position]))


def _is_latin(char: str) -> bool:
    return char.isalnum() and char <= _LATIN[-1]


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
        self._index = _Index(chain(self._user_words, self._common))
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

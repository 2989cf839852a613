"""Where words of a list occur in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_NONE: tuple[int, ...] = ()


class WordIndex:
    """Finds words of a set in a text, longest first. Words in lower case match any capitals."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        lengths: dict[str, set[int]] = {}
        for word in self._words:
            lengths.setdefault(word[:2].lower(), set()).add(len(word))
        self._lengths = {pair: sorted(found, reverse=True) for pair, found in lengths.items()}
        self._start = _start_pattern(word[0] for word in self._words)

    def starts(self, text: str) -> list[int]:
        """Where a word could begin."""
        return [start for match in self._start.finditer(text) if self._lengths_at(text, start := match.start())]

    def at(self, text: str, start: int) -> Iterator[tuple[int, str]]:
        """(end, word) of the words that begin at `start`; Latin words and numbers match whole."""
        for length in self._lengths_at(text, start):
            end = start + length
            written = text[start:end]
            for word in (written, written.lower()):
                if word in self._words and len(written) == length and _is_boundary(text, end):
                    yield end, word
                    break

    def _lengths_at(self, text: str, start: int) -> Sequence[int]:
        """Of words with the two characters that are there, and of words that are the first one."""
        pair = text[start : start + 2].lower()
        longer, single = self._lengths.get(pair, _NONE), self._lengths.get(pair[:1], _NONE)
        return [*longer, *single] if single and len(pair) > 1 else longer


_LATIN = "".join(filter(str.isalnum, map(chr, range(0x250))))  # to the end of Latin Extended-B, before IPA


def _start_pattern(chars: Iterable[str]) -> re.Pattern[str]:
    """One of `chars`, in either case; a Latin one only at the beginning of a word."""
    either = {form for char in chars for form in (char, char.lower(), char.upper()) if len(form) == 1}
    latin = _one_of("".join(sorted(either & set(_LATIN))))
    # The set comes first and looks back after it: so the search runs from one of its characters to the next.
    return re.compile(f"{_one_of(''.join(sorted(either)))}(?<![{_LATIN}]{latin})")


def _one_of(chars: str) -> str:
    return f"[{re.escape(chars)}]" if chars else "(?!)"


def _is_boundary(text: str, position: int) -> bool:
    return not (position < len(text) and _is_latin(text[position - 1]) and _is_latin(text[position]))


def _is_latin(char: str) -> bool:
    return char.isalnum() and char <= _LATIN[-1]

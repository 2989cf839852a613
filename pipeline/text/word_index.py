"""Where words of a list occur in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator


class WordIndex:
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

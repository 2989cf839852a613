"""Text as it will be spoken, each character with its language, its reading and where that reading came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pipeline.text.readings import Reading

Source = Literal["markup", "lexicon", "common", "phrase", "model", "rule", "character", "dictionary", "tokenizer"]


@dataclass(frozen=True, slots=True)
class Script:
    """The fields have one item per character. Source "tokenizer" means that no reading was given."""

    text: str
    languages: tuple[str, ...]
    readings: tuple[Reading, ...]
    sources: tuple[Source, ...]

    @classmethod
    def plain(cls, text: str, language: str) -> Script:
        return cls.fixed(text, language, (None,) * len(text), "tokenizer")

    @classmethod
    def fixed(cls, text: str, language: str, readings: Sequence[Reading], source: Source) -> Script:
        size = len(text)
        return cls(text, (language,) * size, tuple(readings), (source,) * size)

    @classmethod
    def join(cls, parts: Iterable[Script]) -> Script:
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        return cls(
            "".join(part.text for part in parts),
            tuple(chain.from_iterable(part.languages for part in parts)),
            tuple(chain.from_iterable(part.readings for part in parts)),
            tuple(chain.from_iterable(part.sources for part in parts)),
        )

    def __getitem__(self, span: slice) -> Script:
        return Script(self.text[span], self.languages[span], self.readings[span], self.sources[span])

    @property
    def has_readings(self) -> bool:
        return self.readings.count(None) < len(self.readings)

    def pieces(self, texts: Iterable[str]) -> Iterator[Script]:
        """The script of each piece. Pieces hold the text in order, but for white space and marks that stood alone."""
        position = 0
        for text in texts:
            start = self.text.find(text, position)
            if start >= 0 and not any(map(str.isalnum, self.text[position:start])):
                position = start + len(text)
                yield self[start:position]
            else:
                rows, position = self._rows(text, position)
                yield self._gather(text, rows)

    def _rows(self, text: str, position: int) -> tuple[list[int | None], int]:
        """Where each character comes from, None for one that was put in; and where the next piece begins."""
        rows: list[int | None] = []
        for char in text:
            rows.append(self._find(char, position))
            position = position if rows[-1] is None else rows[-1] + 1
        return rows, position

    def _find(self, char: str, position: int) -> int | None:
        """The character's next place; no letter or number is passed over."""
        while position < len(self.text) and self.text[position] != char and not self.text[position].isalnum():
            position += 1
        return position if self.text[position : position + 1] == char else None

    def _gather(self, text: str, rows: Sequence[int | None]) -> Script:
        known = next((row for row in rows if row is not None), None)
        language = self.languages[known] if known is not None else ""
        return Script(
            text,
            tuple(language if row is None else self.languages[row] for row in rows),
            tuple(None if row is None else self.readings[row] for row in rows),
            tuple("tokenizer" if row is None else self.sources[row] for row in rows),
        )

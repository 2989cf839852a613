"""What the text frontend made of a text, to look at before it is spoken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from pipeline.text.mandarin import is_hanzi
from pipeline.text.script import Script, Source
from pipeline.text.spans import spans


@dataclass(frozen=True, slots=True)
class PreviewSpan:
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class PreviewReading:
    """`reading` is as in `readings`; None where the tokenizer decides, "" where the character is silent."""

    text: str
    reading: str | None
    source: Source


@dataclass(frozen=True, slots=True)
class PreviewPiece:
    """One utterance: `symbols` are what its ids stand for."""

    text: str
    readings: tuple[PreviewReading, ...]
    symbols: tuple[str, ...]
    text_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    text: str
    spans: tuple[PreviewSpan, ...]
    normalized: str
    pieces: tuple[PreviewPiece, ...]


def preview_spans(text: str, language: str | None) -> tuple[PreviewSpan, ...]:
    return tuple(PreviewSpan(*span) for span in spans(text, language) if text)


def preview_piece(script: Script, symbols: list[str], text_ids: tuple[int, ...]) -> PreviewPiece:
    return PreviewPiece(script.text, tuple(_readings(script)), tuple(symbols), text_ids)


def _readings(script: Script) -> Iterator[PreviewReading]:
    """One for each word or Chinese character with a reading, one for each run of other characters of one source."""
    starts = [k for k in range(len(script.text)) if k == 0 or _begins(script, k)]
    for start, end in pairwise((*starts, len(script.text))):
        spoken = [reading for reading in script.readings[start:end] if reading is not None]
        if spoken or script.sources[start] != "tokenizer":
            reading = " ".join(filter(None, spoken)) if spoken else None
            yield PreviewReading(script.text[start:end], reading, script.sources[start])


def _begins(script: Script, k: int) -> bool:
    """Whether a new item begins at a character; a silent one belongs to the character before it."""
    if script.sources[k] != script.sources[k - 1]:
        return True
    has_own = bool(script.readings[k]) and not script.text[k].isascii()
    return has_own or (script.readings[k] is None and any(map(is_hanzi, script.text[k - 1 : k + 1])))

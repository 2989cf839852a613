"""What the text frontend made of a text, to look at before it is spoken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import Reading
from pipeline.text.script import Script, Source
from pipeline.text.spans import spans


@dataclass(frozen=True, slots=True)
class PreviewSpan:
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class PreviewReading:
    """`reading` is pinyin or ARPAbet; None where the tokenizer decides, "" where the character is silent."""

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
    """One for each Chinese character, one for each run of other characters that have the same source."""
    rows = zip(script.text, script.readings, script.sources, strict=True)
    for (source, _), group in groupby(enumerate(rows), key=_group_key):
        text, readings, _ = zip(*(row for _, row in group), strict=True)
        spoken = [reading for reading in readings if reading is not None]
        if spoken or source != "tokenizer":
            yield PreviewReading("".join(text), " ".join(filter(None, spoken)) if spoken else None, source)


def _group_key(item: tuple[int, tuple[str, Reading, Source]]) -> tuple[Source, int]:
    index, (char, _, source) = item
    return source, index if is_hanzi(char) else -1

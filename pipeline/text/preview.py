"""What the text frontend made of a text, to look at before it is spoken."""

from __future__ import annotations

from dataclasses import dataclass

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
    rows = zip(script.text, script.readings, script.sources, strict=True)
    readings = (PreviewReading(*row) for row in rows if row[1] is not None or row[2] != "tokenizer")
    return PreviewPiece(script.text, tuple(readings), tuple(symbols), text_ids)

"""What a caller can write between words: `[pause:500ms]`, `[pinyin:chong2 qing4]重庆[/pinyin]`, or an SSML document.

Text without markup comes back as one untouched segment; any other square bracket is plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import InvalidRequest
from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import Reading, parse_phones, parse_pinyin

MAX_PAUSE_S = 10.0
MAX_TOTAL_PAUSE_S = 60.0
LANGUAGES = ("zh", "en", "ja", "ko", "yue")

_INLINE = re.compile(r"\[(?P<name>pause|pinyin):(?P<value>[^\[\]]*)\]|\[/pinyin\]")
_PINYIN_END = "[/pinyin]"
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(ms|s)")


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive text under the same markup. A segment without text is a pause."""

    text: str = ""
    language: str | None = None
    voice: str | None = None
    rate: float = 1.0
    readings: tuple[Reading, ...] | None = None  # one per character, spoken exactly so
    say_as: str | None = None  # interpret-as, in SSML's words
    is_verbatim: bool = False  # spoken as written: neither normalized nor looked up
    pause_s: float = 0.0  # silence after the text


def parse_markup(text: str) -> list[Segment]:
    """Segments in reading order. Raises InvalidRequest naming the position of what is wrong."""
    if text.lstrip().startswith("<speak"):
        from pipeline.text.ssml import parse_ssml

        segments = parse_ssml(text)
    else:
        segments = _parse_inline(text)
    if (total := sum(segment.pause_s for segment in segments)) > MAX_TOTAL_PAUSE_S:
        raise InvalidRequest(f"the pauses add up to {total:g} s: at most {MAX_TOTAL_PAUSE_S:g} s are allowed.")
    return segments


def _parse_inline(text: str) -> list[Segment]:
    segments: list[Segment] = []
    position = 0
    while tag := _INLINE.search(text, position):
        _append_text(segments, text[position : tag.start()])
        where = f"at character {tag.start() + 1}"
        if tag["name"] is None:
            raise InvalidRequest(f"{_PINYIN_END} {where} closes nothing: write [pinyin:...] before it.")
        if tag["name"] == "pause":
            segments.append(Segment(pause_s=parse_pause(tag["value"], where)))
            position = tag.end()
            continue
        end = text.find(_PINYIN_END, tag.end())
        if end < 0:
            raise InvalidRequest(f"{tag.group()} {where} is not closed: write {_PINYIN_END} after its text.")
        segments.append(pinyin_segment(text[tag.end() : end], tag["value"], where))
        position = end + len(_PINYIN_END)
    _append_text(segments, text[position:])
    return segments or [Segment()]


def _append_text(segments: list[Segment], text: str) -> None:
    if text:
        segments.append(Segment(text))


def pinyin_segment(text: str, value: str, where: str) -> Segment:
    """Hanzi with one written syllable each."""
    try:
        syllables = parse_pinyin(value)
    except ValueError as error:
        raise InvalidRequest(f"pinyin {where}: {error}.") from None
    if not text or not all(map(is_hanzi, text)):
        raise InvalidRequest(f"pinyin {where} belongs to {text!r}: only Chinese characters can have pinyin.")
    if len(syllables) != len(text):
        raise InvalidRequest(
            f"pinyin {where} has {len(syllables)} syllables for the {len(text)} characters of {text!r}."
        )
    return Segment(text, "zh", readings=syllables, is_verbatim=True)


def phones_segment(text: str, value: str, where: str) -> Segment:
    """A word with ARPAbet phones, all of them on its first letter."""
    try:
        phones = parse_phones(value)
    except ValueError as error:
        raise InvalidRequest(f"phoneme {where}: {error}.") from None
    if not (text.isascii() and text.isalpha()):
        raise InvalidRequest(
            f"phoneme {where} belongs to {text!r}: only one word of Latin letters can have ARPAbet phones."
        )
    return Segment(text, "en", readings=(" ".join(phones), *[""] * (len(text) - 1)), is_verbatim=True)


def parse_pause(value: str, where: str) -> float:
    """Seconds of `500ms` or `1.5s`."""
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise InvalidRequest(f"pause {where} has the duration {value!r}: write it as 500ms or 1.5s.")
    duration_s = float(match[1]) / (1000 if match[2] == "ms" else 1)
    if duration_s > MAX_PAUSE_S:
        raise InvalidRequest(f"pause {where} of {value.strip()} is too long: at most {MAX_PAUSE_S:g} s.")
    return duration_s

"""What a caller can write between words: `[pause:500ms]`, `[pinyin:chong2 qing4]重庆[/pinyin]`, or an SSML document.

`[kana:キョー]今日[/kana]`, `[hangul:동닙]독립[/hangul]` and `[jyutping:jat6]日[/jyutping]` do the same elsewhere.
Text without markup comes back as one untouched segment; any other square bracket is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import InvalidRequest
from pipeline.text.korean_rules import is_syllable
from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import JYUTPING, Reading, parse_phones, parse_pinyin, parse_sounds

MAX_PAUSE_S = 10.0
MAX_TOTAL_PAUSE_S = 60.0
LANGUAGES = ("zh", "en", "ja", "ko", "yue")

_INLINE = re.compile(
    r"\[(?P<name>pause|pinyin|kana|hangul|jyutping):(?P<value>[^\[\]]*)\]|\[/(?P<closed>pinyin|kana|hangul|jyutping)\]"
)
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
            raise InvalidRequest(f"{tag.group()} {where} closes nothing: write [{tag['closed']}:...] before it.")
        if tag["name"] == "pause":
            segments.append(Segment(pause_s=parse_pause(tag["value"], where)))
            position = tag.end()
            continue
        closing = f"[/{tag['name']}]"
        end = text.find(closing, tag.end())
        if end < 0:
            raise InvalidRequest(f"{tag.group()} {where} is not closed: write {closing} after its text.")
        segments.append(ALPHABETS[tag["name"]](text[tag.end() : end], tag["value"], where))
        position = end + len(closing)
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


def kana_segment(text: str, value: str, where: str) -> Segment:
    """Japanese with kana as they are pronounced (トーキョー), all of them on its first character."""
    return _sounds_segment("kana", "ja", text, value, where)


def hangul_segment(text: str, value: str, where: str) -> Segment:
    """Korean with hangul as it is pronounced (동닙), all of it on its first character."""
    return _sounds_segment("hangul", "ko", text, value, where)


def _sounds_segment(alphabet: str, language: str, text: str, value: str, where: str) -> Segment:
    sounds = _sounds(alphabet, value, where)
    if not text or not all(map(str.isalnum, text)):
        raise InvalidRequest(f"{alphabet} {where} belongs to {text!r}: only a word can have {alphabet}.")
    return Segment(text, language, readings=(sounds, *[""] * (len(text) - 1)), is_verbatim=True)


def jyutping_segment(text: str, value: str, where: str) -> Segment:
    """Hanzi with one Cantonese syllable each."""
    syllables = _sounds("jyutping", value, where).split()
    if not text or not all(map(is_hanzi, text)):
        raise InvalidRequest(f"jyutping {where} belongs to {text!r}: only Chinese characters can have jyutping.")
    if len(syllables) != len(text):
        raise InvalidRequest(
            f"jyutping {where} has {len(syllables)} syllables for the {len(text)} characters of {text!r}."
        )
    return Segment(text, "yue", readings=tuple(syllables), is_verbatim=True)


def _sounds(alphabet: str, value: str, where: str) -> str:
    try:
        sounds = parse_sounds(value) if value.strip() else ""
    except ValueError as error:
        raise InvalidRequest(f"{alphabet} {where}: {error}.") from None
    if not sounds or alphabet != _alphabet_of(sounds):
        raise InvalidRequest(f"{alphabet} {where} is {value!r}: write the sounds in {alphabet}.")
    return sounds


def _alphabet_of(sounds: str) -> str:
    if sounds.startswith(JYUTPING):
        return "jyutping"
    return "hangul" if is_syllable(sounds[0]) else "kana"


ALPHABETS: dict[str, Callable[[str, str, str], Segment]] = {
    "pinyin": pinyin_segment,
    "x-arpabet": phones_segment,
    "kana": kana_segment,
    "hangul": hangul_segment,
    "jyutping": jyutping_segment,
}


def parse_pause(value: str, where: str) -> float:
    """Seconds of `500ms` or `1.5s`."""
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise InvalidRequest(f"pause {where} has the duration {value!r}: write it as 500ms or 1.5s.")
    duration_s = float(match[1]) / (1000 if match[2] == "ms" else 1)
    if duration_s > MAX_PAUSE_S:
        raise InvalidRequest(f"pause {where} of {value.strip()} is too long: at most {MAX_PAUSE_S:g} s.")
    return duration_s

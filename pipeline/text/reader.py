"""Gives the characters of a script their readings, each by the rules of its language, around those that are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType

from pipeline.text import korean
from pipeline.text.cantonese import load_cantonese
from pipeline.text.japanese import load_japanese
from pipeline.text.korean_rules import is_syllable
from pipeline.text.mandarin import is_hanzi
from pipeline.text.polyphone import Question
from pipeline.text.pronounce import load_pronouncer, load_sandhi
from pipeline.text.readings import Reading, known_syllables
from pipeline.text.script import Script, Source
from pipeline.types import F32

CHINESE = "zh"
_GIVEN = "\ufffd"  # in the place of a character that has a reading, and between parts

Row = tuple[Reading, Source]


def pronounce(script: Script, languages: Collection[str] = (CHINESE, "ja", "ko", "yue")) -> Script:
    """The script with readings for the parts in these languages. Readings that are there stay as they are.

    Chinese syllables stand at their characters; a Japanese word's kana at its first one, the others are silent;
    Korean syllables and Cantonese jyutping at their characters. What has no reading is left to the tokenizer.
    """
    return pronounce_and_ask(script, (), languages)[0]


def pronounce_and_ask(
    script: Script, pauses: Sequence[Question], languages: Collection[str] = (CHINESE, "ja", "ko", "yue")
) -> tuple[Script, list[F32]]:
    """As `pronounce`, and the answers to questions about pauses, by the same run of the model."""
    places = _open_hanzi(script) if CHINESE in languages else []
    if places:
        script, answers = _with_chinese(script, places, pauses)
    else:
        answers = load_pronouncer().model.pauses(pauses) if pauses else []
    for language, read in READERS.items():
        if language in languages and language in script.languages:
            script = _with_readings(script, language, read)
    return script, answers


def _open_hanzi(script: Script) -> list[int]:
    """Where a Chinese character has no reading."""
    return [
        k
        for k, (char, language, reading) in enumerate(zip(script.text, script.languages, script.readings, strict=True))
        if reading is None and language == CHINESE and "\u3400" <= char <= "\u9fff"  # as `is_hanzi`
    ]


def _with_chinese(script: Script, places: Sequence[int], pauses: Sequence[Question]) -> tuple[Script, list[F32]]:
    read = load_pronouncer().read(script.text, pauses)
    syllables = [
        given if given and _is_known(given) else found
        for given, found in zip(script.readings, read.syllables, strict=True)
    ]
    spoken = load_sandhi().spoken(script.text, syllables, read.word_of)
    readings, sources = list(script.readings), list(script.sources)
    for k in places:
        if _is_known(spoken[k]):
            readings[k], sources[k] = spoken[k], read.sources[k]
    return Script(script.text, script.languages, tuple(readings), tuple(sources)), read.pauses


@lru_cache(maxsize=4096)
def _is_known(syllable: str) -> bool:
    """Whether the tokenizer can speak it; the empty syllable is an 儿 that joined the one before."""
    base = syllable[:-1]
    return not syllable or base in known_syllables() or base.removesuffix("r") in known_syllables()


def _with_readings(script: Script, language: str, read: Callable[[str], list[Row]]) -> Script:
    """The script with readings in all parts of one language, which are read at once, apart from each other."""
    parts = _parts_in(script, language)
    found = read(_GIVEN.join(_open_text(script[start:end]) for start, end in parts))
    readings, sources = list(script.readings), list(script.sources)
    position = 0
    for start, end in parts:
        for k, (reading, source) in enumerate(found[position : position + end - start], start):
            if reading is not None:
                readings[k], sources[k] = reading, source
        position += end - start + len(_GIVEN)
    return Script(script.text, script.languages, tuple(readings), tuple(sources))


def _parts_in(script: Script, language: str) -> list[tuple[int, int]]:
    """Start and end of each part in a language."""
    parts: list[tuple[int, int]] = []
    end = 0
    for of_part, chars in groupby(script.languages):
        start, end = end, end + len(list(chars))
        if of_part == language:
            parts.append((start, end))
    return parts


def _open_text(script: Script) -> str:
    if not script.has_readings:
        return script.text
    rows = zip(script.text, script.readings, strict=True)
    return "".join([char if reading is None else _GIVEN for char, reading in rows])


def _japanese(text: str) -> list[Row]:
    rows: list[Row] = [(None, "tokenizer")] * len(text)
    for word in load_japanese().read(text):
        if word.sound:
            source: Source = "dictionary" if word.is_known else "rule"
            rows[word.start : word.end] = [(word.sound, source), *[("", source)] * (word.end - word.start - 1)]
    return rows


def _korean(text: str) -> list[Row]:
    spoken = korean.spoken(text)
    return [
        ((said, "dictionary" if is_hanzi(char) else "rule") if is_syllable(said) else (None, "tokenizer"))
        for char, said in zip(text, spoken, strict=True)
    ]


def _cantonese(text: str) -> list[Row]:
    return [
        (f"yue:{syllable}", "dictionary") if syllable else (None, "tokenizer")
        for syllable in load_cantonese().read(text)
    ]


READERS: Mapping[str, Callable[[str], list[Row]]] = MappingProxyType(
    {"ja": _japanese, "ko": _korean, "yue": _cantonese}
)

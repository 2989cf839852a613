"""Gives the Chinese characters of a script their readings, around those that are given."""

from __future__ import annotations

from dataclasses import replace

from pipeline.text.mandarin import is_hanzi
from pipeline.text.pronounce import load_pronouncer, load_sandhi
from pipeline.text.readings import Reading, known_syllables
from pipeline.text.script import Script

CHINESE = "zh"


def pronounce(script: Script) -> Script:
    """The script with spoken syllables for hanzi of its Chinese parts. Readings that are there stay as they are."""
    if not any(map(_is_open, script.text, script.languages, script.readings)):
        return script
    read = load_pronouncer().read(script.text)
    given = [reading if _is_syllable(reading) else None for reading in script.readings]
    syllables = [fixed or found for fixed, found in zip(given, read.syllables, strict=True)]
    spoken = load_sandhi().spoken(script.text, syllables, read.word_of)
    readings, sources = list(script.readings), list(script.sources)
    for k, syllable in enumerate(spoken):
        if _is_open(script.text[k], script.languages[k], script.readings[k]) and _is_known(syllable):
            readings[k], sources[k] = syllable, read.sources[k]
    return replace(script, readings=tuple(readings), sources=tuple(sources))


def _is_open(char: str, language: str, reading: Reading) -> bool:
    return reading is None and language == CHINESE and is_hanzi(char)


def _is_syllable(reading: Reading) -> bool:
    return bool(reading) and _is_known(reading or "")


def _is_known(syllable: str) -> bool:
    """Whether the tokenizer can speak it; the empty syllable is an 儿 that joined the one before."""
    base = syllable[:-1]
    return not syllable or base in known_syllables() or base.removesuffix("r") in known_syllables()

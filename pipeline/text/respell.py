"""Readings for tokenizers that take characters: another character that is always read so takes a character's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import Reading
from pipeline.text.script import Script


def respelled(script: Script, pronounce: Callable[[Script], Script]) -> Script:
    """The script with given syllables written as homophones where its characters would be read otherwise.

    `pronounce` tells how they would be read. Phones, and syllables without a homophone, keep the word as it is.
    """
    if not script.has_readings:
        return script
    usual = pronounce(Script.plain(script.text, "zh")).readings
    rows = zip(script.text, script.readings, usual, strict=True)
    return replace(script, text="".join(char if given == read else _respell(char, given) for char, given, read in rows))


def _respell(char: str, given: Reading) -> str:
    return homophones().get(given or "", char) if is_hanzi(char) else char


@lru_cache(maxsize=1)
def homophones() -> Mapping[str, str]:
    """Tone-number syllable -> a frequent character with no other reading."""
    lines = (files("pipeline.text") / "data" / "homophones.tsv").read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))

"""Readings for tokenizers that take characters: another character that is always read so takes a character's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

from pipeline.text.mandarin import is_hanzi
from pipeline.text.pronounce import pinyin
from pipeline.text.readings import Reading
from pipeline.text.script import Script


def respelled(
    script: Script, pronounce: Callable[[Script], Script], cite: Callable[[str], Sequence[str]] = pinyin
) -> Script:
    """The script with given syllables written as homophones where its characters would be read otherwise.

    `pronounce` tells how they would be spoken, `cite` how a dictionary writes that, before tone sandhi; a given
    syllable may be either. Phones, and syllables without a homophone, keep the word as it is.
    """
    if not script.has_readings:
        return script
    spoken = pronounce(Script.plain(script.text, "zh")).readings
    rows = zip(script.text, script.readings, spoken, cite(script.text), strict=True)
    text = "".join(char if given in usual else _respell(char, given) for char, given, *usual in rows)
    return replace(script, text=text)


def _respell(char: str, given: Reading) -> str:
    return homophones().get(given or "", char) if is_hanzi(char) else char


@lru_cache(maxsize=1)
def homophones() -> Mapping[str, str]:
    """Tone-number syllable -> a frequent character with no other reading."""
    lines = (files("pipeline.text") / "data" / "homophones.tsv").read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))

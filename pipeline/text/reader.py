"""Gives the characters of a script their readings, each by the rules of its language, around those that are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import chain, groupby
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
_SANDHI_REACH = 4  # characters: a foot of three, in which an 儿 may stand

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
    runs = _runs(script)
    places = _open_hanzi(script, runs[CHINESE]) if CHINESE in languages and CHINESE in runs else []
    if places:
        script, answers = _with_chinese(script, places, _heard(runs[CHINESE]), pauses)
    else:
        answers = load_pronouncer().model.pauses(pauses) if pauses else []
    for language, read in READERS.items():
        if language in languages and language in runs:
            script = _with_readings(script, runs[language], read)
    return script, answers


def _runs(script: Script) -> dict[str, list[slice]]:
    """The parts in each language."""
    runs: dict[str, list[slice]] = {}
    end = 0
    for language, chars in groupby(script.languages):
        start, end = end, end + len(list(chars))
        runs.setdefault(language, []).append(slice(start, end))
    return runs


def _open_hanzi(script: Script, runs: Iterable[slice]) -> list[int]:
    """Where a Chinese character has no reading."""
    return [
        k
        for run in runs
        for k, (char, reading) in enumerate(zip(script.text[run], script.readings[run], strict=True), run.start)
        if reading is None and "\u3400" <= char <= "\u9fff"  # as `is_hanzi`
    ]


def _heard(runs: Iterable[slice]) -> frozenset[int]:
    """The places of the runs, and those around them whose tones may change theirs."""
    return frozenset(chain.from_iterable(range(run.start - 1, run.stop + _SANDHI_REACH) for run in runs))


def _with_chinese(
    script: Script, places: Sequence[int], heard: Set[int], pauses: Sequence[Question]
) -> tuple[Script, list[F32]]:
    read = load_pronouncer().read(script.text, pauses, heard)
    syllables = read.syllables
    if script.has_readings:
        pairs = zip(script.readings, syllables, strict=True)
        syllables = [given if given and _is_known(given) else found for given, found in pairs]
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


def _with_readings(script: Script, runs: Sequence[slice], read: Callable[[str], list[Row]]) -> Script:
    """The script with readings in all parts of one language, which are read at once, apart from each other."""
    text = _GIVEN.join([_open_text(script, run) for run in runs])
    rows = iter(read(text + _GIVEN if runs[-1].stop < len(script.text) else text))
    readings, sources = list(script.readings), list(script.sources)
    for run in runs:
        for k, (reading, source) in zip(range(run.start, run.stop), rows, strict=False):
            if reading is not None:
                readings[k], sources[k] = reading, source
        next(rows, None)
    return Script(script.text, script.languages, tuple(readings), tuple(sources))


def _open_text(script: Script, run: slice) -> str:
    """A part with a sign in the place of each character that has a reading."""
    text, readings = script.text[run], script.readings[run]
    if readings.count(None) == len(text):
        return text
    return "".join(char if reading is None else _GIVEN for char, reading in zip(text, readings, strict=True))


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

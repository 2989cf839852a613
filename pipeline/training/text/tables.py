"""Builds the phrase and character tables from pypinyin's dictionaries (MIT licence)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from pypinyin.constants import PHRASES_DICT, PINYIN_DICT
from pypinyin.contrib.tone_convert import to_tone3

MAX_PHRASE_LENGTH = 8
HAN = (0x3007, 0x2FA1F)


def tone_number(syllable: str) -> str:
    """`chóng` -> `chong2`, `lǜ` -> `lv4`; the neutral tone is 5."""
    return str(to_tone3(syllable, neutral_tone_with_five=True))


def phrase_rows() -> dict[str, str]:
    """Phrases of two to eight characters that hold a character with more than one reading."""
    ambiguous = {chr(code) for code, readings in PINYIN_DICT.items() if "," in readings}
    rows = {}
    for phrase, readings in PHRASES_DICT.items():
        is_aligned = len(phrase) == len(readings)
        if is_aligned and 2 <= len(phrase) <= MAX_PHRASE_LENGTH and ambiguous.intersection(phrase):
            rows[phrase] = " ".join(tone_number(reading[0]) for reading in readings)
    return rows


def character_rows() -> dict[str, str]:
    """Every character's readings, the commonest first."""
    rows = {}
    for code, readings in PINYIN_DICT.items():
        if HAN[0] <= code <= HAN[1]:
            rows[chr(code)] = " ".join(dict.fromkeys(tone_number(reading) for reading in readings.split(",")))
    return rows


def write_table(path: Path, rows: Mapping[str, str]) -> None:
    """Sorted `key<TAB>value` lines; the same rows give the same bytes."""
    text = "".join(f"{key}\t{rows[key]}\n" for key in sorted(rows))
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def write_tables(folder: Path) -> None:
    write_table(folder / "phrases.tsv.gz", phrase_rows())
    write_table(folder / "characters.tsv.gz", character_rows())

"""Writes the Cantonese dictionary from ToJyutping 3.2.0 and the Korean readings of hanja from Unihan."""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.text.korean_rules import Syllable

_CANTONESE_HEADER = "# Derived from ToJyutping 3.2.0, Copyright (c) CanCLID, BSD-2-Clause: see NOTICE."
_HANJA_HEADER = "# Korean readings of hanja, before the initial-sound rule: Unihan's kHangul, see NOTICE."
_MODERN = {"車": "차", "樂": "악", "不": "불", "北": "북"}  # of several readings the commonest today
_SOFTENED = {"ㄹ": "ㄴㅇ", "ㄴ": "ㅇ"}


def write_cantonese(file: Path) -> None:
    """From the installed ToJyutping: words whose characters have one syllable each."""
    words: dict[str, str] = {}
    for word, syllables in _trie_words(import_module("ToJyutping.Trie").root, ""):
        if len(syllables) == len(word):
            words[word] = " ".join(syllables)
    lines = [_CANTONESE_HEADER, *(f"{word}\t{value}" for word, value in sorted(words.items()))]
    file.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))


def _trie_words(node: Any, word: str) -> Iterator[tuple[str, list[str]]]:
    if node.v:
        yield word, str(node.v[0]).split()
    for char, child in node.items():
        yield from _trie_words(child, word + char)


def write_hanja(unihan: Path, file: Path) -> None:
    """From Unihan_Readings.txt of the Unicode Character Database."""
    chars: dict[str, list[str]] = defaultdict(list)
    for line in unihan.read_text("utf-8").splitlines():
        row = re.fullmatch(r"U\+(\w+)\tkHangul\t(.+)", line)
        if row and "\u3400" <= (char := chr(int(row[1], 16))) <= "\u9fff":
            chars[_MODERN.get(char) or _commonest(row[2].split())].append(char)
    rows = (f"{reading}\t{''.join(sorted(group))}" for reading, group in sorted(chars.items()))
    file.write_text("\n".join((_HANJA_HEADER, *rows)) + "\n", "utf-8")


def _commonest(readings: Sequence[str]) -> str:
    """Of readings like 락:0E, those of schools (E) and of KS X 1001 (0) first; never the softened form of another."""
    ordered = sorted(readings, key=lambda reading: ("E" not in reading, "0" not in reading))
    candidates = [reading.partition(":")[0] for reading in ordered]
    pairs = ((first, second) for first in candidates for second in candidates)
    return next((first for first, second in pairs if _softens(first, second)), candidates[0])


def _softens(first: str, second: str) -> bool:
    """Whether `second` is `first` as it sounds at the beginning of a word."""
    left, right = Syllable.of(first), Syllable.of(second)
    is_same = (left.vowel, left.coda) == (right.vowel, right.coda)
    return is_same and right.initial in _SOFTENED.get(left.initial, "")

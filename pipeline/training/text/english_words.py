"""Writes the dictionary of English words from CMUdict's file and a list of newer words and better choices."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from pipeline.text.english_endings import plural
from pipeline.text.english_words import FILE, encode_line

Phones = tuple[str, ...]

_WORD = re.compile(r"[a-z']+")
_VARIANT = re.compile(r"(.+)\(\d\)")


def read_cmudict(path: Path) -> dict[str, list[Phones]]:
    """Every word's pronunciations, the first one first."""
    words: dict[str, list[Phones]] = {}
    for line in path.read_text("utf-8").splitlines():
        word, *phones = line.partition("#")[0].split()
        variant = _VARIANT.fullmatch(word)
        words.setdefault(variant[1] if variant else word, []).append(tuple(phones))
    return words


def extra_words() -> dict[str, Phones]:
    """Words newer than CMUdict, and the commoner one of two readings where it lists the other first."""
    lines = (files("pipeline.training.text") / "english_extra.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {word: tuple(phones.split()) for word, phones in rows}


def dictionary(words: Mapping[str, list[Phones]]) -> dict[str, Phones]:
    """One pronunciation a word; possessives that the rules make are left out."""
    chosen = {word: known[0] for word, known in words.items() if _WORD.fullmatch(word)} | extra_words()
    return {word: phones for word, phones in chosen.items() if not _is_derived(word, phones, chosen)}


def _is_derived(word: str, phones: Phones, words: Mapping[str, Phones]) -> bool:
    if word.endswith("'s") and word[:-2] in words:
        made = plural(words[word[:-2]])
        return made == phones or made == tuple("IH0" if phone == "AH0" else phone for phone in phones)
    return word.endswith("s'") and words.get(word[:-1]) == phones


def write_words(cmudict: Path, folder: Path) -> int:
    """Writes the table and returns its number of words."""
    words = dictionary(read_cmudict(cmudict))
    lines = sorted(encode_line(word, phones).encode("ascii") for word, phones in words.items())
    (folder / FILE).write_bytes(gzip.compress(b"".join(lines), 9, mtime=0))
    return len(words)

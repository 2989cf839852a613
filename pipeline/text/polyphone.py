"""The model for characters with several readings; the same network tells where a reader pauses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from pipeline.text.phrases import DATA
from pipeline.types import F32, I64

UNKNOWN_ROW, BEGIN_ROW, END_ROW = 1, 2, 3
FIRST_ROW = 4  # of the embedding, that is a character
SINGLE, BEGIN, MIDDLE, END = range(4)
MAX_CONTEXT = 256  # characters given to the network at once


class Segmenter(Protocol):
    def cut(self, sentence: str, cut_all: bool = False, HMM: bool = True) -> Any:
        """Words in order; together they are the sentence."""
        ...


def words_of(segmenter: Segmenter, text: str) -> list[int]:
    """For each character, the number of its word. Without the hidden Markov model: unknown words stay characters."""
    word_of: list[int] = []
    for number, word in enumerate(segmenter.cut(text, HMM=False)):
        word_of += [number] * len(word)
    return word_of


def tags_of(word_of: Sequence[int]) -> I64:
    """i64 [T + 2]: whether a character is a word, or begins, continues or ends one; begin and end are words."""
    starts = [left != right for left, right in pairwise([-1, *word_of])]
    ends = [*starts[1:], True]
    tags = {(True, True): SINGLE, (True, False): BEGIN, (False, False): MIDDLE, (False, True): END}
    return np.array([SINGLE, *(tags[pair] for pair in zip(starts, ends, strict=True)), SINGLE], np.int64)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Characters the network knows, the syllables it can answer, and which of them each polyphone may have."""

    characters: Mapping[str, int]  # row of the embedding
    classes: tuple[str, ...]
    class_ids: Mapping[str, int]
    candidates: Mapping[str, I64]  # character -> i64 [n], ids of its readings

    @staticmethod
    def build(characters: Mapping[str, int], classes: Sequence[str], candidates: Mapping[str, Sequence[str]]) -> Vocabulary:
        class_ids = {syllable: k for k, syllable in enumerate(classes)}
        ids = {char: np.array([class_ids[s] for s in readings], np.int64) for char, readings in candidates.items()}
        return Vocabulary(characters, tuple(classes), class_ids, ids)

    @staticmethod
    def from_json(text: str) -> Vocabulary:
        parts = json.loads(text)
        characters = {char: row for row, char in enumerate(parts["characters"], start=FIRST_ROW)}
        candidates = {char: readings.split() for char, readings in parts["candidates"].items()}
        return Vocabulary.build(characters, parts["classes"].split(), candidates)

    def to_json(self) -> str:
        rows = sorted((row, char) for char, row in self.characters.items() if row >= FIRST_ROW)
        names = {char: " ".join(self.classes[k] for k in ids) for char, ids in sorted(self.candidates.items())}
        parts = {
            "characters": "".join(char for _, char in rows),
            "classes": " ".join(self.classes),
            "candidates": names,
        }
        return json.dumps(parts, ensure_ascii=False, indent=0)

    def encode(self, text: str) -> I64:
        """i64 [T + 2]: the rows of the characters between begin and end."""
        get = self.characters.get
        return np.array([BEGIN_ROW, *(get(char, UNKNOWN_ROW) for char in text), END_ROW], np.int64)

"""The model for characters with several readings; the same network tells where a reader pauses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file
from itertools import groupby, pairwise, repeat
from operator import ne

import numpy as np

from pipeline.runtime.session import Session, make_session
from pipeline.text.phrases import DATA
from pipeline.text.segment import Segmenter
from pipeline.types import F32, I64

UNKNOWN_ROW, BEGIN_ROW, END_ROW = 1, 2, 3
FIRST_ROW = 4  # of the embedding, that is a character
SINGLE, BEGIN, MIDDLE, END = range(4)
HINT_BONUS = 7.0  # best on held-out sentences of the CPP dev split
_TAGS = {(True, True): SINGLE, (True, False): BEGIN, (False, False): MIDDLE, (False, True): END}  # begins, ends
MAX_CONTEXT = 256  # characters given to the network at once; it sees some tens of characters far


def words_of(segmenter: Segmenter, text: str) -> list[int]:
    """For each character, the number of its word. Without the hidden Markov model: unknown words stay characters."""
    word_of: list[int] = []
    for number, word in enumerate(segmenter.cut(text)):
        word_of += [number] * len(word)
    return word_of


def tags_of(word_of: Sequence[int]) -> I64:
    """i64 [T + 2]: whether a character is a word, or begins, continues or ends one; begin and end are words."""
    edges = [True, *map(ne, word_of, word_of[1:]), True]  # whether a word begins or ends before each character
    return np.array([SINGLE, *map(_TAGS.__getitem__, pairwise(edges)), SINGLE] if word_of else [SINGLE] * 2, np.int64)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Characters the network knows, the syllables it can answer, and which of them each polyphone may have."""

    characters: Mapping[str, int]  # row of the embedding
    classes: tuple[str, ...]
    class_ids: Mapping[str, int]
    candidates: Mapping[str, I64]  # character -> i64 [n], ids of its readings
    padded: Mapping[str, I64]  # as `candidates`, all of one length, the first id again where there are no more

    @staticmethod
    def build(
        characters: Mapping[str, int], classes: Sequence[str], candidates: Mapping[str, Sequence[str]]
    ) -> Vocabulary:
        class_ids = {syllable: k for k, syllable in enumerate(classes)}
        ids = {char: np.array([class_ids[s] for s in readings], np.int64) for char, readings in candidates.items()}
        longest = max(map(len, ids.values()), default=0)
        padded = {char: np.append(row, np.repeat(row[:1], longest - len(row))) for char, row in ids.items()}
        return Vocabulary(characters, tuple(classes), class_ids, ids, padded)

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
        return np.array([BEGIN_ROW, *map(self.characters.get, text, repeat(UNKNOWN_ROW)), END_ROW], np.int64)


class PolyphoneModel:
    """The network with its vocabulary. Calls may come from several threads."""

    def __init__(self, session: Session, vocabulary: Vocabulary) -> None:
        self._session = session
        self.vocabulary = vocabulary

    @staticmethod
    def load() -> PolyphoneModel:
        """The weights in the package, on one thread: a sentence is too little work for more."""
        with as_file(DATA / "polyphone.onnx") as file:
            session = make_session(file, num_threads=1)
        return PolyphoneModel(session, Vocabulary.from_json((DATA / "polyphone.json").read_text("utf-8")))

    def readings(self, text: str, word_of: Sequence[int], hints: Mapping[int, str | None]) -> dict[int, str]:
        """The likeliest syllable at each position that is a key of `hints`; a hint's logit is raised by HINT_BONUS."""
        found: dict[int, str] = {}
        for start, window in groupby(sorted(hints), lambda k: k - k % MAX_CONTEXT):
            places = list(window)
            inputs = self._inputs(text, word_of, start, places)
            logits: F32 = self._session.run(inputs, ["logits"])["logits"]  # f32 [K, C]
            found |= zip(places, self._best([text[k] for k in places], logits, [hints[k] for k in places]), strict=True)
        return found

    def pauses(self, text: str, word_of: Sequence[int]) -> F32:
        """f32 [T]: for each character the probability that a reader pauses after it."""
        parts = [
            1 / (1 + np.exp(-self._session.run(self._inputs(text, word_of, start, []), ["pauses"])["pauses"][0, 1:-1]))
            for start in range(0, len(text), MAX_CONTEXT)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _inputs(self, text: str, word_of: Sequence[int], start: int, places: Sequence[int]) -> dict[str, I64]:
        end = start + MAX_CONTEXT
        return {
            "characters": self.vocabulary.encode(text[start:end])[None],
            "tags": tags_of(word_of[start:end])[None],
            "positions": np.array(places, np.int64) - start + 1,
        }

    def _best(self, chars: Sequence[str], logits: F32, hints: Sequence[str | None]) -> list[str]:
        """`logits` f32 [K, C]. A repeated candidate scores as the first one does, which `argmax` prefers."""
        candidates = np.array([self.vocabulary.padded[char] for char in chars])  # i64 [K, N]
        hinted = np.array([-1 if hint is None else self.vocabulary.class_ids.get(hint, -1) for hint in hints])
        rows = np.arange(len(chars))
        scores = logits[rows[:, None], candidates]
        scores[candidates == hinted[:, None]] += HINT_BONUS
        return [self.vocabulary.classes[k] for k in candidates[rows, scores.argmax(1)].tolist()]

"""The model for characters with several readings; the same network tells where a reader pauses."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file
from itertools import accumulate, pairwise
from operator import ne

import numpy as np

from pipeline.runtime.session import Session, make_session
from pipeline.text.phrases import DATA
from pipeline.text.polyphone_batch import Window, packed
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


def tags_of(word_of: Sequence[int]) -> list[int]:
    """T + 2: whether a character is a word, or begins, continues or ends one; begin and end are words."""
    edges = [True, *map(ne, word_of, word_of[1:]), True]  # whether a word begins or ends before each character
    return [SINGLE, *map(_TAGS.__getitem__, pairwise(edges)), SINGLE] if word_of else [SINGLE] * 2


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Characters the network knows, the syllables it can answer, and which of them each polyphone may have."""

    characters: Mapping[str, int]  # row of the embedding
    classes: tuple[str, ...]
    class_ids: Mapping[str, int]
    candidates: Mapping[str, I64]  # character -> i64 [n], ids of its readings
    rows: Mapping[str, int]  # of each polyphone in `padded`
    padded: I64  # as `candidates`, all of one length, the first id again where there are no more

    @staticmethod
    def build(
        characters: Mapping[str, int], classes: Sequence[str], candidates: Mapping[str, Sequence[str]]
    ) -> Vocabulary:
        class_ids = {syllable: k for k, syllable in enumerate(classes)}
        ids = {char: np.array([class_ids[s] for s in readings], np.int64) for char, readings in candidates.items()}
        longest = max(map(len, ids.values()), default=0)
        padded = np.array([np.append(row, np.repeat(row[:1], longest - len(row))) for row in ids.values()], np.int64)
        rows = {char: row for row, char in enumerate(ids)}
        return Vocabulary(characters, tuple(classes), class_ids, ids, rows, padded)

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

    def encode(self, text: str) -> list[int]:
        """T + 2: the rows of the characters between begin and end."""
        row_of = self.characters.get
        return [BEGIN_ROW, *[row_of(char, UNKNOWN_ROW) for char in text], END_ROW]


@dataclass(frozen=True, slots=True)
class Question:
    """What the network is asked of a text: `places` are positions in it, in order."""

    text: str
    word_of: Sequence[int]
    places: Sequence[int]


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
        return self.answer(text, word_of, hints, ())[0]

    def pauses(self, asked: Sequence[Question]) -> list[F32]:
        """f32 [k] for each text: the probabilities that a reader pauses after the characters at its places."""
        return self.answer("", (), {}, asked)[1]

    def answer(
        self, text: str, word_of: Sequence[int], hints: Mapping[int, str | None], pauses: Sequence[Question]
    ) -> tuple[dict[int, str], list[F32]]:
        """As `readings` and `pauses`, both in one run, which costs less than two."""
        places = sorted(hints)
        asked = [Question(text, word_of, places), *pauses]
        windows = [window for question in asked for window in self._windows(question)]
        if not windows:
            return {}, [np.zeros(0, np.float32)] * len(pauses)
        candidates = self.vocabulary.padded[[self.vocabulary.rows[text[k]] for k in places]]
        found = self._session.run(packed(windows, candidates), ["scores", "pauses"])
        best = self._best(found["scores"][..., 0], candidates, [hints[k] for k in places])
        probabilities: F32 = np.reciprocal(1 + np.exp(-found["pauses"][:, 0]))
        ends = accumulate((len(question.places) for question in pauses), initial=len(places))
        return dict(zip(places, best, strict=True)), [probabilities[start:end] for start, end in pairwise(ends)]

    def _windows(self, asked: Question) -> Iterator[Window]:
        """Those parts of the text that have a place."""
        for start in range(0, len(asked.text), MAX_CONTEXT):
            end = start + MAX_CONTEXT
            places = asked.places[bisect_left(asked.places, start) : bisect_left(asked.places, end)]
            if places:
                yield Window(
                    self.vocabulary.encode(asked.text[start:end]),
                    tags_of(asked.word_of[start:end]),
                    [place - start + 1 for place in places],
                )

    def _best(self, scores: F32, candidates: I64, hints: Sequence[str | None]) -> list[str]:
        """`scores` f32 [P, N] of `candidates`. A repeated one scores as the first does, which `argmax` prefers."""
        hinted = np.array([-1 if hint is None else self.vocabulary.class_ids.get(hint, -1) for hint in hints], np.int64)
        scores = scores + HINT_BONUS * (candidates == hinted[:, None])
        best = candidates[np.arange(len(hints)), scores.argmax(1)]
        return [self.vocabulary.classes[k] for k in best.tolist()]

"""The model for characters with several readings; the same network tells where a reader pauses."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file
from itertools import accumulate, pairwise

import numpy as np

from pipeline.runtime.session import Session, make_session
from pipeline.text.phrases import DATA
from pipeline.text.polyphone_batch import Window, is_long, packed, shared
from pipeline.text.segment import tags_between
from pipeline.types import F32, I64

_BEGIN, _END = "\0", "\1"  # in the place of characters; nothing is spoken of either
UNKNOWN_ROW, BEGIN_ROW, END_ROW = 1, 2, 3
FIRST_ROW = 4  # of the embedding, that is a character
HINT_BONUS = 7.0  # best on held-out sentences of the CPP dev split
MAX_CONTEXT = 256  # characters given to the network at once; it sees some tens of characters far


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Characters the network knows, the syllables it can answer, and which of them each polyphone may have."""

    characters: Mapping[str, int]  # row of the embedding
    classes: tuple[str, ...]
    class_ids: Mapping[str, int]
    candidates: Mapping[str, I64]  # character -> i64 [n], ids of its readings
    rows: Mapping[str, int]  # of each polyphone in `padded`
    padded: I64  # as `candidates`, all of one length, the first id again where there are no more
    syllables: tuple[tuple[str, ...], ...]  # of each row of `padded`
    row_of_code: I64  # of each code point up to the last one that is known

    @staticmethod
    def build(
        characters: Mapping[str, int], classes: Sequence[str], candidates: Mapping[str, Sequence[str]]
    ) -> Vocabulary:
        class_ids = {syllable: k for k, syllable in enumerate(classes)}
        ids = {char: np.array([class_ids[s] for s in readings], np.int64) for char, readings in candidates.items()}
        longest = max(map(len, ids.values()), default=0)
        padded = np.array([np.append(row, np.repeat(row[:1], longest - len(row))) for row in ids.values()], np.int64)
        rows = {char: row for row, char in enumerate(ids)}
        syllables = tuple(tuple(classes[k] for k in row) for row in padded.tolist())
        row_of_code = _row_of_code(characters)
        return Vocabulary(characters, tuple(classes), class_ids, ids, rows, padded, syllables, row_of_code)

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

    def encode(self, texts: Sequence[str]) -> I64:
        """i64 [N]: the rows of each text's characters between begin and end, one text after the other."""
        framed = f"{_BEGIN}{f'{_END}{_BEGIN}'.join(texts)}{_END}"
        codes = np.frombuffer(framed.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self.row_of_code.take(codes, mode="clip")


def _row_of_code(characters: Mapping[str, int]) -> I64:
    """The last one is of all code points behind it."""
    rows = np.full(max(map(ord, characters), default=1) + 2, UNKNOWN_ROW)
    for char, row in {**characters, _BEGIN: BEGIN_ROW, _END: END_ROW}.items():
        rows[ord(char)] = row
    return rows


@dataclass(frozen=True, slots=True)
class Question:
    """What the network is asked of a text: `places` are positions in it, in order, `tags` as `segment.tags_of`."""

    text: str
    tags: bytes
    places: Sequence[int]

    def windows(self) -> Iterator[Window]:
        """Those parts of the text that have a place."""
        for start in range(0, len(self.text), MAX_CONTEXT):
            end = start + MAX_CONTEXT
            places = self.places[bisect_left(self.places, start) : bisect_left(self.places, end)]
            if places:
                inside = [place - start for place in places] if start else places
                yield Window(self.text[start:end], tags_between(self.tags, start, end), inside)


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

    def readings(self, text: str, tags: bytes, hints: Mapping[int, str | None]) -> dict[int, str]:
        """The likeliest syllable at each position that is a key of `hints`; a hint's logit is raised by HINT_BONUS."""
        return self.answer(text, tags, hints, ())[0]

    def pauses(self, asked: Sequence[Question]) -> list[F32]:
        """f32 [k] for each text: the probabilities that a reader pauses after the characters at its places."""
        return self.answer("", b"", {}, asked)[1]

    def answer(
        self, text: str, tags: bytes, hints: Mapping[int, str | None], pauses: Sequence[Question]
    ) -> tuple[dict[int, str], list[F32]]:
        """As `readings` and `pauses`, both in one run, which costs less than two."""
        places = sorted(hints)
        windows = [window for asked in (Question(text, tags, places), *pauses) for window in asked.windows()]
        if not windows:
            return {}, [np.zeros(0, np.float32)] * len(pauses)
        rows = [self.vocabulary.rows[text[k]] for k in places]
        distinct, order = shared(windows)
        best, probabilities = self._run(
            distinct, order[: len(places)], self.vocabulary.padded[rows], self._bonus(rows, map(hints.get, places))
        )
        probabilities = probabilities[order]
        ends = accumulate((len(asked.places) for asked in pauses), initial=len(places))
        syllables = self.vocabulary.syllables
        found = {k: syllables[row][index] for k, row, index in zip(places, rows, best.tolist(), strict=True)}
        return found, [probabilities[start:end] for start, end in pairwise(ends)]

    def _bonus(self, rows: Sequence[int], hints: Iterable[str | None]) -> F32:
        """f32 [P, n, 1]: HINT_BONUS for each hint that is one of the candidates."""
        bonus = np.zeros((len(rows), self.vocabulary.padded.shape[1], 1), np.float32)
        for k, (row, hint) in enumerate(zip(rows, hints, strict=True)):
            if hint is not None and hint in self.vocabulary.syllables[row]:
                bonus[k, self.vocabulary.syllables[row].index(hint)] = HINT_BONUS
        return bonus

    def _run(self, windows: Sequence[Window], asked: I64, candidates: I64, bonus: F32) -> tuple[I64, F32]:
        """i64 [P]: which of the candidates is best at the places `asked`, and f32 [K]: of a pause at each place."""
        are_long = is_long(windows)
        if are_long is None:
            inputs = packed(windows, self.vocabulary.encode, candidates, asked)
            found = self._session.run({**inputs, "bonus": bonus}, ["best", "pauses"])
            return found["best"][:, 0], found["pauses"][:, 0]
        is_of_long = np.repeat(are_long, [len(window.places) for window in windows])
        best, pauses = np.empty(len(candidates), np.int64), np.empty(len(is_of_long), np.float32)
        for chosen in (True, False):
            part = [window for window, is_one in zip(windows, are_long, strict=True) if is_one is chosen]
            is_place = is_of_long == chosen
            is_asked = is_place[asked]
            of_part = (np.cumsum(is_place) - 1)[asked[is_asked]]
            best[is_asked], pauses[is_place] = self._run(part, of_part, candidates[is_asked], bonus[is_asked])
        return best, pauses

"""Where a reader pauses in text that has no punctuation to say so."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from pipeline.text.polyphone import Question
from pipeline.text.pronounce import load_pronouncer
from pipeline.text.segment import load_segmenter, tags_of
from pipeline.types import F32

Ask = Callable[[Sequence[Question]], list[F32]]

MIN_PAUSE = 0.3  # probability from which a place counts as a pause: best F1 on held-out text
SURE_PAUSE = 0.4  # probability from which a silence is worth it: of 10 such places a writer put a mark at 9
MIN_STRETCH = 8  # characters between a silence and the next one
MIN_EDGE = 4  # characters between a silence and the end of a clause
LONG_CLAUSE = 16  # characters; shorter ones are spoken in one breath, and cost no run of the model
_WITHOUT_MARKS = str.maketrans("", "", "，。；：！？、,;!?…")
_HANZI = re.compile("[\u3400-\u9fff]+")  # as `mandarin.is_hanzi`
_HANGUL_PAIR = re.compile("[가-힣]{2}")
MIN_HANZI = 0.2  # of a clause's characters; with fewer it is not Chinese
LONGEST_STRETCH = 40  # characters without a likely pause; in longer ones any word's end will do


def pauses(texts: Sequence[str], ask: Ask | None = None) -> list[F32]:
    """f32 [T] of each text: for a character the probability of a pause after it; 0 inside a word and at the end."""
    pronouncer = load_pronouncer()
    words = list(map(pronouncer.segmenter.cut, texts))
    places = [[end - 1 for end in accumulate(map(len, cut))][:-1] for cut in words]
    asked = [Question(*row) for row in zip(texts, map(tags_of, words), places, strict=True)]
    answers = (ask or pronouncer.model.pauses)(asked)
    spread = [np.zeros(len(text), np.float32) for text in texts]
    for row, found, where in zip(spread, answers, places, strict=True):
        row[where] = found
    return spread


def break_places(clauses: Sequence[str], ask: Ask | None = None) -> list[list[int]]:
    """Positions after which clauses that are too long may be broken: likely pauses, word ends where those are rare.
    `ask` has questions answered, by the model where it is None.

    In mostly foreign ones, whose pauses the model does not know, every word's end will do.
    """
    chinese = list(filter(_is_chinese, clauses))
    found = iter(pauses(chinese, ask) if chinese else [])
    return [_places_of(next(found)) if _is_chinese(clause) else _word_ends(clause) for clause in clauses]


def _is_chinese(clause: str) -> bool:
    return sum(map(len, _HANZI.findall(clause))) >= MIN_HANZI * len(clause)


def _word_ends(clause: str) -> list[int]:
    """As the segmenter has them, but for hangul, whose words it does not know: they end before spaces."""
    ends = accumulate(map(len, load_segmenter().cut(clause)))
    return [end for end in ends if not _HANGUL_PAIR.match(clause, end - 1)]


def _places_of(found: F32) -> list[int]:
    places: list[int] = []
    start = 0
    for stop in [*(np.flatnonzero(found >= MIN_PAUSE) + 1).tolist(), len(found)]:
        if stop - start > LONGEST_STRETCH:
            places += (np.flatnonzero(found[start : stop - 1] > 0) + start + 1).tolist()
        places.append(stop)
        start = stop
    return places


@dataclass(frozen=True, slots=True)
class Candidates:
    """Where a text may have a silence.

    Attributes:
        hidden: the text without its marks: where a writer put them the model would expect no other pause.
        places: number of the clause and position in the text, of each of its places.
    """

    hidden: Question
    places: list[tuple[int, int]]

    def chosen(self, pauses: F32) -> list[int]:
        """Positions of silences in order, from the probability of a pause at each of `places`.

        Clause by clause they are taken as they are likely, far enough from those that were taken before.
        """
        rows = zip(self.places, pauses.tolist(), strict=True)
        marks: list[int] = []
        for _, _, place in sorted((number, -pause, place) for (number, place), pause in rows if pause >= SURE_PAUSE):
            if all(abs(place - mark) >= MIN_STRETCH for mark in marks):
                marks.append(place)
        return sorted(marks)


def candidates_of(text: str) -> Candidates:
    """Between two hanzi that belong to different words, far from the ends of a long clause."""
    long = [(start, end) for start, end in clauses(text) if end - start >= LONG_CLAUSE]
    if not long:
        return Candidates(Question("", b"", []), [])
    bare = text.translate(_WITHOUT_MARKS)
    words = load_segmenter().cut(bare)
    ends = list(accumulate(map(len, words)))
    places: list[tuple[int, int]] = []
    hidden: list[int] = []
    for number, (start, end) in enumerate(long):
        num_marks = start - len(text[:start].translate(_WITHOUT_MARKS))
        first = bisect_left(ends, start + MIN_EDGE - num_marks)
        for k in ends[first : bisect_right(ends, end - MIN_EDGE - num_marks)]:
            places.append((number, k + num_marks))
            hidden.append(k - 1)
    return Candidates(Question(bare, tags_of(words), hidden), places)


def clauses(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of hanzi."""
    return [run.span() for run in _HANZI.finditer(text)]

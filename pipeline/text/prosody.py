"""Where a reader pauses in text that has no punctuation to say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import ne

import numpy as np

from pipeline.text.polyphone import Question, words_of
from pipeline.text.pronounce import load_pronouncer
from pipeline.text.segment import load_segmenter
from pipeline.types import F32

MIN_PAUSE = 0.3  # probability from which a place counts as a pause: best F1 on held-out text
SURE_PAUSE = 0.4  # probability from which a silence is worth it: of 10 such places a writer put a mark at 9
MIN_STRETCH = 8  # characters between a silence and the next one
MIN_EDGE = 4  # characters between a silence and the end of a clause
LONG_CLAUSE = 16  # characters; shorter ones are spoken in one breath, and cost no run of the model
_WITHOUT_MARKS = str.maketrans("", "", "，。；：！？、,;!?…")
_HANZI = re.compile("[\u3400-\u9fff]+")  # as `mandarin.is_hanzi`
LONGEST_STRETCH = 40  # characters without a likely pause; in longer ones any word's end will do


def pauses(text: str) -> F32:
    """f32 [T]: for each character the probability that a reader pauses after it; 0 inside a word and at the end."""
    pronouncer = load_pronouncer()
    word_of = words_of(pronouncer.segmenter, text)
    places = np.flatnonzero([*map(ne, word_of, word_of[1:])]).tolist()
    found = np.zeros(len(text), np.float32)
    found[places] = pronouncer.model.pauses([Question(text, word_of, places)])[0]
    return found


def break_places(clause: str) -> list[int]:
    """Positions after which a clause that is too long may be broken: likely pauses, word ends where those are rare."""
    found = pauses(clause)
    places: list[int] = []
    start = 0
    for stop in [*(np.flatnonzero(found >= MIN_PAUSE) + 1).tolist(), len(clause)]:
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
        return Candidates(Question("", [], []), [])
    bare = text.translate(_WITHOUT_MARKS)
    word_of = words_of(load_segmenter(), bare)
    places: list[tuple[int, int]] = []
    hidden: list[int] = []
    for number, (start, end) in enumerate(long):
        num_marks = start - len(text[:start].translate(_WITHOUT_MARKS))
        for place in range(start + MIN_EDGE, end - MIN_EDGE + 1):
            k = place - num_marks
            if word_of[k - 1] != word_of[k]:
                places.append((number, place))
                hidden.append(k - 1)
    return Candidates(Question(bare, word_of, hidden), places)


def clauses(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of hanzi."""
    return [run.span() for run in _HANZI.finditer(text)]

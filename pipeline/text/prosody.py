"""Where a reader pauses in text that has no punctuation to say so."""

from __future__ import annotations

import re
from operator import eq

import numpy as np

from pipeline.text.polyphone import words_of
from pipeline.text.pronounce import load_pronouncer
from pipeline.types import F32

MIN_PAUSE = 0.3  # probability from which a place counts as a pause: best F1 on held-out text
SURE_PAUSE = 0.4  # probability from which a silence is worth it: of 10 such places a writer put a mark at 9
MIN_STRETCH = 8  # characters between a silence and the next one
MIN_EDGE = 4  # characters between a silence and the end of a clause
LONG_CLAUSE = 16  # characters; shorter ones are spoken in one breath, and cost no run of the model
MARKS = frozenset("，。；：！？、,;!?…")
_HANZI = re.compile("[\u3400-\u9fff]+")  # as `mandarin.is_hanzi`
LONGEST_STRETCH = 40  # characters without a likely pause; in longer ones any word's end will do


def pauses(text: str) -> F32:
    """f32 [T]: for each character the probability that a reader pauses after it; 0 inside a word and at the end."""
    pronouncer = load_pronouncer()
    word_of = words_of(pronouncer.segmenter, text)
    found = pronouncer.model.pauses(text, word_of)
    found[[*map(eq, word_of, word_of[1:]), True][: len(text)]] = 0
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


def pause_marks(text: str) -> list[int]:
    """Positions (before text[p]) where a short silence belongs although no punctuation says so, in order.

    Only between two hanzi that belong to different words, far from the ends of the clause and from each other.
    """
    long = [(start, end) for start, end in clauses(text) if end - start >= LONG_CLAUSE]
    if not long:
        return []
    found = pauses_without_marks(text)
    sure = (np.flatnonzero(found >= SURE_PAUSE) + 1).tolist()
    marks: list[int] = []
    for start, end in long:
        likely = [place for place in sure if start + MIN_EDGE <= place <= end - MIN_EDGE]
        for place in sorted(likely, key=lambda place: -found[place - 1]):
            if all(abs(place - mark) >= MIN_STRETCH for mark in marks):
                marks.append(place)
    return sorted(marks)


def pauses_without_marks(text: str) -> F32:
    """As `pauses`, but the marks are hidden from the model: where a writer put them it expects no other pause."""
    if MARKS.isdisjoint(text):
        return pauses(text)
    kept = [k for k, char in enumerate(text) if char not in MARKS]
    found = np.zeros(len(text), np.float32)
    found[kept] = pauses("".join(text[k] for k in kept))
    return found


def clauses(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of hanzi."""
    return [run.span() for run in _HANZI.finditer(text)]

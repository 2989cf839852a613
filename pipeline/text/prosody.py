"""Where a reader pauses in text that has no punctuation to say so."""

from __future__ import annotations

import numpy as np

from pipeline.text.polyphone import words_of
from pipeline.text.pronounce import load_pronouncer
from pipeline.types import F32

MIN_PAUSE = 0.3  # probability from which a place counts as a pause: best F1 on held-out text
LONGEST_STRETCH = 40  # characters without a likely pause; in longer ones any word's end will do


def pauses(text: str) -> F32:
    """f32 [T]: for each character the probability that a reader pauses after it; 0 inside a word and at the end."""
    pronouncer = load_pronouncer()
    word_of = words_of(pronouncer.segmenter, text)
    found = pronouncer.model.pauses(text, word_of)
    for k, word in enumerate(word_of):
        if [word] == word_of[k + 1 : k + 2] or k + 1 == len(text):
            found[k] = 0
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

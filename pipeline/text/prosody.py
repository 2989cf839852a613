"""Where a reader pauses in text that has no punctuation to say so."""

from __future__ import annotations

from pipeline.text.polyphone import words_of
from pipeline.text.pronounce import load_pronouncer
from pipeline.types import F32

MIN_PAUSE = 0.3  # probability from which a place counts as a pause: best F1 on held-out text


def pauses(text: str) -> F32:
    """f32 [T]: for each character the probability that a reader pauses after it; 0 inside a word and at the end."""
    pronouncer = load_pronouncer()
    word_of = words_of(pronouncer.segmenter, text)
    found = pronouncer.model.pauses(text, word_of)
    for k, word in enumerate(word_of):
        if [word] == word_of[k + 1 : k + 2] or k + 1 == len(text):
            found[k] = 0
    return found


def best_break(text: str, start: int, end: int) -> int | None:
    """The likeliest pause in text[start:end] as the position after which to break, or None where none is likely."""
    found = pauses(text)[start:end]
    if not len(found) or found.max() < MIN_PAUSE:
        return None
    return start + int(found.argmax()) + 1

"""Training examples from labelled and plain text: readings by teacher and phrase table, pauses by punctuation."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text.phrases import PhraseTable
from pipeline.text.polyphone import HINT_BONUS, Vocabulary
from pipeline.text.polyphone_batch import rows_of_tags
from pipeline.text.segment import Segmenter, numbers_of, tags_of
from pipeline.types import F32, I64

MARK = "\u2581"  # stands on both sides of the labelled character in the CPP data set
PAUSES = frozenset("，。；：！？、,;!?…")
MAX_LENGTH = 80
NUM_TARGETS = 4  # readings kept of the teacher's distribution


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    index: int = -1  # the labelled character, or -1
    syllable: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence as the network sees it; K positions carry a target distribution over readings."""

    characters: I64  # i64 [T], with begin and end
    tags: I64  # i64 [T]
    pauses: NDArray[np.int8]  # int8 [T]: 1 a pause follows, 0 none, -1 not known
    positions: I64  # i64 [K]
    classes: I64  # i64 [K, NUM_TARGETS]
    weights: F32  # f32 [K, NUM_TARGETS]; a row sums to the weight of its position


def read_labelled(path: Path) -> list[Sentence]:
    """The CPP layout: `path` ends in .sent, and beside it .lb has one syllable a line (u-umlaut as u:)."""
    sentences = []
    labels = path.with_suffix(".lb").read_text("utf-8").splitlines()
    for line, label in zip(path.read_text("utf-8").splitlines(), labels, strict=True):
        sentences.append(Sentence(line.replace(MARK, ""), line.index(MARK), label.strip().replace("u:", "v")))
    return sentences


def read_plain(path: Path) -> Iterator[Sentence]:
    """Lines of text, cut after sentence ends where they are too long for one example."""
    for line in path.read_text("utf-8").splitlines():
        piece = ""
        for part in re.split(r"(?<=[。！？；])", line.strip()):
            if piece and len(piece) + len(part) > MAX_LENGTH:
                yield Sentence(piece)
                piece = ""
            piece += part[:MAX_LENGTH]
        if len(piece) > 1:
            yield Sentence(piece)


def crop(sentence: Sentence) -> Sentence:
    """At most MAX_LENGTH characters around the labelled one."""
    start = max(0, min(sentence.index - MAX_LENGTH // 2, len(sentence.text) - MAX_LENGTH))
    return Sentence(sentence.text[start : start + MAX_LENGTH], sentence.index - start, sentence.syllable)


@dataclass(frozen=True, slots=True)
class Labeller:
    """Makes examples. `gold_weight` is what one human label counts against one automatic label."""

    vocabulary: Vocabulary
    segmenter: Segmenter
    phrases: PhraseTable
    gold_weight: float = 8.0

    def example(self, sentence: Sentence, logits: F32, rng: random.Random) -> Example:
        """`logits` f32 [T, C]: the teacher's, for every character of the sentence."""
        text = sentence.text
        word_of = numbers_of(self.segmenter.cut(text))
        hints = self._hints(text, word_of)
        targets = {}
        for k, char in enumerate(text):
            if k == sentence.index and sentence.syllable in self.vocabulary.class_ids:
                targets[k] = self._gold(sentence.syllable)
            elif char in self.vocabulary.candidates:
                targets[k] = self._soft(char, hints.get(k), logits[k])
        return self._without_marks(text, targets, rng)

    def _hints(self, text: str, word_of: list[int]) -> dict[int, str]:
        return {
            match.start + k: syllable
            for match in self.phrases.matches(text, word_of)
            for k, syllable in enumerate(match.syllables)
            if syllable is not None
        }

    def _gold(self, syllable: str) -> tuple[I64, F32]:
        classes, weights = np.zeros(NUM_TARGETS, np.int64), np.zeros(NUM_TARGETS, np.float32)
        classes[0], weights[0] = self.vocabulary.class_ids[syllable], self.gold_weight
        return classes, weights

    def _soft(self, char: str, hint: str | None, logits: F32) -> tuple[I64, F32]:
        candidates = self.vocabulary.candidates[char]
        scores = logits[candidates].astype(np.float64)
        if hint is not None and hint in self.vocabulary.class_ids:
            scores = scores + HINT_BONUS * (candidates == self.vocabulary.class_ids[hint])
        scores = np.exp(scores - scores.max())
        best = np.argsort(-scores)[:NUM_TARGETS]
        classes, weights = np.zeros(NUM_TARGETS, np.int64), np.zeros(NUM_TARGETS, np.float32)
        classes[: len(best)] = candidates[best]
        weights[: len(best)] = scores[best] / scores[best].sum()
        return classes, weights

    def _without_marks(self, text: str, targets: dict[int, tuple[I64, F32]], rng: random.Random) -> Example:
        """Takes away some of the marks: where one stood a pause follows, where one stays the head learns nothing."""
        drop = rng.choice((0.0, 0.3, 1.0))
        kept = [k for k, char in enumerate(text) if char not in PAUSES or rng.random() >= drop]
        shortened = "".join(text[k] for k in kept)
        pauses = np.full(len(kept) + 2, -1, np.int8)
        for j, k in enumerate(kept):
            following = kept[j + 1] if j + 1 < len(kept) else len(text)
            is_unknown = text[k] in PAUSES or following == len(text) or text[following] in PAUSES
            if not is_unknown:
                pauses[j + 1] = following > k + 1
        places = [j for j, k in enumerate(kept) if k in targets]
        classes = [targets[kept[j]][0] for j in places]
        weights = [targets[kept[j]][1] for j in places]
        return Example(
            characters=self.vocabulary.encode([shortened]),
            tags=rows_of_tags([tags_of(self.segmenter.cut(shortened))]),
            pauses=pauses,
            positions=np.array(places, np.int64) + 1,
            classes=np.array(classes, np.int64).reshape(-1, NUM_TARGETS),
            weights=np.array(weights, np.float32).reshape(-1, NUM_TARGETS),
        )

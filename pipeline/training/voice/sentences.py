"""What the voice learns to say: sentences of one to three clauses, in one language or mixed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.text.inventory import text_symbols
from pipeline.training.voice.sources import (
    cantonese_source,
    english_source,
    japanese_source,
    korean_source,
    mandarin_source,
)
from pipeline.training.voice.teacher import Phrase
from pipeline.training.voice.word_source import Source

_SIZES = (1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7)  # words of a clause
_NUM_CLAUSES = (1, 1, 1, 1, 1, 2, 2, 2, 3)
_MARKS, _MARK_WEIGHTS = ".?!", (0.72, 0.17, 0.11)
_PAUSE_SHARE = 0.22  # of clauses long enough to hold a short pause
_MIN_PAUSED_WORDS = 4


def load_sources(sentences: Path | None = None) -> tuple[Source, ...]:
    """All five languages.

    Args:
        sentences: a file of Mandarin text, one sentence to a line, as further words in their context.
    """
    return mandarin_source(sentences), english_source(), japanese_source(), korean_source(), cantonese_source()


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is to be said, and how: `language` is that of a source, or `mixed`."""

    text: str
    language: str
    phrases: tuple[Phrase, ...]


class Sentences:
    """An endless, reproducible stream of sentences whose symbols the voice has."""

    def __init__(self, sources: Sequence[Source], seed: int) -> None:
        self._sources = {source.language: source for source in sources}
        self._rng = random.Random(seed)
        self._known = frozenset(text_symbols())

    def draw(self, languages: Sequence[str], weights: Sequence[float]) -> Iterator[Sentence]:
        while True:
            sentence = self._sentence(self._rng.choices(languages, weights)[0])
            if self._is_sayable(sentence):
                yield sentence

    def _sentence(self, language: str) -> Sentence:
        rng = self._rng
        num_clauses = rng.choice(_NUM_CLAUSES)
        texts, phrases = [], []
        for k in range(num_clauses):
            is_last = k == num_clauses - 1
            mark = rng.choices(_MARKS, _MARK_WEIGHTS)[0] if is_last or rng.random() < 0.12 else ","
            text, spoken = self._mixed(mark) if language == "mixed" else self._plain(language, mark)
            texts.append(text + mark)
            phrases += spoken
        return Sentence(" ".join(texts), language, tuple(phrases))

    def _plain(self, language: str, mark: str) -> tuple[str, list[Phrase]]:
        text, words = self._sources[language].clause(self._rng, self._rng.choice(_SIZES))
        if len(words) < _MIN_PAUSED_WORDS or self._rng.random() > _PAUSE_SHARE:
            return text, [Phrase(language, words, mark)]
        cut = self._rng.randrange(2, len(words) - 1)
        return text, [Phrase(language, words[:cut], "|"), Phrase(language, words[cut:], mark)]

    def _mixed(self, mark: str) -> tuple[str, list[Phrase]]:
        """Two to four pieces, each in another language than the one before; most often Mandarin with English."""
        rng = self._rng
        pair = ["zh", "en"] if rng.random() < 0.5 else rng.sample(sorted(self._sources), 2)
        rng.shuffle(pair)
        pieces = [
            (language, *self._sources[language].clause(rng, rng.choice((1, 1, 2, 2, 3))))
            for language in [*pair, *pair][: rng.choice((2, 2, 3, 3, 4))]
        ]
        phrases = [Phrase(language, words, "") for language, _, words in pieces]
        phrases[-1] = Phrase(phrases[-1].language, phrases[-1].words, mark)
        return " ".join(text for _, text, _ in pieces), phrases

    def _is_sayable(self, sentence: Sentence) -> bool:
        return all(p.words and all(p.words) and self._known.issuperset(p.symbols) for p in sentence.phrases)

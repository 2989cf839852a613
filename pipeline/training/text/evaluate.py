"""How good the network is on sentences it was not trained on: reading accuracy and pause F1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from pipeline.text.phrases import PhraseTable
from pipeline.text.polyphone import HINT_BONUS, Vocabulary
from pipeline.text.polyphone_batch import rows_of_tags
from pipeline.text.segment import Segmenter, numbers_of, tags_of
from pipeline.training.text.corpus import PAUSES, Sentence
from pipeline.training.text.network import ReadingNetwork
from pipeline.types import F32


@dataclass(frozen=True, slots=True)
class Scores:
    readings: float  # share of labelled characters that are right, by the network alone
    with_phrases: float  # the same where the phrase table's reading gets HINT_BONUS
    pause_f1: float


@torch.no_grad()
def run(network: ReadingNetwork, vocabulary: Vocabulary, segmenter: Segmenter, text: str) -> tuple[F32, F32]:
    """Logits f32 [T, C] of every character, and pause probabilities f32 [T]."""
    tags = rows_of_tags([tags_of(segmenter.cut(text))])
    positions = torch.arange(1, len(text) + 1)
    logits, pauses = network(torch.tensor(vocabulary.encode([text]))[None], torch.tensor(tags)[None], positions)
    return logits.numpy(), torch.sigmoid(pauses[0, 1:-1]).numpy()


def without_pauses(text: str) -> tuple[str, set[int]]:
    """The text without its marks, and after which characters of it one stood, its end left out."""
    kept = [k for k, char in enumerate(text) if char not in PAUSES]
    ends = {j for j, (k, following) in enumerate(pairwise(kept)) if following > k + 1}
    return "".join(text[k] for k in kept), ends


def pause_f1(found: Callable[[str], set[int]], texts: Sequence[str]) -> float:
    """F1 of the places after which `found` puts a pause, against the places where punctuation stood."""
    right = guessed = wanted = 0
    for text in texts:
        bare, ends = without_pauses(text)
        guesses = found(bare) if bare else set()
        right, guessed, wanted = right + len(guesses & ends), guessed + len(guesses), wanted + len(ends)
    return 2 * right / max(1, guessed + wanted)


def best_reading(logits: F32, char: str, hint: str | None, vocabulary: Vocabulary, bonus: float) -> str:
    """`logits` f32 [C]. The likeliest candidate of the character, the hint's logit raised by `bonus`."""
    candidates = vocabulary.candidates[char]
    is_hint = np.array([vocabulary.classes[k] == hint for k in candidates])
    return vocabulary.classes[int(candidates[np.argmax(logits[candidates] + bonus * is_hint)])]


def evaluate(
    network: ReadingNetwork,
    vocabulary: Vocabulary,
    segmenter: Segmenter,
    phrases: PhraseTable,
    labelled: Sequence[Sentence],
    plain: Sequence[str],
) -> Scores:
    network.eval()
    alone = joined = known = 0
    for sentence in labelled:
        char = sentence.text[sentence.index]
        if char not in vocabulary.candidates:
            continue
        logits, _ = run(network, vocabulary, segmenter, sentence.text)
        hint = hint_at(phrases, segmenter, sentence)
        known += 1
        alone += best_reading(logits[sentence.index], char, None, vocabulary, 0) == sentence.syllable
        joined += best_reading(logits[sentence.index], char, hint, vocabulary, HINT_BONUS) == sentence.syllable

    def found(text: str) -> set[int]:
        return set(np.flatnonzero(run(network, vocabulary, segmenter, text)[1][:-1] > 0.5).tolist())

    return Scores(alone / max(1, known), joined / max(1, known), pause_f1(found, plain))


def hint_at(phrases: PhraseTable, segmenter: Segmenter, sentence: Sentence) -> str | None:
    for match in phrases.matches(sentence.text, numbers_of(segmenter.cut(sentence.text))):
        if match.start <= sentence.index < match.end:
            return match.syllables[sentence.index - match.start]
    return None

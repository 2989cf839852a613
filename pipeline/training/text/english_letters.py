"""Counts the n-grams of letters with their sounds that read unknown English words.

Interpolated Kneser-Ney smoothing (Chen and Goodman 1998), pruned by what an n-gram adds to the likelihood of the
training words (Seymore and Rosenfeld 1996).
"""

from __future__ import annotations

import gzip
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.text.english_letters import BEGIN, END, FILE, FIRST_CODE, OFFSET, SCALE, LetterModel, parse_model
from pipeline.training.text.english_align import Phones, align

ORDER = 6
DISCOUNT = 0.8
MIN_GAIN = 4.0  # log likelihood of the training words that an n-gram must add to be kept
MIN_GRAPHONE_COUNT = 12  # rarer ones are abbreviations and slips
HELD_OUT_SHARE = 0.05
_WORD = re.compile("[a-z]+")
_LAST_STEP = 93  # the weights are printable characters


class Weight(NamedTuple):
    """Natural logarithms: of an n-gram's probability, and of the share that goes to shorter ones after it."""

    score: float
    backoff: float


@dataclass(frozen=True, slots=True)
class Inventory:
    """The graphones; each is written as one character."""

    graphones: tuple[tuple[str, Phones], ...]

    @staticmethod
    def build(aligned: Mapping[str, Sequence[Phones]]) -> Inventory:
        counts = Counter(pair for word, links in aligned.items() for pair in zip(word, links, strict=True))
        return Inventory(tuple(sorted(pair for pair, count in counts.items() if count >= MIN_GRAPHONE_COUNT)))

    def encode(self, aligned: Mapping[str, Sequence[Phones]]) -> list[str]:
        """Words as strings of graphones, those with a rare one left out."""
        codes = {pair: chr(FIRST_CODE + k) for k, pair in enumerate(self.graphones)}
        words = ([codes.get(pair, "") for pair in zip(word, links, strict=True)] for word, links in aligned.items())
        return [BEGIN + "".join(word) + END for word in words if all(word)]


def count_ngrams(words: Iterable[str], order: int) -> list[Counter[str]]:
    """By length from 1: raw counts of the longest, and of those that begin a word; else of distinct predecessors."""
    counts: list[Counter[str]] = [Counter() for _ in range(order)]
    for word in words:
        for end in range(1, len(word) + 1):
            counts[order - 1 if end >= order else end - 1][word[max(0, end - order) : end]] += 1
    for size in range(order - 1, 0, -1):
        for ngram in counts[size]:
            counts[size - 1][ngram[1:]] += 1
    return counts


def smooth(counts: Sequence[Counter[str]]) -> dict[str, Weight]:
    """Interpolated probabilities of all n-grams, and the share that each context leaves to shorter ones."""
    symbols = Counter({ngram: count for ngram, count in counts[0].items() if ngram != BEGIN})
    total = symbols.total()
    probability = {symbol: count / total for symbol, count in symbols.items()}
    left_over: dict[str, float] = {}
    for of_size in counts[1:]:
        sums: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for ngram, count in of_size.items():
            sums[ngram[:-1]] += count
            kinds[ngram[:-1]] += 1
        left_over |= {context: DISCOUNT * kinds[context] / sums[context] for context in sums}
        for ngram, count in of_size.items():
            context = ngram[:-1]
            rest = left_over[context] * probability[ngram[1:]]
            probability[ngram] = max(count - DISCOUNT, 0) / sums[context] + rest
    return {
        ngram: Weight(math.log(probability.get(ngram, 1)), math.log(left_over.get(ngram, 1)))
        for ngram in [BEGIN, *probability]
    }


def prune(weights: Mapping[str, Weight], uses: Counter[str], min_gain: float) -> dict[str, Weight]:
    """Keeps n-grams that add to the likelihood, and what they are made of. `uses` are raw counts of n-grams."""
    kept: set[str] = set()
    for ngram in sorted(weights, key=len, reverse=True):
        if len(ngram) == 1 or ngram in kept:
            kept.add(ngram)
        else:
            gain = weights[ngram].score - weights[ngram[:-1]].backoff - weights[ngram[1:]].score
            if uses[ngram] * gain < min_gain:
                continue
            kept.add(ngram)
        if len(ngram) > 1:
            kept |= {ngram[:-1], ngram[1:]}
    return _with_backoffs({ngram: weights[ngram].score for ngram in kept})


def _with_backoffs(scores: Mapping[str, float]) -> dict[str, Weight]:
    """The share of a context that its n-grams leave, against what the shorter ones give to all others."""
    said: dict[str, float] = defaultdict(float)
    shorter: dict[str, float] = defaultdict(float)
    for ngram, score in scores.items():
        if len(ngram) > 1:
            said[ngram[:-1]] += math.exp(score)
            shorter[ngram[:-1]] += math.exp(scores[ngram[1:]])
    backoffs = {context: math.log(max(1 - said[context], 1e-4) / max(1 - shorter[context], 1e-4)) for context in said}
    return {ngram: Weight(score, min(backoffs.get(ngram, 0.0), 0.0)) for ngram, score in scores.items()}


def uses_of(words: Iterable[str], order: int) -> Counter[str]:
    uses: Counter[str] = Counter()
    for word in words:
        for end in range(1, len(word) + 1):
            uses.update(word[start:end] for start in range(max(0, end - order), end))
    return uses


def to_text(inventory: Inventory, weights: Mapping[str, Weight]) -> str:
    """The form that `parse_model` reads."""
    head = "\n".join(f"{letter} {' '.join(phones)}".strip() for letter, phones in inventory.graphones)
    rows: dict[str, str] = {"": _step(0.0)}
    for ngram in sorted(weights, key=lambda ngram: (len(ngram), ngram)):
        context = ngram[:-1]
        if context not in rows:
            rows[context] = _step(weights[context].backoff)
        rows[context] += ngram[-1] + _step(weights[ngram].score)
    return f"{head}\n\n" + "\n".join(f"{context}\t{rows[context]}" for context in sorted(rows))


def _step(logarithm: float) -> str:
    return chr(OFFSET + min(max(round(-logarithm * SCALE), 0), _LAST_STEP))


def held_out_words(words: Iterable[str]) -> set[str]:
    """A random share of the words."""
    ordered = sorted(words)
    return set(random.Random(7).sample(ordered, int(len(ordered) * HELD_OUT_SHARE)))


def train(aligned: Mapping[str, Sequence[Phones]], *, order: int = ORDER, min_gain: float = MIN_GAIN) -> str:
    inventory = Inventory.build(aligned)
    words = inventory.encode(aligned)
    weights = smooth(count_ngrams(words, order))
    return to_text(inventory, prune(weights, uses_of(words, order), min_gain))


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of words wholly right, and errors per phone, on words that were not trained on."""

    words: float
    words_without_stress: float
    phone_error: float

    def __str__(self) -> str:
        return (
            f"words right {self.words:.2%}, without stress {self.words_without_stress:.2%}; "
            f"phone error without stress {self.phone_error:.2%}"
        )


def evaluate(model: LetterModel, answers: Mapping[str, Sequence[Phones]]) -> Score:
    """`answers` maps a word to the pronunciations that count as right."""
    right = right_plain = errors = total = 0
    for word, known in answers.items():
        found = model.read(word)
        right += found in known
        distance, length = min((_distance(_plain(found), _plain(phones)), len(phones)) for phones in known)
        right_plain += distance == 0
        errors += distance
        total += length
    return Score(right / len(answers), right_plain / len(answers), errors / total)


def _plain(phones: Sequence[str]) -> Phones:
    return tuple(phone.rstrip("012") for phone in phones)


def _distance(left: Phones, right: Phones) -> int:
    row = list(range(len(right) + 1))
    for k, phone in enumerate(left, 1):
        diagonal, row[0] = row[0], k
        for j, other in enumerate(right, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (phone != other))
    return row[-1]


def write_letters(words: Mapping[str, Sequence[Phones]], folder: Path) -> Score:
    """Trains on all words; the score is that of a model that did not see the held-out ones."""
    aligned = align({word: known[0] for word, known in words.items() if _WORD.fullmatch(word)})
    held_out = held_out_words(aligned)
    partial = train({word: links for word, links in aligned.items() if word not in held_out})
    (folder / FILE).write_bytes(gzip.compress(train(aligned).encode("utf-8"), 9, mtime=0))
    return evaluate(parse_model(partial), {word: words[word] for word in sorted(held_out)})

"""Aligns the letters of English words with their phones: each letter gets none, one or two, in order.

Many-to-many alignment as in Jiampojamarn et al. 2007, with one letter to a link, by Viterbi training.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

NUM_ROUNDS = 4
NUM_WORDS = 20_000  # that the scores are counted on
MAX_DRIFT = 5  # how far a phone may lie from its letter's place
_UNSEEN = -14.0
_TWO_PHONES = -2.5  # of a letter with two phones (x is K S), before anything is counted
_NEVER = -1e9

Phones = tuple[str, ...]
Scores = Mapping[str, Mapping[Phones, float]]  # letter -> phones without stress -> log share


def align(words: Mapping[str, Phones]) -> dict[str, list[Phones]]:
    """The phones of each letter; words whose letters and phones differ too much in number are left out."""
    fitting = {
        word: phones
        for word, phones in words.items()
        if len(phones) <= 2 * len(word) and abs(len(word) - len(phones)) <= MAX_DRIFT
    }
    sample = random.Random(1).sample(sorted(fitting), min(NUM_WORDS, len(fitting)))
    scores = _diagonal_scores({word: fitting[word] for word in sample})
    for _ in range(NUM_ROUNDS):
        scores = _counted_scores({word: best_links(word, fitting[word], scores) for word in sample})
    return {word: best_links(word, phones, scores) for word, phones in fitting.items()}


def best_links(word: str, phones: Sequence[str], scores: Scores) -> list[Phones]:
    """The most likely split of the phones over the letters; they must fit."""
    plain = [phone.rstrip("012") for phone in phones]
    single, double = [(phone,) for phone in plain], list(pairwise(plain))
    num_phones = len(phones)
    best = [0.0] + [_NEVER] * num_phones
    taken: list[list[int]] = []
    for k, letter in enumerate(word, 1):
        of_letter = scores.get(letter, {})
        silent = of_letter.get((), _UNSEEN)
        row, sizes = [_NEVER] * (num_phones + 1), [0] * (num_phones + 1)
        for end in range(max(0, k - MAX_DRIFT), min(num_phones, k + MAX_DRIFT) + 1):
            score, size = best[end] + silent, 0
            if end and (one := best[end - 1] + of_letter.get(single[end - 1], _UNSEEN)) > score:
                score, size = one, 1
            if end > 1 and (two := best[end - 2] + of_letter.get(double[end - 2], 2 * _UNSEEN)) > score:
                score, size = two, 2
            row[end], sizes[end] = score, size
        best = row
        taken.append(sizes)
    return _follow(taken, phones)


def _follow(taken: Sequence[Sequence[int]], phones: Sequence[str]) -> list[Phones]:
    links: list[Phones] = []
    end = len(phones)
    for sizes in reversed(taken):
        links.append(tuple(phones[end - sizes[end] : end]))
        end -= sizes[end]
    return links[::-1]


def _diagonal_scores(words: Mapping[str, Phones]) -> Scores:
    """A start: phones near a letter's place in the word are likely its own."""
    counts: dict[str, Counter[Phones]] = defaultdict(Counter)
    for word, phones in words.items():
        if abs(len(word) - len(phones)) > 1:
            continue
        for k, letter in enumerate(word):
            counts[letter][()] += 1
            for near in (k - 1, k, k, k + 1):
                if 0 <= near < len(phones):
                    counts[letter][phones[near].rstrip("012"),] += 1
    return {letter: _with_pairs(shares) for letter, shares in _log_shares(counts).items()}


def _with_pairs(shares: Mapping[Phones, float]) -> dict[Phones, float]:
    single = {phones: score for phones, score in shares.items() if phones}
    pairs = {a + b: x + y + _TWO_PHONES for a, x in single.items() for b, y in single.items()}
    return {**shares, **pairs}


def _counted_scores(aligned: Mapping[str, Sequence[Phones]]) -> Scores:
    counts: dict[str, Counter[Phones]] = defaultdict(Counter)
    for word, links in aligned.items():
        for letter, phones in zip(word, links, strict=True):
            counts[letter][tuple(phone.rstrip("012") for phone in phones)] += 1
    return _log_shares(counts)


def _log_shares(counts: Mapping[str, Counter[Phones]]) -> dict[str, dict[Phones, float]]:
    return {
        letter: {phones: math.log(count / found.total()) for phones, count in found.items()}
        for letter, found in counts.items()
    }

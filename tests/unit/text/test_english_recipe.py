"""The recipe of the English data: aligning, counting, pruning, writing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pipeline.text.english_letters import parse_model
from pipeline.training.text.english_align import align
from pipeline.training.text.english_letters import (
    count_ngrams,
    evaluate,
    held_out_words,
    prune,
    smooth,
    train,
    uses_of,
)
from pipeline.training.text.english_words import dictionary, extra_words, read_cmudict, write_words

CONSONANTS = {"b": "B", "d": "D", "k": "K", "m": "M", "n": "N", "s": "S", "t": "T"}
VOWELS = {"a": "AE", "i": "IH", "o": "AA"}


@pytest.fixture(scope="module")
def words() -> dict[str, tuple[str, ...]]:
    """A spelling with one rule that needs its context: a final e is silent and makes the vowel before it long."""
    long = {"a": "EY1", "i": "AY1", "o": "OW1"}
    short = {letter: f"{phone}1" for letter, phone in VOWELS.items()}
    made = {}
    for first, start in CONSONANTS.items():
        for vowel in VOWELS:
            for last, end in CONSONANTS.items():
                made[first + vowel + last] = (start, short[vowel], end)
                made[first + vowel + last + "e"] = (start, long[vowel], end)
    return made


def test_letters_are_aligned_with_their_phones(words: dict[str, tuple[str, ...]]) -> None:
    aligned = align(words | {"mix": ("M", "IH1", "K", "S"), "box": ("B", "AA1", "K", "S")})
    assert aligned["mane"] == [("M",), ("EY1",), ("N",), ()]
    assert aligned["mix"] == [("M",), ("IH1",), ("K", "S")]
    assert align({"b": ("D", "AH1", "B", "AH0")}) == {}


def test_a_rule_of_spelling_is_learned_and_survives_pruning(words: dict[str, tuple[str, ...]]) -> None:
    aligned = align(words)
    held_out = held_out_words(words)
    assert 0 < len(held_out) < len(words) / 10
    text = train({word: links for word, links in aligned.items() if word not in held_out})
    score = evaluate(parse_model(text), {word: [words[word]] for word in held_out})
    assert (score.words, score.phone_error) == (1.0, 0.0)


def test_probabilities_sum_to_one_and_pruning_keeps_what_is_used() -> None:
    strings = ["\u00be\u00c0\u00c1\u00bf", "\u00be\u00c0\u00c2\u00bf"] * 5
    weights = smooth(count_ngrams(strings, 3))
    follow = [math.exp(weights["\u00be\u00c0" + end].score) for end in "\u00c1\u00c2"]
    assert sum(follow) + math.exp(weights["\u00be\u00c0"].backoff) * (
        1 - sum(math.exp(weights["\u00c0" + end].score) for end in "\u00c1\u00c2")
    ) == pytest.approx(1, abs=0.01)
    uses = uses_of(strings, 3)
    assert len(prune(weights, uses, 1e9)) == 5
    kept = prune(weights, uses, 0.1)
    assert "\u00be\u00c0" in kept
    assert len(kept) <= len(weights)


def test_the_dictionary_takes_first_readings_and_leaves_out_what_rules_make(tmp_path: Path) -> None:
    file = tmp_path / "cmudict.dict"
    file.write_text(
        "cat K AE1 T # a comment\ncat's K AE1 T S\nit IH1 T\nit's IH1 T S\nit(2) IH2 T\nox AA1 K S\n"
        "ox's AA1 K S AH0 Z\n"
        "hers HH ER1 Z\nboss' B AO1 S IH0 Z\nboss B AO1 S\na.m. EY2 EH1 M\n",
        "utf-8",
    )
    known = read_cmudict(file)
    assert known["it"] == [("IH1", "T"), ("IH2", "T")]
    made = dictionary(known)
    assert made.keys() - extra_words().keys() == {"cat", "it", "ox", "hers", "boss", "boss'"}
    assert made["it"] == ("IH1", "T")
    num_words = write_words(file, tmp_path)
    assert num_words == len(made)

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.text.languages import en, ja, ko, yue, zh
from pipeline.text.languages.fold import fold
from pipeline.text.languages.grammar import DIGITS, Grammar, Rule, constant
from pipeline.text.languages.required import leading_digits, required

CASES = Path(__file__).parent / "cases"
SIGNS = "0123456789 .,:/-~%+*=#@&$¥°²½年月日点分到第至个月vVxXkmKGB'\"()（）—①Ⅳ"


def texts() -> list[str]:
    written = [line for file in sorted(CASES.glob("*.tsv")) for line in file.read_text("utf-8").splitlines()[:60]]
    source = random.Random(3)
    return [*written, *("".join(source.choices(SIGNS, k=12)) for _ in range(200))]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?<!\d)(\d{1,2})/(\d{1,2})", "/"),
        (r"\d+[-~](?:\d+)", "-~"),
        (r"\d+(?:km|mi)", "km"),
        (r"(?:kg|lb)\d", "kl"),
        (r"(?P<a>\d)(?=年)(?!月)", "年"),
        (r"0x?", "0"),
    ],
)
def test_a_match_needs_one_of_the_characters_that_its_expression_requires(pattern: str, expected: str) -> None:
    assert required(pattern) == set(expected)


@pytest.mark.parametrize("pattern", [r"\d+\.?", r"(?i)\d+x", r"\d(?:[a-z]|.)", r"(?:年)?\d", r"[^a]", r"\d(?!年)"])
def test_an_expression_that_matches_without_any_given_character_requires_none(pattern: str) -> None:
    assert required(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?<![\d.])(?:19|20)\d\d(?=年)", 4),
        (r"([12]\d{3})-\d", 4),
        (r"\d{2,4}\d", 2),
        (r"(?:\d{3}){2}", 6),
        (r"(?:0\d{2}|0)-", 1),
        (r"(?:-|)\d", 0),
        (r"(?:86)?1[3-9]", 0),
        (r"[\dX]\d", 0),
        (r"(?:\d-){2}\d", 1),
        (r"(?:\d)*5", 0),
    ],
)
def test_a_match_begins_with_at_least_the_digits_that_its_expression_starts_with(pattern: str, expected: int) -> None:
    assert leading_digits(pattern) == expected


@pytest.mark.parametrize("grammar", [zh.grammar, en.grammar, ja.grammar, ko.grammar, yue.grammar])
def test_a_rule_matches_no_text_that_lacks_what_it_requires(grammar: Callable[[], Grammar]) -> None:
    rules = {id(rule): rule for starting in grammar()._rules.values() for rule in starting.entries}
    needy = [rule for rule in rules.values() if rule.needs is not None]
    assert len(needy) > len(rules) / 3
    for text in texts():
        for rule in needy:
            if rule.needs.isdisjoint(text):
                assert not any(rule.match_at(text, start) for start in range(len(text)))
        for rule in rules.values():
            if rule.num_digits > 1:
                found = filter(None, (rule.match_at(text, start) for start in range(len(text))))
                assert all(match.group()[: rule.num_digits].isdecimal() for match in found)


def test_rules_are_tried_in_their_order_until_one_accepts() -> None:
    rules = (
        Rule(DIGITS, r"\d+/\d+", lambda match: None),
        Rule(DIGITS, r"\d/", constant("first")),
        Rule(DIGITS, r"\d", constant("second")),
    )
    assert Grammar(rules).say("1/2") == "firstsecond"


def test_usual_text_is_folded_as_all_other_text_is() -> None:
    source = random.Random(4)
    usual = " ，。！？、；：,.%！?“”‘’（）《》abcXD09年月ぁカー가"
    for _ in range(2000):
        text = "".join(source.choices(usual, k=source.randrange(9)))
        assert fold(text) == fold(text + "\u200b")  # which is dropped, but only from unusual text


def test_long_text_with_one_unusual_character_is_folded_in_no_time() -> None:
    text = "字a1" * 20_000
    assert fold(text + "\u200b") == text
    assert re.fullmatch("(?:字a1)+", fold(text))

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
    assert required(pattern)[0] == set(expected)


@pytest.mark.parametrize(
    "pattern", [r"\s+\.?", r"(?i)\d+x", r"(?:[a-z]|.)", r"(?:年)?\s", r"[^a]", r"\w(?!年)", r"[\d\s]"]
)
def test_an_expression_that_matches_without_any_given_character_requires_none(pattern: str) -> None:
    assert required(pattern) == ()


def test_an_expression_may_require_several_characters_and_a_digit_is_one_of_them() -> None:
    assert required(r"[a-c]{1,3}-?(\d{1,6})年(?=年)") == (set("年"), set("abc"), set(DIGITS))


def test_a_rule_is_tried_where_a_digit_of_another_script_is_all_that_it_requires() -> None:
    grammar = Grammar([Rule("x", r"x\d", constant("seen")), Rule("x", r"x[0-9]", constant("ours"))])
    assert grammar.say("x٣ x3 x") == "seen seen x"


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
    rules = [
        (re.compile(rule.pattern).match, required(rule.pattern), leading_digits(rule.pattern))
        for rule in grammar().rules
    ]
    assert sum(map(bool, (needs for _, needs, _ in rules))) > len(rules) / 3
    for text in texts():
        digits = set(DIGITS) if re.search(r"\d", text) else set()
        for match_at, needs, num_digits in rules:
            lacks = any(chars.isdisjoint({*text, *digits}) for chars in needs)
            if lacks or num_digits > 1:
                found = list(filter(None, (match_at(text, start) for start in range(len(text)))))
                assert not (lacks and found)
                assert all(match.group()[:num_digits].isdecimal() for match in found)


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

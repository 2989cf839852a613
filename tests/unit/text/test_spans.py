"""Mixed text is cut where the language changes, and every letter gets the language it is read in."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.text.spans import passages, spans

CASES = Path(__file__).parent / "cases" / "spans.tsv"
PART = re.compile(r"\[(zh|en|ja|ko|yue)\]([^\[]*)")


def marked_sentences() -> list[str]:
    return CASES.read_text(encoding="utf-8").splitlines()[1:]


def letters(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(char, language) for part, language in parts for char in part if char.isalpha()]


@pytest.mark.parametrize("marked", marked_sentences())
def test_every_letter_is_in_its_language(marked: str) -> None:
    wanted = [(part, language) for language, part in PART.findall(marked)]
    text = "".join(part for part, _ in wanted)
    assert letters(spans(text)) == letters(wanted)


@pytest.mark.parametrize("cut", [spans, passages])
def test_parts_join_to_the_text_and_neighbours_differ(cut) -> None:
    for marked in marked_sentences():
        text = "".join(part for _, part in PART.findall(marked))
        parts = cut(text)
        assert "".join(part for part, _ in parts) == text
        assert all(a[1] != b[1] for a, b in pairwise(parts))


def test_punctuation_stays_with_what_it_closes_and_opens() -> None:
    assert spans("Hello，“你好”") == [("Hello，", "en"), ("“你好”", "zh")]


def test_a_number_goes_with_the_word_it_touches() -> None:
    assert spans("iPhone 15降价") == [("iPhone 15", "en"), ("降价", "zh")]
    assert spans("买了3个iPhone") == [("买了3个", "zh"), ("iPhone", "en")]


def test_text_without_letters_is_in_the_default_language() -> None:
    assert spans("123 + 4") == [("123 + 4", "zh")]
    assert spans("123", "ko") == [("123", "ko")]
    assert spans("") == []


def test_the_default_decides_only_characters_that_do_not_say() -> None:
    assert spans("東京", "ja") == [("東京", "ja")]
    assert spans("東京") == [("東京", "zh")]
    assert spans("这是东京", "ja") == [("这是东京", "zh")]


def test_passages_read_names_with_the_sentence_around_them() -> None:
    assert passages("iPhone 15 Pro Max降价了20%。") == [("iPhone 15 Pro Max降价了20%。", "zh")]
    assert passages("Hello, I have 3 apples. 我有3个苹果。") == [
        ("Hello, I have 3 apples. ", "en"),
        ("我有3个苹果。", "zh"),
    ]


def test_a_whole_sentence_inside_another_language_is_a_passage_of_its_own() -> None:
    assert [language for _, language in passages("他说I have 3 dogs and 2 cats然后走了")] == ["zh", "en", "zh"]


def test_text_that_one_look_decides_has_the_languages_that_all_rules_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(5)
    chars = "一不来去東京大学国佢係嘅得点三樂會駅働切符 ,，。a「b<：12々"
    texts = ["".join(source.choices(chars, k=source.randrange(1, 16))) for _ in range(2000)]
    asked = [(text, default) for text in texts for default in (None, "zh", "en", "ja", "ko", "yue")]
    quick = [(spans(text, default), passages(text, default)) for text, default in asked]
    monkeypatch.setattr("pipeline.text.spans._only_language", lambda text, default: None)
    monkeypatch.setattr("pipeline.text.spans._common_language", lambda runs, default: None)
    assert quick == [(spans(text, default), passages(text, default)) for text, default in asked]

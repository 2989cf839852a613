from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.text.phrases import DATA, PhraseTable, read_lines, read_words
from pipeline.text.pronounce import speak, spoken_pinyin
from pipeline.text.sandhi import Sandhi

CASES = [line.split("\t") for line in read_lines(Path(__file__).parent / "cases" / "spoken.tsv")]


@pytest.mark.parametrize(("text", "spoken"), CASES, ids=[case[0] for case in CASES])
def test_spoken_syllables(text: str, spoken: str) -> None:
    assert " ".join(spoken_pinyin(text)) == spoken


def test_more_words_are_spoken_in_one_of_the_ways_that_speakers_accept() -> None:
    rows = [line.split("\t") for line in read_lines(Path(__file__).parent / "cases" / "spoken_more.tsv")]
    found = {text: " ".join(spoken_pinyin(text)) for text, _ in rows}
    assert [(text, found[text]) for text, accepted in rows if found[text] not in accepted.split(" | ")] == []


@pytest.mark.parametrize(
    ("text", "tones"),
    [
        ("看看", "45"),
        ("看看看", "444"),
        ("看一看", "454"),
        ("天天", "11"),
        ("写写画画", "2344"),
        ("说说", "15"),
        ("坐坐吧", "455"),
    ],
)
def test_doubled_verbs_are_light(text: str, tones: str) -> None:
    assert "".join(syllable[-1] for syllable in spoken_pinyin(text)) == tones


@pytest.mark.parametrize("text", ["", "儿", "一", "不", "a儿", "一儿", "不不", "，一，", "子", "头儿", "一一一"])
def test_odd_texts_have_one_item_per_character(text: str) -> None:
    assert len(speak(text).syllables) == len(text)


def test_sandhi_stops_at_punctuation() -> None:
    assert spoken_pinyin("好，好")[0] == "hao3"


def test_words_of_the_neutral_list_lose_their_last_tone() -> None:
    sandhi = Sandhi(PhraseTable({"东西": (None, "5")}))
    assert sandhi.spoken("东西", ["dong1", "xi1"], [0, 0]) == ["dong1", "xi5"]
    assert sandhi.spoken("东西", ["dong1", "xi1"], [0, 1]) == ["dong1", "xi5"]
    assert sandhi.spoken("山东西部", ["shan1", "dong1", "xi1", "bu4"], [0, 0, 1, 1])[2] == "xi1"


def test_the_neutral_list_holds_words_only() -> None:
    assert all(2 <= len(word.lstrip("!")) <= 4 for word in read_words(DATA / "neutral.txt"))


def test_a_longer_word_keeps_its_tones() -> None:
    assert spoken_pinyin("买东西")[-1] == "xi5"
    assert spoken_pinyin("东西方") == ["dong1", "xi1", "fang1"]

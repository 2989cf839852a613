from __future__ import annotations

import pytest

from pipeline.text.english import English, load_english
from pipeline.text.english_context import contextual, with_context
from pipeline.text.english_letters import load_letter_model
from pipeline.text.english_words import PHONES, WordTable, encode_line
from pipeline.text.script import Script


@pytest.fixture(scope="module")
def english() -> English:
    return load_english()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("hello", "HH AH0 L OW1"),
        ("Hello", "HH AH0 L OW1"),
        ("cafe", "K AH0 F EY1"),
        ("Café", "K AH0 F EY1"),
        ("don’t", "D OW1 N T"),
        ("o'clock", "AH0 K L AA1 K"),
        ("a", "AH0"),
        ("A", "EY1"),
        ("x", "EH1 K S"),
        ("ChatGPT", "CH AE2 T JH IY2 P IY2 T IY1"),
        ("kubernetes", "K UW2 B ER0 N EH1 T IY0 Z"),
    ],
)
def test_words_of_the_dictionary(english: English, word: str, phones: str) -> None:
    assert " ".join(english.phones(word)) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("cat's", "K AE1 T S"),
        ("dog's", "D AO1 G Z"),
        ("Charles'", "CH AA1 R L Z"),
        ("fox's", "F AA1 K S IH0 Z"),
        ("chatbots", "CH AE1 T B AA2 T S"),
        ("instagramming", "IH1 N S T AH0 G R AE2 M IH0 NG"),
        ("recompiling", "R IY2 K AH0 M P AY1 L IH0 NG"),
        ("hashtags", "HH AE1 SH T AE2 G Z"),
        ("preinstalled", "P R IY2 IH2 N S T AO1 L D"),
        ("microservices'", "M AY1 K R OW0 S ER2 V AH0 S IH0 Z"),
        ("moonbase", "M UW1 N B EY2 S"),
    ],
)
def test_endings_beginnings_and_compounds_of_known_words(english: English, word: str, phones: str) -> None:
    assert " ".join(english.phones(word)) == phones


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("US", "Y UW1 EH1 S"),
        ("BMW", "B IY1 EH1 M D AH1 B AH0 L Y UW2"),
        ("xml", "EH2 K S EH2 M EH1 L"),
        ("qrst", "K Y UW1 AA1 R EH1 S T IY1"),
        ("STOP", "S T AA1 P"),
        ("NASA", "N AE1 S AH0"),
        ("NOT", "N AA1 T"),
        ("GPT4", "JH IY1 P IY1 T IY1 F AO1 R"),
        ("iPhone15", "AY1 F OW1 N F IH0 F T IY1 N"),
        ("WebGPU", "W EH1 B JH IY1 P IY1 Y UW1"),
        ("5", "F AY1 V"),
        ("B2B", "B IY1 T UW1 B IY1"),
        ("x2048", "EH1 K S T UW1 Z IH1 R OW0 F AO1 R EY1 T"),
    ],
)
def test_capitals_and_names_with_numbers(english: English, word: str, parts: str) -> None:
    assert " ".join(english.phones(word)) == parts


@pytest.mark.parametrize(
    "word", ["zorblatix", "Brrkawitz", "supercalifragilistic", "xqzw'a", "ña", "é" * 90, "a" * 500]
)
def test_any_other_word_is_guessed_in_known_phones(english: English, word: str) -> None:
    phones = english.phones(word)
    assert phones
    assert set(phones) <= set(PHONES)


@pytest.mark.parametrize("word", ["", "'", "-", "中", "🙂"])
def test_what_has_no_letter_has_no_phones(english: English, word: str) -> None:
    assert english.phones(word) == ()


def test_a_guessed_word_has_one_primary_stress() -> None:
    model = load_letter_model()
    for word in ("zorblatix", "trillumation", "quandering", "blorf"):
        assert [phone[-1] for phone in model.read(word)].count("1") == 1


def test_unknown_words_are_read_by_the_usual_spelling_rules() -> None:
    model = load_letter_model()
    assert " ".join(model.read("phrake")) == "F R EY1 K"
    assert " ".join(model.read("blighting")) == "B L AY1 T IH0 NG"
    assert " ".join(model.read("knocktion"))[:4] == "N AA"


def test_the_table_finds_each_of_its_words_and_no_other() -> None:
    words = {"a": ("AH0",), "ab": ("AE1", "B"), "a'b": ("B",), "zoo": ("Z", "UW1")}
    lines = sorted(encode_line(word, phones).encode() for word, phones in words.items())
    table = WordTable(b"".join(lines))
    assert {word: table.get(word) for word in words} == words
    assert [table.get(word) for word in ("", "aa", "b", "zz", "ab ", "é", "a\n")] == [None] * 7
    assert WordTable(b"").get("a") is None


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("I read the book", ["R IY1 D", "DH AH0"]),
        ("I have already read it", ["R EH1 D"]),
        ("He read it yesterday", ["R EH1 D"]),
        ("to read the apple", ["R IY1 D", "DH IY0"]),
        ("to record a record", ["R AH0 K AO1 R D", "R EH1 K ER0 D"]),
        ("live music where they live", ["L AY1 V", "L IH1 V"]),
        ("use it, it is of no use", ["Y UW1 Z", "Y UW1 S"]),
        ("we used to", ["Y UW1 S T"]),
        ("Close the door; he is close to it", ["K L OW1 Z", "DH AH0", "K L OW1 S"]),
        ("a lead pipe, in the lead", ["L EH1 D", "DH AH0", "L IY1 D"]),
        ("A man has plan A.", ["AH0"]),
        ("an increase will increase", ["IH1 N K R IY2 S", "IH2 N K R IY1 S"]),
        ("hello world", []),
    ],
)
def test_neighbours_decide_between_two_readings(text: str, phones: list[str]) -> None:
    assert [found for _, _, found in contextual(text)] == phones


def test_only_words_of_english_parts_without_a_reading_get_one() -> None:
    text = "the use"
    plain = with_context(Script.plain(text, "en"))
    assert plain.readings == ("DH AH0", "", "", None, "Y UW1 S", "", "")
    assert set(plain.sources) == {"rule", "tokenizer"}
    assert not with_context(Script.plain(text, "zh")).has_readings
    given = Script.fixed(text, "en", ("DH IY0", "", "", None, "Y UW1 Z", "", ""), "markup")
    assert with_context(given) == given

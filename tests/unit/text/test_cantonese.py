from __future__ import annotations

import pytest

from pipeline.text.cantonese import Cantonese, jyutping_symbols, load_cantonese, symbols


@pytest.mark.parametrize(
    ("text", "jyutping"),
    [
        ("佢今日買咗三個蘋果", "keoi5 gam1 jat6 maai5 zo2 saam1 go3 ping4 gwo2"),
        ("唔該", "m4 goi1"),
        ("銀行行政", "ngan4 hong4 hang4 zing3"),
        ("重慶好重要", "cung4 hing3 hou2 zung6 jiu3"),
        ("音樂快樂", "jam1 ngok6 faai3 lok6"),
        ("广东话", "gwong2 dung1 waa2"),
    ],
)
def test_words_decide_the_reading_of_their_characters(text: str, jyutping: str) -> None:
    assert load_cantonese().read(text) == jyutping.split()


def test_the_longest_word_wins_and_unknown_characters_are_left_out() -> None:
    reader = Cantonese({"行": "hang4", "銀": "ngan4", "銀行": "ngan4 hong4"})
    assert reader.read("銀行行A") == ["ngan4", "hong4", "hang4", ""]
    assert symbols("A我") == ["yue:ng", "yue:o5"]


@pytest.mark.parametrize(
    ("syllable", "sounds"),
    [
        ("jat6", "yue:j yue:at6"),
        ("gwok3", "yue:gw yue:ok3"),
        ("ngo5", "yue:ng yue:o5"),
        ("ng5", "yue:ng5"),
        ("m4", "yue:m4"),
        ("hng6", "yue:ng6"),
        ("aa3", "yue:aa3"),
        ("nung4", "yue:n yue:ung4"),
    ],
)
def test_a_syllable_is_an_initial_and_a_final_with_its_tone(syllable: str, sounds: str) -> None:
    assert jyutping_symbols(syllable) == tuple(sounds.split())

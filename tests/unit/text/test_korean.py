from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text.hanja import hangul
from pipeline.text.inventory import text_symbols
from pipeline.text.korean import spoken, surface, symbols
from pipeline.text.korean_rules import Syllable, is_syllable
from pipeline.text.korean_words import parse_word

CASES = Path(__file__).parent / "cases" / "ko_surface.tsv"


def test_the_standard_pronunciations_examples_are_read_as_it_says() -> None:
    cases = [line.split("\t") for line in CASES.read_text("utf-8").splitlines()]
    assert len(cases) > 300
    assert [(written, surface(written)) for written, _ in cases] == [tuple(case) for case in cases]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("그 사람은 못 읽었어요.", "그 사라믄 몬 닐거써요."),
        ("할 수 있는 일이 많습니다", "할 쑤 인는 니리 만씀니다"),
        ("갈 시간이 없어요", "갈 씨가니 업써요"),
        ("오늘 사람이 많다", "오늘 사라미 만타"),
        ("책을 사람에게 주다", "채글 사라메게 주다"),
        ("생산량이 늘었다", "생산냥이 느럳따"),
        ("총 전력이 부족하다", "총 절려기 부조카다"),
        ("여덟 시 열 개", "여덜 씨 열 깨"),
        ("값, 안", "갑, 안"),
    ],
)
def test_whole_phrases_are_linked_and_marks_part_them(written: str, said: str) -> None:
    assert surface(written) == said


def test_a_dictionary_word_inside_another_word_is_not_mistaken_for_it() -> None:
    assert surface("군대가") == "군대가"
    assert surface("대가") == "대까"


def test_symbols_are_the_surface_sounds_and_a_silent_initial_has_none() -> None:
    assert symbols("독립이 A") == ["ko:d", "ko:o", "ko:ng_", "ko:n", "ko:i", "ko:b", "ko:i"]


@pytest.mark.parametrize(
    ("hanja", "read"),
    [
        ("韓國도", "한국도"),
        ("女子 子女", "여자 자녀"),
        ("來日 老人", "내일 노인"),
        ("比率 法律", "비율 법률"),
        ("不動産 不可能", "부동산 불가능"),
        ("自動車", "자동차"),
        ("大韓民國", "대한민국"),
        ("𠀀", "𠀀"),
    ],
)
def test_hanja_are_read_with_the_initial_sound_rule(hanja: str, read: str) -> None:
    assert hangul(hanja) == read


def test_a_marked_word_says_where_it_departs_from_the_rules() -> None:
    assert parse_word("갈'등") == ("갈등", "갈뜽")
    assert parse_word("꽃+잎") == ("꽃잎", "꽃닢")
    assert parse_word("맛-없") == ("맛없", "맏없")
    assert parse_word("밟고=밥고") == ("밟고", "밥고")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF), max_size=30))
def test_any_text_has_one_item_per_character_and_known_symbols(text: str) -> None:
    said = spoken(text)
    assert len(said) == len(text)
    assert set(symbols(text)) <= set(text_symbols())


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=8))
def test_seven_sounds_close_a_syllable(text: str) -> None:
    assert all(Syllable.of(char).coda in ("", *"ㄱㄴㄷㄹㅁㅂㅇ") for char in surface(text) if is_syllable(char))

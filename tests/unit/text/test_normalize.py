"""Written text becomes what a native speaker says, case by case."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipeline.errors import InvalidRequest
from pipeline.text.languages import units
from pipeline.text.languages.english import numerals as english
from pipeline.text.languages.han import numerals as han
from pipeline.text.languages.ja import cardinal as japanese_cardinal
from pipeline.text.languages.ko import cardinal as korean_cardinal
from pipeline.text.languages.ko import native
from pipeline.text.normalize import LANGUAGES, normalize

CASES = Path(__file__).parent / "cases"


def readings(language: str) -> list[tuple[str, str]]:
    with (CASES / f"{language}.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        return [(text, reading) for text, reading in rows]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_case_is_read_as_written_down(language: str) -> None:
    cases = readings(language)
    assert len(cases) >= 25
    wrong = [(text, said, reading) for text, reading in cases if (said := normalize(text, language)) != reading]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reading_is_read_as_itself(language: str) -> None:
    changed = [reading for _, reading in readings(language) if normalize(reading, language) != reading]
    assert len(changed) <= len(readings(language)) // 50


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_digit_is_left(language: str) -> None:
    left = [text for text, _ in readings(language) if any(char.isdecimal() for char in normalize(text, language))]
    assert left == []


def test_full_width_forms_are_read_like_plain_ones() -> None:
    assert normalize("１２３％", "zh") == normalize("123%", "zh")
    assert normalize("ＡＢＣ：３０°", "zh") == "ABC：三十度"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b\ufeff", "😀👍🏻", "\ud83d"])
def test_nothing_to_say_gives_nothing(text: str, language: str) -> None:
    assert normalize(text, language) == ""


def test_markup_is_not_spoken() -> None:
    text = "# 标题\n**重点**：[官网](https://example.com)<br>`code` &amp; ~~旧~~\n- 第一\n- 第二"
    assert normalize(text, "zh") == "标题\n重点：官网 code 和旧\n第一\n第二"


def test_repeated_marks_are_said_once_and_mixed_ones_stay_together() -> None:
    assert normalize("什么？！？！真的！！！好。。。", "zh") == "什么？！真的！好…"


def test_line_breaks_stay() -> None:
    assert normalize("第1行\r\n\r\n第2行", "zh") == "第一行\n第二行"


def test_numbers_of_a_list_pause() -> None:
    assert normalize("1. 苹果\n2. 香蕉", "zh") == "一，苹果\n二，香蕉"


def test_an_unknown_language_is_refused_with_the_choice() -> None:
    with pytest.raises(InvalidRequest, match=r"'xx'; use one of zh, en, ja, ko, yue"):
        normalize("a", "xx")


@pytest.mark.parametrize(
    ("number", "said"),
    [("0", "零"), ("10", "十"), ("110", "一百一十"), ("10010", "一万零一十"), ("20002", "两万零二"), ("100000000",
        "一亿"),
     ("1000000001", "十亿零一"), ("200000000000", "两千亿"), ("12" * 10, "一二" * 10)],
)  # fmt: skip
def test_chinese_cardinals(number: str, said: str) -> None:
    assert han.cardinal(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("0", "zero"),
        ("13", "thirteen"),
        ("115", "one hundred fifteen"),
        ("1000000", "one million"),
        ("20001", "twenty thousand one"),
    ],
)
def test_english_cardinals(number: str, said: str) -> None:
    assert english.cardinal(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [("3", "third"), ("20", "twentieth"), ("21", "twenty first"), ("12", "twelfth"), ("100", "one hundredth")],
)
def test_english_ordinals(number: str, said: str) -> None:
    assert english.ordinal(number) == said


def test_japanese_thousands_drop_one_except_before_larger_units() -> None:
    assert [japanese_cardinal(n) for n in ("1000", "1100", "10000", "10000000")] == ["千", "千百", "一万", "一千万"]


def test_korean_ten_thousand_drops_one() -> None:
    assert [korean_cardinal(n) for n in ("10000", "100000000", "110")] == ["만", "일억", "백십"]


def test_korean_native_numerals_end_at_ninety_nine() -> None:
    assert [native(n) for n in ("1", "20", "21", "99", "100", "2.5")] == [
        "한",
        "스무",
        "스물한",
        "아흔아홉",
        None,
        None,
    ]


def test_every_alias_names_a_unit() -> None:
    assert [alias for alias in units.ALIASES if units.unit(alias) is None] == []


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("降5%到10㎡", "降百分之五到十平方米"),
        ("下跌5%至300点", "下跌百分之五至三百点"),
        ("3m²到5%", "三平方米到百分之五"),
        ("5%到10%", "百分之五到百分之十"),
    ],
)
def test_a_percentage_and_another_quantity_are_no_range(text: str, reading: str) -> None:
    assert normalize(text, "zh") == reading
    assert normalize(text, "yue") == reading

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.text import english, mandarin
from pipeline.text.inventory import text_symbols
from pipeline.text.phoneme import PhonemeTokenizer, TokenTable
from pipeline.text.readings import parse_phones, parse_pinyin


@pytest.fixture(scope="module")
def tokenizer(voice_folder: Path) -> PhonemeTokenizer:
    return PhonemeTokenizer.open(voice_folder)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("不对", "^ zh:b zh:u2 zh:d zh:ui4 ."),
        ("一天", "^ zh:y zh:i4 zh:t zh:ian1 ."),
        ("第一天", "^ zh:d zh:i4 zh:y zh:i1 zh:t zh:ian1 ."),
        ("小老虎", "^ zh:x zh:iao3 zh:l zh:ao2 zh:h zh:u3 ."),
        ("哪儿", "^ zh:n zh:a3 zh:er5 ."),
        ("你好？", "^ zh:n zh:i2 zh:h zh:ao3 ?"),
        ("好，。好", "^ zh:h zh:ao3 . zh:h zh:ao3 ."),
        ("用GPU。", "^ zh:y zh:ong4 en:JH en:IY1 en:P en:IY1 en:Y en:UW1 ."),
        ("it’s", "^ en:IH1 en:T en:S ."),
        ("Hello!", "^ en:HH en:AH0 en:L en:OW1 !"),
        ("12", "^ en:T en:W en:EH1 en:L en:V ."),
        ("3.5", "^ en:TH en:R en:IY1 en:P en:OY1 en:N en:T en:F en:AY1 en:V ."),
        ("12个", "^ zh:sh zh:i2 zh:er4 zh:g zh:e4 ."),
        ("東京は", "^ ja:t ja:o ja:: ja:ky ja:o ja:: ja:w ja:a ."),
        ("독립", "^ ko:d ko:o ko:ng_ ko:n ko:i ko:p_ ."),
        ("佢喺邊度", "^ yue:k yue:eoi5 yue:h yue:ai2 yue:b yue:in1 yue:d yue:ou6 ."),
        ("韓國도", "^ ko:h ko:a ko:n_ ko:g ko:u ko:k_ ko:tt ko:o ."),
        ("好，hi", "^ zh:h zh:ao3 , en:HH en:AY1 ."),
    ],
)
def test_text_of_five_languages_becomes_symbols_that_all_have_ids(
    tokenizer: PhonemeTokenizer, text: str, symbols: str
) -> None:
    assert tokenizer.symbols(text) == symbols.split()
    assert [text_symbols()[index] for index in tokenizer.encode(text)] == symbols.split()


@pytest.mark.parametrize("text", ["", "  ", "。！", "||", "ไทย", "🙂"])
def test_what_the_voice_cannot_say_has_no_ids(tokenizer: PhonemeTokenizer, text: str) -> None:
    assert tokenizer.encode(text) == []


def test_given_readings_replace_the_rules_character_by_character(tokenizer: PhonemeTokenizer) -> None:
    assert tokenizer.symbols("重庆2", ["chong2", "qing4", None])[1:5] == ["zh:ch", "zh:ong2", "zh:q", "zh:ing4"]
    assert tokenizer.symbols("重庆2", ["chong2", "qing4", None])[5:] == ["zh:er4", "."]
    assert tokenizer.symbols("哪儿", ["nar3", ""]) == ["^", "zh:n", "zh:a3", "zh:er5", "."]
    assert tokenizer.symbols("open it", ["OW1 P AH0 N", "", "", "", None, None, None]) == [
        *("^", "en:OW1", "en:P", "en:AH0", "en:N"),
        *("en:IH1", "en:T", "."),
    ]


def test_a_syllabic_nasal_is_read_like_en(tokenizer: PhonemeTokenizer) -> None:
    assert tokenizer.symbols("嗯", ["n2"]) == ["^", "zh:en2", "."]


def test_a_tone_that_was_not_heard_takes_another_one(tokenizer: PhonemeTokenizer) -> None:
    assert "zh:v1" not in text_symbols()
    assert tokenizer.encode("绿", ["lv1"]) == tokenizer.encode("绿", ["lv4"])
    assert tokenizer.encode("一", ["yue:jik4"]) == tokenizer.encode("一", ["yue:jik3"])


def test_a_symbol_without_a_neighbour_has_no_id() -> None:
    table = TokenTable({"zh:a4": 0, "en:AA1": 1})
    assert [table.id_of(symbol) for symbol in ("zh:a1", "zh:o1", "en:AA1", "en:AA0")] == [0, None, 1, None]


@pytest.mark.parametrize(("number", "words"), [(0, "零"), (10, "十"), (105, "一百零五"), (10010, "一万零一十")])
def test_chinese_numbers(number: int, words: str) -> None:
    assert mandarin.number_words(number) == words


def test_english_numbers() -> None:
    assert english.number_words(1_000_042) == "one million forty two"


def test_a_missing_token_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"tokens\.txt is missing"):
        PhonemeTokenizer.open(tmp_path)


@pytest.mark.parametrize(
    ("written", "syllables"),
    [
        ("chong2 qing4", ("chong2", "qing4")),
        ("chóng qìng", ("chong2", "qing4")),
        ("lǜ nü3 lu:4", ("lv4", "nv3", "lv4")),
        ("nar3 er2", ("nar3", "er2")),
    ],
)
def test_pinyin_is_brought_to_tone_numbers(written: str, syllables: tuple[str, ...]) -> None:
    assert parse_pinyin(written) == syllables


@pytest.mark.parametrize(
    ("written", "reason"),
    [("xyz1", "no Mandarin syllable"), ("hao", "has no tone"), ("hao6", "no tone"), ("", "no syll")],
)
def test_pinyin_that_is_none_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_pinyin(written)


@pytest.mark.parametrize(
    ("written", "reason"), [("HH QX", "no ARPAbet"), ("OW", "OW has no stress"), (" ", "no phone")]
)
def test_phones_that_are_none_are_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_phones(written)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("好？！好！！", "?!"),
        ("好，。好", ".."),
        ("好|好", "|."),
        ("好|，好|", ",."),
        ("|好...", "."),
        ("好!，", "!"),
        ("好,", "."),
    ],
)
def test_of_marks_in_a_row_the_strongest_counts(tokenizer: PhonemeTokenizer, text: str, marks: str) -> None:
    assert "".join(symbol for symbol in tokenizer.symbols(text) if symbol in ",.!?|") == marks


def test_given_readings_are_spoken_in_any_language(tokenizer: PhonemeTokenizer) -> None:
    readings = ["トー", "", "동", "yue:jat6", "HH AY1", ""]
    assert tokenizer.symbols("東京東一hi", readings) == (
        ["^", "ja:t", "ja:o", "ja::", "ko:d", "ko:o", "ko:ng_", "yue:j", "yue:at6", "en:HH", "en:AY1", "."]
    )


def test_what_has_no_reading_among_given_ones_is_read_by_its_script(tokenizer: PhonemeTokenizer) -> None:
    symbols = " ".join(tokenizer.symbols("好,好か도", ["hao3", None, None, None, None]))
    assert symbols == "^ zh:h zh:ao3 , zh:h zh:ao3 ja:k ja:a ko:d ko:o ."

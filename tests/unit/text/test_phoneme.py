from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.text import english, mandarin
from pipeline.text.inventory import text_symbols
from pipeline.text.phoneme import PhonemeTokenizer
from pipeline.text.readings import parse_phones, parse_pinyin

GOLDEN = Path(__file__).parents[2] / "golden" / "phoneme"
EXAMPLES = json.loads((GOLDEN / "examples.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def tokenizer() -> PhonemeTokenizer:
    return PhonemeTokenizer.open(GOLDEN)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["text"][:12])
def test_examples_of_the_bundled_voice_give_its_tokens_and_ids(tokenizer: PhonemeTokenizer, example: dict) -> None:
    assert tokenizer.symbols(example["text"]) == example["tokens"]
    assert tokenizer.encode(example["text"]) == example["ids"]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("不对", "^ zh:b zh:u2 zh:d zh:ui4 ."),
        ("一天", "^ zh:y zh:i4 zh:t zh:ian1 ."),
        ("第一天", "^ zh:d zh:i4 zh:y zh:i1 zh:t zh:ian1 ."),
        ("小老虎", "^ zh:x zh:iao2 zh:l zh:ao2 zh:h zh:u3 ."),
        ("嗯", "^ zh:en2 ."),
        ("USB", "^ en:j en:u:1 en:E1 en:s en:b en:i:1 ."),
        ("it’s", "^ en:I0 en:t en:s ."),
        ("好，。好", "^ zh:h zh:ao3 . zh:h zh:ao3 ."),
        ("12", "^ en:t en:w en:E1 en:l en:v ."),
        ("12个", "^ zh:sh zh:i2 zh:er4 zh:g zh:e4 ."),
    ],
)
def test_reading_rules(tokenizer: PhonemeTokenizer, text: str, symbols: str) -> None:
    assert tokenizer.symbols(text) == symbols.split()


@pytest.mark.parametrize("text", ["", "  ", "。！", "こんにちは", "🙂"])
def test_what_the_voice_cannot_say_has_no_ids(tokenizer: PhonemeTokenizer, text: str) -> None:
    assert tokenizer.encode(text) == []


def test_question_and_exclamation_marks_speak_as_full_stops(tokenizer: PhonemeTokenizer) -> None:
    assert tokenizer.encode("好！你好？好") == tokenizer.encode("好。你好。好")


def test_given_readings_replace_the_rules_character_by_character(tokenizer: PhonemeTokenizer) -> None:
    assert tokenizer.symbols("重庆2", ["chong2", "qing4", None])[1:5] == ["zh:ch", "zh:ong2", "zh:q", "zh:ing4"]
    assert tokenizer.symbols("重庆2", ["chong2", "qing4", None])[5:] == ["zh:er4", "."]
    assert tokenizer.symbols("哪儿", ["nar3", ""]) == ["^", "zh:n", "zh:a3", "zh:er5", "."]
    assert tokenizer.symbols("open it", ["OW1 P AH0 N", "", "", "", None, None, None]) == [
        *("^", "en:oU1", "en:p", "en:@0", "en:n"),
        *("en:I0", "en:t", "."),
    ]


def test_a_rare_symbol_takes_its_nearest_neighbour(tokenizer: PhonemeTokenizer) -> None:
    assert tokenizer.encode("x", ["fo1"]) == tokenizer.encode("佛")[:-2] + tokenizer.encode("x", ["fo1"])[-2:]
    assert tokenizer.encode("绿", ["lv1"]) == tokenizer.encode("绿", ["lv4"])


@pytest.mark.parametrize(("number", "words"), [(0, "零"), (10, "十"), (105, "一百零五"), (10010, "一万零一十")])
def test_chinese_numbers(number: int, words: str) -> None:
    assert mandarin.number_words(number) == words


def test_english_numbers() -> None:
    assert english.number_words(1_000_042) == "one million forty two"


def test_unknown_words_are_guessed_with_one_primary_stress() -> None:
    pronunciation = english.load_english().pronounce("zorblatix")
    assert pronunciation.count("'") == 1


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


@pytest.fixture(scope="module")
def polyglot(tmp_path_factory: pytest.TempPathFactory) -> PhonemeTokenizer:
    folder = tmp_path_factory.mktemp("voice")
    (folder / "tokens.txt").write_text("\n".join(text_symbols()) + "\n", "utf-8")
    return PhonemeTokenizer.open(folder)


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("你好？", "^ zh:n zh:i2 zh:h zh:ao3 ?"),
        ("Hello!", "^ en:HH en:AH0 en:L en:OW1 !"),
        ("東京は", "^ ja:t ja:o ja:: ja:ky ja:o ja:: ja:w ja:a ."),
        ("독립", "^ ko:d ko:o ko:ng_ ko:n ko:i ko:p_ ."),
        ("佢喺邊度", "^ yue:k yue:eoi5 yue:h yue:ai2 yue:b yue:in1 yue:d yue:ou6 ."),
        ("韓國도", "^ ko:h ko:a ko:n_ ko:g ko:u ko:k_ ko:tt ko:o ."),
        ("好，hi", "^ zh:h zh:ao3 , en:HH en:AY1 ."),
    ],
)
def test_the_voice_of_five_languages_speaks_each(polyglot: PhonemeTokenizer, text: str, symbols: str) -> None:
    assert polyglot.symbols(text) == symbols.split()
    assert len(polyglot.encode(text)) == len(symbols.split())


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
def test_of_marks_in_a_row_the_strongest_counts(polyglot: PhonemeTokenizer, text: str, marks: str) -> None:
    assert "".join(symbol for symbol in polyglot.symbols(text) if symbol in ",.!?|") == marks


def test_given_readings_are_spoken_in_any_language(polyglot: PhonemeTokenizer) -> None:
    readings = ["トー", "", "동", "yue:jat6", "HH AY1", ""]
    assert polyglot.symbols("東京東一hi", readings) == (
        ["^", "ja:t", "ja:o", "ja::", "ko:d", "ko:o", "ko:ng_", "yue:j", "yue:at6", "en:HH", "en:AY1", "."]
    )


def test_what_has_no_reading_among_given_ones_is_read_by_its_script(polyglot: PhonemeTokenizer) -> None:
    symbols = " ".join(polyglot.symbols("好,好か도", ["hao3", None, None, None, None]))
    assert symbols == "^ zh:h zh:ao3 , zh:h zh:ao3 ja:k ja:a ko:d ko:o ."


def test_a_tone_that_was_not_heard_takes_another_one(polyglot: PhonemeTokenizer) -> None:
    assert polyglot.encode("一", ["yue:jik4"]) == polyglot.encode("一", ["yue:jik3"])

from __future__ import annotations

import pytest

from pipeline.text.lexicon_entry import Entry
from pipeline.text.reader import pronounce
from pipeline.text.readings import parse_sounds, reading_symbols
from pipeline.text.script import Script
from pipeline.text.spans import spans


def script_of(text: str) -> Script:
    return Script.join(Script.plain(part, language) for part, language in spans(text))


def test_each_language_of_a_sentence_is_read_its_own_way() -> None:
    script = pronounce(script_of("欢迎！東京は、韓國도 좋아요。佢喺邊度？Hi"))
    rows = [row for row in zip(script.text, script.readings, script.sources, strict=True) if row[1] is not None]
    assert rows == [
        ("欢", "huan1", "character"),
        ("迎", "ying2", "character"),
        ("東", "トーキョー", "dictionary"),
        ("京", "", "dictionary"),
        ("は", "ワ", "dictionary"),
        ("韓", "한", "dictionary"),
        ("國", "국", "dictionary"),
        ("도", "또", "rule"),
        ("좋", "조", "rule"),
        ("아", "아", "rule"),
        ("요", "요", "rule"),
        ("佢", "yue:keoi5", "dictionary"),
        ("喺", "yue:hai2", "dictionary"),
        ("邊", "yue:bin1", "dictionary"),
        ("度", "yue:dou6", "dictionary"),
    ]


def test_languages_that_a_voice_lacks_get_no_readings() -> None:
    script = pronounce(script_of("東京は好。좋아요"), languages=("zh", "en"))
    assert script.readings == (None,) * len(script.text)


def test_given_readings_stay_and_the_words_around_them_are_read() -> None:
    plain = Script.plain("今日と東京", "ja")
    given = Script(plain.text, plain.languages, (None, None, None, "ヒガシ", ""), ("tokenizer",) * 3 + ("lexicon",) * 2)
    script = pronounce(given)
    assert script.readings == ("キョー", "", "ト", "ヒガシ", "")
    assert script.sources[2:4] == ("dictionary", "lexicon")


def test_hangul_beside_a_given_reading_is_read_alone() -> None:
    given = Script("갈등이", ("ko",) * 3, ("갈뜽", "", None), ("lexicon", "lexicon", "tokenizer"))
    assert pronounce(given).readings == ("갈뜽", "", "이")


@pytest.mark.parametrize(
    ("written", "reading", "symbols"),
    [
        ("とうきょう", "トウキョウ", "ja:t ja:o ja:u ja:ky ja:o ja:u"),
        ("トー キョー", "トーキョー", "ja:t ja:o ja:: ja:ky ja:o ja::"),
        ("동닙", "동닙", "ko:d ko:o ko:ng_ ko:n ko:i ko:p_"),
        ("jat6 BUN2", "yue:jat6 yue:bun2", "yue:j yue:at6 yue:b yue:un2"),
        ("yue:m4", "yue:m4", "yue:m4"),
    ],
)
def test_sounds_are_written_in_kana_hangul_or_jyutping(written: str, reading: str, symbols: str) -> None:
    assert parse_sounds(written) == reading
    assert reading_symbols(reading) == tuple(symbols.split())


@pytest.mark.parametrize(
    ("written", "reason"),
    [("jat", "has no tone"), ("xyz3", "is no Cantonese syllable"), ("東", "no kana, no hangul"), ("か동", "no kana")],
)
def test_sounds_that_are_none_are_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_sounds(written)


@pytest.mark.parametrize(
    ("word", "value", "reading"),
    [("生麦", "なまむぎ", "ナマムギ"), ("삼성", "삼성", "삼성"), ("唔該", "m4 goi1", "yue:m4 yue:goi1")],
)
def test_a_lexicon_entry_gives_a_word_of_another_language_its_sounds(word: str, value: str, reading: str) -> None:
    entry = Entry.checked(word, "phonemes", value)
    assert entry.readings() == (reading, *[""] * (len(word) - 1))

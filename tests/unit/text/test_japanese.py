from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.text import japanese
from pipeline.text.inventory import text_symbols
from pipeline.text.japanese import load_japanese, symbols
from pipeline.text.japanese_dictionary import load_dictionary
from pipeline.text.japanese_numbers import numbers
from pipeline.text.kana import kana, kana_symbols


def read(text: str) -> str:
    return "".join(word.sound for word in load_japanese().read(text))


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("今日は東京へ行きました", "キョーワトーキョーエイキマシタ"),
        ("日本語を勉強しています", "ニホンゴヲベンキョーシテイマス"),
        ("こんにちは世界", "コンニチワセカイ"),
        ("すもももももももものうち", "スモモモモモモモモノウチ"),
        ("上手に話せるようになりたい", "ジョーズニハナセルヨーニナリタイ"),
        ("彼は医者になるために一生懸命勉強した", "カレワイシャニナルタメニイッショーケンメーベンキョーシタ"),
        ("市民会館で音楽会が開かれる", "シミンカイカンデオンガクカイガヒラカレル"),
        ("明日は晴れのち曇りだろう", "アシタワハレノチクモリダロー"),
        ("何ですか、何を食べますか", "ナンデスカナニヲタベマスカ"),
        ("ボブとスパゲッティゲーム", "ボブトスパゲッティゲーム"),
        ("風邪を引いたので薬を飲んで寝た", "カゼヲヒイタノデクスリヲノンデネタ"),
    ],
)
def test_sentences_are_read_by_their_words(text: str, sound: str) -> None:
    assert read(text) == sound


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("三百六十本", "サンビャクロクジュッポン"),
        ("一本二本三本四本六本八本十本何本", "イッポン ニホン サンボン ヨンホン ロッポン ハッポン ジュッポン ナンボン"),
        ("三分四分八分", "サンプン ヨンプン ハップン"),
        ("一個六個百個", "イッコ ロッコ ヒャッコ"),
        ("一歳八歳二十歳", "イッサイ ハッサイ ハタチ"),
        ("三千八千三百六百八百", "サンゼンハッセンサンビャクロッピャクハッピャク"),
        ("二千二十四年四月一日", "ニセンニジューヨネン シガツ ツイタチ"),
        ("一九四五年二〇二四年", "センキューヒャクヨンジューゴネン ニセンニジューヨネン"),
        ("一人二人四人七人", "ヒトリ フタリ ヨニン シチニン"),
        ("二日八日十四日二十日三日間", "フツカ ヨーカ ジューヨッカ ハツカ ミッカカン"),
        ("四時七時九時間", "ヨジ シチジ クジカン"),
        ("一つ九つ", "ヒトツ ココノツ"),
        ("〇九〇", "ゼロキューゼロ"),
        ("八百屋で三日月を一緒に", ""),
    ],
)
def test_counters_change_their_number_and_themselves(text: str, sounds: str) -> None:
    assert [number.sound for number in numbers(text)] == sounds.split()


def test_words_say_where_they_stand_and_what_the_dictionary_does_not_know() -> None:
    words = load_japanese().read("A 猫とヌボラギ。犬")
    assert [(word.start, word.end, word.sound, word.is_known) for word in words] == [
        (2, 3, "ネコ", True),
        (3, 4, "ト", True),
        (4, 8, "ヌボラギ", False),
        (9, 10, "イヌ", True),
    ]


@pytest.mark.parametrize(
    ("written", "sounds"),
    [
        ("きょう", "ja:ky ja:o ja:u"),
        ("チョコレート", "ja:ch ja:o ja:k ja:o ja:r ja:e ja:: ja:t ja:o"),
        ("がっこうん", "ja:g ja:a ja:Q ja:k ja:o ja:u ja:N"),
        ("ファミリーヴァイオリン", "ja:f ja:a ja:m ja:i ja:r ja:i ja:: ja:v ja:a ja:i ja:o ja:r ja:i ja:N"),
        ("ヂヅヲ", "ja:j ja:i ja:z ja:u ja:o"),
        ("ンー", "ja:N"),
        ("x・。", ""),
    ],
)
def test_kana_are_sounds(written: str, sounds: str) -> None:
    assert kana_symbols(written) == tuple(sounds.split())


@pytest.mark.parametrize("text", ["キャッチャー", "トーキョー", "シャンプーヲ", "ティッシュ", "クァルテット"])
def test_sounds_are_kana_again(text: str) -> None:
    assert kana_symbols(kana(kana_symbols(text))) == kana_symbols(text)


def test_a_consonant_without_vowel_is_no_mora() -> None:
    with pytest.raises(ValueError, match="ja:k ja:N is no Japanese mora"):
        kana(["ja:k", "ja:N"])


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("一二三四十百千万〇何年月日本人つ点ーっンぁヶ々あア犬鬱龘𠀀\n A"), max_size=24))
def test_any_text_has_known_symbols(text: str) -> None:
    assert set(symbols(text)) <= set(text_symbols())


@pytest.mark.parametrize("unit", ["これは三百六十本です", "すもももももも", "カタカナー行って何で々"])
def test_a_repetitive_text_is_read_as_if_no_part_came_again(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = unit * 60
    num_parts: list[int] = []
    crossings = japanese._crossings
    monkeypatch.setattr(japanese, "_crossings", lambda *args: num_parts.append(len(args)) or crossings(*args))
    found = list(load_japanese().read(text))
    assert num_parts, "the text does not count as repetitive"
    monkeypatch.setattr(japanese, "_is_repetitive", lambda nodes: False)
    assert list(load_japanese().read(text)) == found


def test_a_run_is_read_as_if_it_stood_alone_and_the_second_time_as_the_first() -> None:
    runs = ["何", "でしょう", "カタカナー行って", "これは三百六十本です", "何", "々", "すもももももももものうち"]
    reader = japanese.JapaneseReader(load_dictionary())
    alone = [[word[2:] for word in reader.read(run)] for run in runs]
    for other in (reader, japanese.JapaneseReader(load_dictionary())):
        words = other.read("、 ".join(runs))
        assert [word[2:] for word in words] == [word for row in alone for word in row]
        assert [words[0].start, words[-1].end] == [0, len("、 ".join(runs))]


def test_the_words_of_a_short_text_are_those_of_a_long_one() -> None:
    text = "何で三百六十本のすもももカタカナー行って々"
    dictionary = load_dictionary()
    found = dictionary.find(text)
    rows = dictionary.rows(text)
    assert [row[:3] for row in rows] == list(zip(found.starts, found.ends, found.entries, strict=True))
    assert [row[3:] for row in rows] == [(dictionary.classes[row[2]], dictionary.costs[row[2]]) for row in rows]

from __future__ import annotations

import pytest

from pipeline.errors import InvalidRequest
from pipeline.text.markup import Segment, parse_markup
from pipeline.text.say_as import say_as


def speak(inner: str) -> list[Segment]:
    return parse_markup(f"<speak>{inner}</speak>")


@pytest.mark.parametrize(
    "text", ["你好，世界", "a [b] c", "[pause] [ ]]", "[1] see [pin yin:x]", "1 < 2 && 3 > 2", "[", ""]
)
def test_text_without_markup_is_untouched(text: str) -> None:
    assert "".join(segment.text for segment in parse_markup(text)) == text
    assert parse_markup(text) == [Segment(text)]


def test_a_pause_stands_between_its_neighbours() -> None:
    assert parse_markup("一[pause:500ms]二[pause:1.5s]") == [
        Segment("一"),
        Segment(pause_s=0.5),
        Segment("二"),
        Segment(pause_s=1.5),
    ]


def test_pinyin_gives_each_character_its_reading() -> None:
    before, spoken, after = parse_markup("去[pinyin:chóng qing4]重庆[/pinyin]吧")
    assert (before.text, after.text) == ("去", "吧")
    assert spoken == Segment("重庆", "zh", readings=("chong2", "qing4"), is_verbatim=True)


@pytest.mark.parametrize(
    ("text", "language", "readings"),
    [
        ("[kana:とーきょー]東京[/kana]", "ja", ("トーキョー", "")),
        ("[hangul:동닙]독립[/hangul]", "ko", ("동닙", "")),
        ("[jyutping:hoeng1 gong2]香港[/jyutping]", "yue", ("yue:hoeng1", "yue:gong2")),
    ],
)
def test_other_languages_are_written_in_their_own_sounds(text: str, language: str, readings: tuple[str, ...]) -> None:
    (segment,) = parse_markup(text)
    assert (segment.language, segment.readings, segment.is_verbatim) == (language, readings, True)
    name, value = text[1 : text.index("]")].split(":")
    assert speak(f'<phoneme alphabet="{name}" ph="{value}">{segment.text}</phoneme>') == [segment]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("你好[pause:5]", r"pause at character 3 has the duration '5'"),
        ("[pause:11s]", r"pause at character 1 of 11s is too long"),
        ("[pause:1s]" * 0 + "[pause:10s]" * 7, r"add up to 70 s"),
        ("a[pinyin:chong2]重", r"\[pinyin:chong2\] at character 2 is not closed"),
        ("ab[/pinyin]", r"at character 3 closes nothing"),
        ("[pinyin:chong2]重庆[/pinyin]", r"has 1 syllables for the 2 characters of '重庆'"),
        ("[pinyin:xyz1]重[/pinyin]", r"'xyz1' is no Mandarin syllable"),
        ("[pinyin:a1]A[/pinyin]", r"only Chinese characters"),
        ("[kana:キョー]今日", r"\[kana:キョー\] at character 1 is not closed: write \[/kana\]"),
        ("가[/hangul]", r"at character 2 closes nothing: write \[hangul:"),
        ("[kana:동닙]独立[/kana]", r"kana at character 1 is '동닙': write the sounds in kana"),
        ("[kana: ]今日[/kana]", r"kana at character 1 is ' '"),
        ("[kana:キョー]今日 は[/kana]", r"belongs to '今日 は': only a word"),
        ("[jyutping:jat]日[/jyutping]", r"syllable 'jat' has no tone"),
        ("[jyutping:jat6]日本[/jyutping]", r"has 1 syllables for the 2 characters of '日本'"),
        ("[jyutping:jat6]a[/jyutping]", r"only Chinese characters can have jyutping"),
    ],
)
def test_wrong_markup_is_refused_with_its_position(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_markup(text)


def test_breaks_take_a_time_or_a_strength() -> None:
    pauses = [segment.pause_s for segment in speak('a<break time="250ms"/>b<break strength="strong"/>c<break/>')]
    assert pauses == [0, 0.25, 0, 0.7, 0, 0.4]


def test_sub_and_phoneme_replace_what_is_written() -> None:
    sub, pinyin, phones = speak(
        '<sub alias="world wide web consortium">W3C</sub><phoneme alphabet="pinyin" ph="chong2">重</phoneme>'
        '<phoneme alphabet="x-arpabet" ph="T AH0">to</phoneme>'
    )
    assert sub.text == "world wide web consortium"
    assert (pinyin.text, pinyin.readings) == ("重", ("chong2",))
    assert (phones.text, phones.readings) == ("to", ("T AH0", ""))


def test_voice_rate_and_language_nest() -> None:
    first, inner, last = speak(
        '<voice name="英文女"><prosody rate="slow">a<prosody rate="200%"><lang xml:lang="zh-CN">二</lang></prosody>'
        "</prosody>c</voice>"
    )
    assert (first.voice, first.rate, first.language) == ("英文女", 0.75, None)
    assert (inner.voice, inner.rate, inner.language) == ("英文女", 1.5, "zh")
    assert (last.voice, last.rate, last.language) == ("英文女", 1.0, None)


@pytest.mark.parametrize(
    ("rate", "factor"), [("fast", 1.25), ("120%", 1.2), ("+20%", 1.2), ("-20%", 0.8), ("1.5", 1.5)]
)
def test_rates(rate: str, factor: float) -> None:
    assert speak(f'<prosody rate="{rate}">a</prosody>')[0].rate == pytest.approx(factor)


@pytest.mark.parametrize(("tag", "language"), [("en-US", "en"), ("zh-HK", "yue"), ("yue", "yue"), ("ja", "ja")])
def test_languages(tag: str, language: str) -> None:
    assert speak(f'<lang xml:lang="{tag}">a</lang>')[0].language == language


def test_the_five_entities_of_xml_and_character_references_are_text() -> None:
    assert speak("1 &lt; 2 &amp; &#x4e2d;")[0].text == "1 < 2 & 中"


def test_paragraphs_are_lines() -> None:
    assert "".join(segment.text for segment in speak("<p>一</p><p>二</p>")) == "一\n二"


BOMB = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<speak>a<audio src='x'/></speak>", r"<audio> is not supported.*line 1, column 9"),
        ("<speak>a\n <b></speak>", r"<b> is not supported.*line 2, column 2"),
        ("<speak>a</spea>", r"line 1, column 11: mismatched tag"),
        ("<speak>&undefined;</speak>", r"undefined entity"),
        ("<speak><?php x?></speak>", r"processing instructions"),
        ("<speak><!DOCTYPE a></speak>", r"line 1"),
        ("<speak>" * 2 + "</speak>" * 2, r"<speak> is in the wrong place"),
        ("<speak>" + "<p>" * 20 + "</p>" * 20 + "</speak>", r"deeper than 16"),
        ("<speak><sub>a</sub></speak>", r"<sub> needs the attribute alias"),
        ("<speak><sub alias='b'>a<break/></sub></speak>", r"<sub> holds no elements"),
        ("<speak><phoneme alphabet='ipa' ph='a'>a</phoneme></speak>", r"known are: pinyin, x-arpabet"),
        ("<speak><phoneme alphabet='pinyin' ph='zz1'>中</phoneme></speak>", r"no Mandarin syllable"),
        ("<speak><say-as interpret-as='song'>a</say-as></speak>", r"'song'.*known are: characters"),
        ("<speak><prosody rate='nan'>a</prosody></speak>", r"out of range"),
        ("<speak><prosody rate='x'>a</prosody></speak>", r"rate 'x' is not known"),
        ("<speak><prosody pitch='high'>a</prosody></speak>", r"only rate"),
        ("<speak><lang xml:lang='fr'>a</lang></speak>", r"'fr'.*known are: zh, en"),
        ("<speak>\ud800</speak>", r"lone surrogate"),
        ("<speaker>a</speaker>", r"<speaker> is in the wrong place"),
    ],
)
def test_wrong_ssml_is_refused_with_its_position(document: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_markup(document)


def test_a_document_type_is_refused_wherever_it_hides_entities() -> None:
    from pipeline.text.ssml import parse_ssml

    with pytest.raises(InvalidRequest, match="document type is not allowed"):
        parse_ssml(f"{BOMB}<speak>&b;</speak>")


@pytest.mark.parametrize(
    ("text", "kind", "language", "spoken"),
    [
        ("GPU", "characters", "en", "G P U"),
        ("110", "digits", "zh", "1 1 0"),
        ("1,024", "cardinal", "zh", "一千零二十四"),
        ("1024", "cardinal", "en", "one thousand twenty four"),
        ("3", "ordinal", "en", "3rd"),
        ("12", "ordinal", "en", "12th"),
        ("3", "ordinal", "zh", "第3"),
        ("2024-05-01", "date", "zh", "2024-05-01"),
    ],
)
def test_say_as(text: str, kind: str, language: str, spoken: str) -> None:
    assert say_as(text, kind, language) == spoken

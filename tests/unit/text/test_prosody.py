from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.text.pronounce import load_pronouncer
from pipeline.text.prosody import MIN_STRETCH, break_places, candidates_of, pauses
from pipeline.text.split import split


def silences(text: str) -> list[int]:
    candidates = candidates_of(text)
    (found,) = load_pronouncer().model.pauses([candidates.hidden])
    return candidates.chosen(found)


def test_a_pause_is_likely_between_clauses() -> None:
    text = "虽然他很努力地学习但是考试成绩还是不太理想"
    boundary = text.index("但是")
    (found,) = pauses([text])
    assert found.shape == (len(text),)
    assert found.argmax() == boundary - 1
    assert boundary in break_places([text])[0]


def test_no_pause_inside_a_word_or_at_the_end() -> None:
    (found,) = pauses(["我们在图书馆"])
    assert found[-1] == 0
    assert found[0] == found[3] == found[4] == 0


@pytest.mark.parametrize("text", ["", "好", "图书馆"])
def test_where_no_pause_is_likely_only_the_end_is_a_place(text: str) -> None:
    assert break_places([text]) == [[len(text)]]


def test_a_stretch_without_a_likely_pause_may_be_broken_at_its_words() -> None:
    text = "红橙黄绿青蓝紫" * 20
    (places,) = break_places([text])
    assert max(stop - start for start, stop in zip([0, *places], places, strict=False)) < 40


def test_a_long_clause_without_punctuation_is_broken_where_a_reader_pauses() -> None:
    text = (
        "这个项目的目标是让没有显卡的普通服务器也能够实时地合成自然流畅的语音并且在用户数量增加的时候"
        "可以通过增加更多的服务器来线性地提高整个系统的处理能力而不需要修改任何代码"
    )
    pieces = split(text, 40, word_ends=break_places)
    assert "".join(pieces) == text
    assert [piece[:2] for piece in pieces[1:]] == ["并且", "而不"]
    assert split(text, 40) != pieces


def test_a_silence_stands_between_words_far_from_the_ends_and_from_the_next_one() -> None:
    text = "虽然他很努力地学习但是考试成绩还是不太理想，大家都很失望。"
    marks = silences(text)
    assert marks == [text.index("但是")]
    assert all(text[mark - 4 : mark + 4].isalpha() for mark in marks)
    long = "这个项目的目标是让没有显卡的普通服务器也能够实时地合成自然流畅的语音并且在用户数量增加的时候" * 3
    places = silences(long)
    assert len(places) > 1
    assert min(right - left for left, right in pairwise(places)) >= MIN_STRETCH


@pytest.mark.parametrize(
    "text", ["", "好", "GPU", "今天天气很好。", "我们用 CosyVoice 合成语音，速度很快！", "😀" * 50, "a" * 300]
)
def test_short_clauses_and_other_scripts_get_no_silence(text: str) -> None:
    assert silences(text) == []


def test_no_silence_touches_latin_words_or_digits() -> None:
    text = "虽然这台服务器没有安装任何一块显卡但是它用ONNX Runtime的INT8模型也能够在200毫秒之内就开始播放第一段声音"
    assert all("一" <= text[k] <= "龥" for mark in silences(text) for k in (mark - 1, mark))

from __future__ import annotations

import pytest

from pipeline.text.prosody import break_places, pauses
from pipeline.text.split import split


def test_a_pause_is_likely_between_clauses() -> None:
    text = "因为昨天晚上下了很大的雨所以今天的运动会只好取消了"
    boundary = text.index("所以")
    found = pauses(text)
    assert found.shape == (len(text),)
    assert found.argmax() == boundary - 1
    assert boundary in break_places(text)


def test_no_pause_inside_a_word_or_at_the_end() -> None:
    found = pauses("我们在图书馆")
    assert found[-1] == 0
    assert found[0] == found[3] == found[4] == 0


@pytest.mark.parametrize("text", ["", "好", "图书馆"])
def test_where_no_pause_is_likely_only_the_end_is_a_place(text: str) -> None:
    assert break_places(text) == [len(text)]


def test_a_stretch_without_a_likely_pause_may_be_broken_at_its_words() -> None:
    text = "红橙黄绿青蓝紫" * 20
    places = break_places(text)
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

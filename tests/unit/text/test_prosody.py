from __future__ import annotations

import pytest

from pipeline.text.prosody import best_break, pauses


def test_a_pause_is_likely_between_clauses() -> None:
    text = "因为昨天晚上下了很大的雨所以今天的运动会只好取消了"
    boundary = text.index("所以")
    found = pauses(text)
    assert found.shape == (len(text),)
    assert found.argmax() == boundary - 1
    assert best_break(text, 0, len(text)) == boundary


def test_no_pause_inside_a_word_or_at_the_end() -> None:
    found = pauses("我们在图书馆")
    assert found[-1] == 0
    assert found[0] == found[3] == found[4] == 0


@pytest.mark.parametrize("text", ["", "好", "图书馆"])
def test_where_no_pause_is_likely_there_is_no_break(text: str) -> None:
    assert best_break(text, 0, len(text)) is None


def test_a_break_is_looked_for_in_the_given_part_only() -> None:
    text = "因为昨天晚上下了很大的雨所以今天的运动会只好取消了"
    place = best_break(text, 14, len(text))
    assert place is None or place > 14

from __future__ import annotations

from itertools import islice

import pytest

from pipeline.__main__ import main
from pipeline.bench.text import MAX_REPEATS, NUM_WARM_UP, PASSAGE_LENGTH, passages, sentences


def test_every_sentence_and_passage_is_new_and_as_long_as_the_table_says() -> None:
    spoken = list(islice(sentences(), MAX_REPEATS + NUM_WARM_UP + 1))
    texts = list(islice(passages(), MAX_REPEATS))
    assert {len(sentence) for sentence in spoken} == {42}
    assert {len(text) for text in texts} == {PASSAGE_LENGTH}
    assert len(set(spoken)) == len(spoken)
    assert len(set(texts)) == MAX_REPEATS
    assert not any(sentence in texts[0] for sentence in spoken)


def test_the_frontend_is_timed_next_to_the_plain_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-text", "--repeats", "2"]) == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[4:]]
    assert rows[0][0].startswith("text frontend")
    assert "jieba with HMM, pypinyin" in rows[1][0]
    for row in rows[:2]:
        start_s, memory_mb, *times_ms = map(float, row[1:])
        assert 0 < start_s < 60
        assert 10 < memory_mb < 250
        assert all(time_ms > 0 for time_ms in times_ms)
        assert times_ms[2] > times_ms[0]


@pytest.mark.parametrize("repeats", [0, MAX_REPEATS + 1])
def test_repeats_are_bounded(repeats: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-text", "--repeats", str(repeats)]) == 1
    assert f"1 to {MAX_REPEATS}" in capsys.readouterr().err

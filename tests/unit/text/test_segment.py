"""Words are cut as jieba cuts them: the model for polyphones was trained on those cuts."""

from __future__ import annotations

from pathlib import Path

import jieba
import pytest

from pipeline.text.segment import load_segmenter, numbers_of, tags_between, tags_of

CASES = Path(__file__).parent / "cases"
MIXED = [
    "我来到北京清华大学",
    "今天花了3.5元买T恤，去4S店看C++和iPhone 15，50%off！\r\n卡拉OK 103 184-8号",
    "他来到了网易杭研大厦，李小福是创新办主任也是云计算方面的专家",
    "成年的㺢㹢狓重约𠀀𠀁😀",
    "捏㕶䏲攘范跪衫宠瘴，㚌㧗籇",
    "我们在办公室训练一个小模型，用了两块GPU。",
    "",
]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> jieba.Tokenizer:
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(tmp_path_factory.mktemp("jieba"))
    return tokenizer


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rows = [line for name in ("zh", "spans") for line in (CASES / f"{name}.tsv").read_text("utf-8").splitlines()]
    return [*MIXED, *rows]


def test_any_text_is_cut_as_jieba_does_without_its_model(reference: jieba.Tokenizer, texts: list[str]) -> None:
    assert len(texts) > 200
    for text in texts:
        assert load_segmenter().cut(text) == list(reference.cut(text, HMM=False))


def test_half_a_surrogate_pair_is_a_word_of_its_own() -> None:
    assert load_segmenter().cut("你好\ud800世界") == ["你好", "?", "世界"]


def test_tags_tell_whether_a_character_is_a_word_or_begins_continues_or_ends_one() -> None:
    words = ["好", "图书馆", "在", "哪里"]
    assert numbers_of(words) == [0, 1, 1, 1, 2, 3, 3]
    assert list(tags_of(words)) == [0, 1, 2, 3, 0, 1, 3]
    assert tags_of([]) == tags_between(b"", 0, 9) == b""


def test_words_that_a_part_cuts_begin_and_end_there() -> None:
    tags = tags_of(["甲乙丙丁", "戊己"])
    assert [list(tags_between(tags, *part)) for part in ((0, 2), (1, 3), (2, 3), (3, 5), (4, 9))] == [
        [1, 3], [1, 3], [0], [0, 0], [1, 3],
    ]  # fmt: skip

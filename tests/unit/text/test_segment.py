"""Words are cut as jieba cuts them: the bundled voice was trained on those cuts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jieba
import pytest

from pipeline.text.segment import load_segmenter

EXAMPLES = json.loads((Path(__file__).parents[2] / "golden" / "phoneme" / "examples.json").read_text("utf-8"))
CASES = Path(__file__).parent / "cases"
MIXED = [
    "我来到北京清华大学",
    "今天花了3.5元买T恤，去4S店看C++和iPhone 15，50%off！\r\n卡拉OK 103 184-8号",
    "他来到了网易杭研大厦，李小福是创新办主任也是云计算方面的专家",
    "成年的㺢㹢狓重约𠀀𠀁😀",
    "捏㕶䏲攘范跪衫宠瘴，㚌㧗籇",
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
    return [*MIXED, *(example["text"] for example in EXAMPLES), *rows]


def test_any_text_is_cut_as_jieba_does_without_its_model(reference: jieba.Tokenizer, texts: list[str]) -> None:
    for text in texts:
        assert load_segmenter().cut(text, HMM=False) == list(reference.cut(text, HMM=False))


def test_hanzi_are_cut_as_jieba_does_with_its_model(reference: jieba.Tokenizer, texts: list[str]) -> None:
    runs = [run for text in texts for run in re.findall("[\u3400-\u9fff]+", text)]
    assert len(runs) > 500
    for run in runs:
        assert load_segmenter().cut(run) == list(reference.cut(run))


@pytest.mark.parametrize("HMM", [False, True])
def test_half_a_surrogate_pair_is_a_word_of_its_own(HMM: bool) -> None:
    assert load_segmenter().cut("你好\ud800世界", HMM=HMM) == ["你好", "?", "世界"]

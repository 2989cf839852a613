"""Pieces are bounded, lose nothing, and break where a reader would."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest

from pipeline.text.split import split

SENTENCE = "这是一个普通长度的句子用来测试切分。"
CLAUSE = "今天天气很好，我们去公园吧，顺便吃个饭，然后回家睡觉，明天再说。"


def spoken(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


@pytest.mark.parametrize("text", ["", " \n ", "。。。！！！", "……", "?!", "“”", "😀"])
def test_marks_alone_give_nothing(text: str) -> None:
    assert split(text, 80) == []


def test_short_sentences_share_a_piece() -> None:
    text = "今天天气很好。我们去公园吧！好不好？"
    assert split(text, 80) == [text]


@pytest.mark.parametrize("max_length", [10, 30, 80])
@pytest.mark.parametrize(
    "text",
    [SENTENCE * 20, CLAUSE * 9, "没有标点的一句话" * 40, "好。" * 100, "word " * 200, "x" * 700, "안녕하세요. " * 60],
)
def test_pieces_are_bounded_and_nothing_is_lost(text: str, max_length: int) -> None:
    pieces = split(text, max_length)
    longest = max_length * (1.1 if any(ord(char) > 0x2E7F for char in text) else 3.3)
    assert all(0 < len(piece) <= longest for piece in pieces)
    assert spoken("".join(pieces)) == spoken(text)


def test_pieces_of_a_long_text_are_of_like_length() -> None:
    lengths = [len(piece) for piece in split(SENTENCE * 21, 80)]
    assert min(lengths) >= 40


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("价格是3.14元，共1,234,567.89元，比例16:9，时间3：30。", ["3.14", "1,234,567.89", "16:9", "3：30"]),
        ("网址是https://www.example.com/a.b?c=1,2!d，请查看。", ["https://www.example.com/a.b?c=1,2!d"]),
        ("Dr. Smith lives in the U.S. today. J. K. Rowling, e.g., is Mr. X.", ["Dr. Smith", "U.S. today",
            "J. K. Rowling", "e.g.", "Mr. X"]),
        ("什么？！真的吗？！好吧……嗯。", ["什么？！", "真的吗？！", "好吧……"]),
        ("（这是括号里的话。）然后继续说下去。", ["。）"]),
        ("他说：“走吧。”然后就走了。", ["。”"]),
        ('He said "Go." Then he left. version 2.0.1 of it', ['"Go."', "2.0.1"]),
        ("The price is 3.5 dollars. OK.", ["3.5"]),
        ("他在2024年12月25日买了1000000个橘子和3000000个苹果还有别的东西", ["2024年12月25日", "1000000个"]),
    ],
)  # fmt: skip
def test_what_belongs_together_is_not_broken(text: str, kept: list[str]) -> None:
    # The length is that of the longest thing to keep, so that breaks are wanted everywhere else.
    pieces = split(text, max(12, *(len(part) + 2 for part in kept)))
    assert [part for part in kept if not any(part in piece for piece in pieces)] == []


def test_lines_are_pieces() -> None:
    assert split("第一行\n第二行\n\n第三行", 80) == ["第一行", "第二行", "第三行"]


def test_in_a_long_text_a_line_of_a_few_letters_joins_its_neighbour() -> None:
    pieces = split(f"春晓\n{SENTENCE * 6}\n完", 80)
    assert pieces[0].startswith("春晓\n这是")
    assert pieces[-1].endswith("\n完")


def test_no_piece_starts_with_a_closing_mark() -> None:
    for max_length in range(4, 40):
        assert not [
            piece
            for piece in split(CLAUSE + "“好的。”他说（真的）：3:30-5:30；走。", max_length)
            if piece[0] in "，。；：”）"
        ]


def test_a_short_first_piece_ends_at_a_clause() -> None:
    pieces = split(CLAUSE * 4, 80, first_length=12)
    assert pieces[0] == "今天天气很好，"
    assert "".join(pieces) == CLAUSE * 4


def test_the_first_piece_is_whole_where_no_clause_is_short_enough() -> None:
    assert split(SENTENCE * 3, 80, first_length=5)[0] == SENTENCE


def test_a_long_clause_breaks_where_words_end() -> None:
    words = ["我们", "一起", "去", "公园", "散步", "然后", "回家", "吃", "火锅"] * 3

    ends = list(accumulate(map(len, words)))

    def word_ends(clauses: Sequence[str]) -> list[list[int]]:
        assert clauses == ["".join(words)]
        return [ends]

    pieces = split("".join(words), 7, word_ends=word_ends)
    boundaries = {sum(map(len, pieces[:i])) for i in range(1, len(pieces))}
    assert boundaries <= set(ends)
    assert max(map(len, pieces)) <= 7


def test_an_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError, match="max_length is 0"):
        split("你好", 0)


def test_a_short_tail_of_a_line_joins_without_a_line_break() -> None:
    text = "一二三四五六七八九十一二三四五六七八九十。好。"
    assert split(text, 21) == [text]


@pytest.mark.parametrize("text", ["你好<|endoftext|>世界", "<|zh|>你好世界", "你好<|世界|>", "你好<|<|x|>|>世界"])
def test_control_tokens_never_reach_the_model(text: str) -> None:
    assert not [piece for piece in split(text, 80) if "<|" in piece or "|>" in piece]

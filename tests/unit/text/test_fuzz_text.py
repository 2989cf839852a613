"""Any string at all goes through, in bounded time."""

from __future__ import annotations

import random
import time

import pytest

from pipeline.bench import text_fuzz
from pipeline.bench.text_fuzz import FuzzReport, fuzz
from pipeline.errors import InvalidRequest
from pipeline.text.normalize import LANGUAGES, normalize
from pipeline.text.spans import passages, spans
from pipeline.text.split import split

ALPHABETS = (
    "0123456789",
    "0123456789.,:-/%~+ ",
    "abXYZ019@._-/:?=&#%",
    "今年月日点分元个第号2024:.-/至到¥$(（",
    "\u0000\u200b\ufe0f\u20e3😀👍🏻👨‍👩\ud83d",
    "あいうカタ漢字ー〜한국어시개嘅咗",
    "+-×÷=<>≤≥²³√₂^*_`[]()<>#|~\\",
    "IVXⅣ①½℃㎡№㍿",
    "Dr. Mr. e.g. U.S. St. p.m. ",
    "。！？…，、；：“”「」（） \n\t",
)
MAX_S_PER_1000_CHARS = 0.05
SLACK = 4  # a busy machine is slower; what is not linear is slower by far more


def random_text(rng: random.Random) -> str:
    length = rng.choice((1, 2, 5, 10, 20, 40))
    kind = rng.random()
    if kind < 0.25:
        return "".join(chr(rng.choice((rng.randrange(0x110000), rng.randrange(0x3000)))) for _ in range(length))
    alphabet = rng.choice(ALPHABETS) if kind < 0.6 else "".join(ALPHABETS)
    return "".join(rng.choice(alphabet) for _ in range(length))


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_string_is_normalized(language: str) -> None:
    rng = random.Random(f"normalize {language}")
    for _ in range(400):
        text = random_text(rng)
        said = normalize(text, language)
        assert not any("\ud800" <= char <= "\udfff" for char in said)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["x^፰", "0½", "x²⁻³", "٣ and ३", "²³¼①", "𝟏𝟐", "1\u0301", "①.②", "9\u20e3"])
def test_digits_of_other_kinds_are_no_surprise(text: str, language: str) -> None:
    assert not any(char.isdecimal() for char in normalize(text, language))


def test_any_string_is_cut_into_spans_that_join_to_it() -> None:
    rng = random.Random("spans")
    for _ in range(1000):
        text = random_text(rng)
        assert "".join(part for part, _ in spans(text)) == text
        assert "".join(part for part, _ in passages(text)) == text


def test_any_string_is_split_without_losing_a_letter() -> None:
    rng = random.Random("split")
    for _ in range(1000):
        text = random_text(rng).replace("<|", "<").replace("|>", ">")
        pieces = split(text, rng.choice((3, 20, 80)), rng.choice((None, 8)))
        assert [c for c in "".join(pieces) if c.isalnum()] == [c for c in text if c.isalnum()]
        assert all(any(c.isalnum() for c in piece) for piece in pieces)


def test_any_string_goes_through_the_whole_frontend() -> None:
    result = fuzz(400, seed=1)
    assert (result.num_strings, result.failures) == (400, [])
    assert 0 < result.worst[0] < SLACK
    assert result.num_refused < 200


def test_the_fuzz_run_counts_refusals_failures_and_slow_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    result = FuzzReport()

    def call(error: Exception | None) -> object:
        if error is not None:
            raise error
        return sum(range(200_000))

    for error in (None, InvalidRequest("no"), ValueError("oops")):
        text_fuzz._try(lambda error=error: call(error), "a" * 100, result)
    assert (result.num_refused, len(result.failures), result.slow) == (1, 1, [])
    assert "oops" in result.failures[0]
    monkeypatch.setattr(text_fuzz, "MAX_S_PER_CHARACTER", 1e-9)
    text_fuzz._try(lambda: call(None), "b", result)
    assert [text for _, text in result.slow] == ["b"]
    assert "1 above the limit" in str(result)


UNITS = (
    "1", "1-", "1.", "1,", "1:", "1/", "a@", "a.", "a-", "http://", "www.a", "(", "<", "[](", "**", "#a", "&a;", " ",
        "\n", "'", "9 ", "I", "½",
    "。", "“", "漢", "X漢", "あ漢", "1年", "$1", "+1 ", "1%~", "-1", "²", "_", "~~", "| - ", "...", ". ", "．", "？",
        "A.",
        "1e", "1x",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_repetition_takes_bounded_time(unit: str) -> None:
    text = (unit * 1000)[:1000]
    for call in (*(lambda t, name=name: normalize(t, name) for name in LANGUAGES), spans, lambda t: split(t, 80)):
        call("1a")
        assert seconds(call, text) < SLACK * MAX_S_PER_1000_CHARS


def seconds(call, text: str) -> float:
    """CPU seconds of the fastest of up to three calls."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        call(text)
        best = min(best, time.process_time() - start)
        if best < MAX_S_PER_1000_CHARS:
            break
    return best

"""What is spoken while measuring."""

from __future__ import annotations

import pytest

from pipeline.bench.workload import SENTENCE, num_speech_tokens, of_fixed_length, pieces_of, text_of, utterances_of
from pipeline.runtime.bundle import Bundle


def test_the_sentence_of_the_table_has_42_characters_of_two_scripts() -> None:
    assert len(SENTENCE) == 42
    assert any(char.isascii() and char.isalpha() for char in SENTENCE)


@pytest.mark.parametrize(("duration_s", "length"), [(2.0, 9), (9.0, 40), (60.0, 270)])
def test_a_text_is_as_long_as_it_takes_to_speak(duration_s: float, length: int) -> None:
    assert len(text_of(duration_s)) == length


@pytest.mark.parametrize("duration_s", [4.0, 30.0])
def test_the_pieces_of_a_text_share_its_speech_as_the_product_makes_them(bundle: Bundle, duration_s: float) -> None:
    text = text_of(duration_s)
    pieces, utterances = pieces_of(bundle, text, duration_s), utterances_of(bundle, text)
    assert [tuple(piece["text_ids"]) for piece in pieces] == [utterance.text_ids for utterance in utterances]
    num_tokens = sum(piece["num_tokens"] for piece in pieces)
    assert num_tokens == pytest.approx(num_speech_tokens(bundle, duration_s), abs=len(pieces))
    with of_fixed_length(bundle, utterances, duration_s) as fixed:
        rate = fixed.manifest.lm.max_speech_per_text
    assert [piece["num_tokens"] for piece in pieces] == [int(rate * len(piece["text_ids"])) for piece in pieces]


@pytest.mark.parametrize("duration_s", [0.4, 4.0, 9.3])
def test_both_bounds_on_the_number_of_speech_tokens_meet(bundle: Bundle, duration_s: float) -> None:
    (utterance,) = utterances_of(bundle, "你好。")
    with of_fixed_length(bundle, [utterance], duration_s) as fixed:
        lm = fixed.manifest.lm
        assert lm.min_speech_per_text == lm.max_speech_per_text
        num_tokens = int(lm.max_speech_per_text * len(utterance.text_ids))
        assert num_tokens == num_speech_tokens(bundle, duration_s)
    assert not fixed.path.exists()

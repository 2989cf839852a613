"""A prefill in chunks gives the bits of a prefill at once, whatever happens between the chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM, chunk_bounds
from pipeline.errors import InvalidRequest
from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import lm_spec
from pipeline.export.lm_cache_scales import measure_cache_scales
from pipeline.export.lm_graph import build_lm_graphs
from pipeline.runtime.bundle import Precision
from pipeline.types import F32

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
CHUNK = 16


@pytest.fixture(
    scope="module", params=[("fp32", False), ("fp32", True), ("int8", False), ("int8", True), ("int4", True)]
)
def lm(request: pytest.FixtureRequest) -> OnnxSpeechLM:
    """In each precision, with a cache of floats and of 8 bits; three slots."""
    precision: Precision
    precision, has_small_cache = request.param
    model = load_checkpoint(REFERENCE).llm
    config = model.config
    speaker = np.random.default_rng(6).standard_normal(config.speaker_size, np.float32)
    scales = measure_cache_scales(model, [speaker]) if has_small_cache else None
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    models = build_lm_graphs(state, config, precision, scales)
    graphs = {name: graph.SerializeToString() for name, graph in models.items()}
    return OnnxSpeechLM.from_graphs(graphs, lm_spec(config), max_batch_size=3, max_context=200)


def prompt_of(num_text: int, num_speech: int, seed: int = 0) -> LMPrompt:
    random = np.random.default_rng(seed)
    speaker = random.standard_normal(192, np.float32)
    return LMPrompt(random.integers(0, 40, num_text), speaker, random.integers(0, 40, num_speech))


def in_chunks(lm: OnnxSpeechLM, prompt: LMPrompt) -> F32:
    *nothing, logits = lm.prefill_in_chunks(prompt, CHUNK)
    assert nothing == [None] * -(-prompt.num_positions // CHUNK)
    assert logits is not None
    return logits


@pytest.mark.parametrize(("num_text", "num_speech"), [(13, 0), (14, 0), (37, 0), (30, 71), (2, 90)])
def test_a_sequence_goes_on_with_the_same_bits(lm: OnnxSpeechLM, num_text: int, num_speech: int) -> None:
    prompt = prompt_of(num_text, num_speech)
    expected = [lm.prefill([prompt]), *(lm.decode(np.array([token])) for token in (5, 9, 2))]
    lm.retire(0)
    given = [in_chunks(lm, prompt), *(lm.decode(np.array([token])) for token in (5, 9, 2))]
    lm.retire(0)
    np.testing.assert_array_equal(given, expected)


def test_running_sequences_and_the_one_under_way_do_not_touch_each_other(lm: OnnxSpeechLM) -> None:
    first, second, long = prompt_of(9, 0, 1), prompt_of(20, 3, 2), prompt_of(50, 20, 3)
    lm.prefill([second])
    expected_second = [lm.decode(np.array([token]))[0] for token in range(6)]
    lm.retire(0)
    lm.prefill([long])
    expected_long = lm.decode(np.array([7]))[0]
    lm.retire(0)

    lm.prefill([first])
    lm.prefill([second])
    parts, given = lm.prefill_in_chunks(long, CHUNK), []
    for step in range(5):
        assert next(parts) is None
        given.append(lm.decode(np.array([4, step] if step < 2 else [step]))[-1])
        if step == 1:
            lm.retire(0)  # the second moves into the first slot
    assert next(parts) is not None
    both = lm.decode(np.array([5, 7]))
    np.testing.assert_array_equal([*given, both[0]], expected_second)
    np.testing.assert_array_equal(both[1], expected_long)
    lm.retire(1)
    lm.retire(0)


def test_dropped_early_it_leaves_nothing_behind(lm: OnnxSpeechLM) -> None:
    parts = lm.prefill_in_chunks(prompt_of(50, 0), CHUNK)
    next(parts)
    next(parts)
    assert lm.num_running == 0


def test_a_prompt_that_the_context_cannot_hold_is_refused_in_the_first_turn(lm: OnnxSpeechLM) -> None:
    with pytest.raises(InvalidRequest, match="max_context is 200"):
        next(lm.prefill_in_chunks(prompt_of(100, 100), CHUNK))


@pytest.mark.parametrize(("num_positions", "first"), [(16, 16), (17, 1), (33, 1), (40, 8), (48, 16)])
def test_only_the_first_chunk_is_short(num_positions: int, first: int) -> None:
    bounds = list(chunk_bounds(num_positions, CHUNK))
    assert bounds[0] == (0, first)
    assert all(stop - start == CHUNK for start, stop in bounds[1:])
    assert [start for start, _ in bounds[1:]] + [num_positions] == [stop for _, stop in bounds]


def test_warming_up_leaves_nothing_running_and_changes_no_bit(lm: OnnxSpeechLM) -> None:
    prompt = prompt_of(20, 0)
    before = lm.prefill([prompt])
    lm.retire(0)
    lm.warm_up()
    assert lm.num_running == 0
    np.testing.assert_array_equal(lm.prefill([prompt]), before)
    lm.retire(0)

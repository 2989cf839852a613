"""The ONNX speech LM against golden arrays, and the same bits for a sequence alone and in any batch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from pipeline.acoustic.lm_tables import LMTables, sinusoids
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM, most_threads
from pipeline.errors import InvalidRequest, Overloaded
from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import lm_spec
from pipeline.export.lm_cache_scales import measure_cache_scales
from pipeline.export.lm_graph import build_lm_graphs
from pipeline.model.config import LMConfig
from pipeline.model.lm import TransformerLM
from pipeline.runtime.bundle import Precision
from pipeline.types import F32, I64

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
NO_SPEECH: I64 = np.zeros(0, np.int64)
TOLERANCE = 1e-4


def open_lm(
    model: TransformerLM, precision: Precision = "fp32", *, has_small_cache: bool = False, **options: Any
) -> OnnxSpeechLM:
    config = model.config
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    speaker = np.random.default_rng(6).standard_normal(config.speaker_size, np.float32)
    scales = measure_cache_scales(model, [speaker]) if has_small_cache else None
    models = build_lm_graphs(state, config, precision, scales)
    graphs = {name: graph.SerializeToString() for name, graph in models.items()}
    return OnnxSpeechLM.from_graphs(graphs, lm_spec(config), **options)


@pytest.fixture(scope="module")
def reference() -> TransformerLM:
    return load_checkpoint(REFERENCE).llm


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def prompt(golden: dict[str, np.ndarray]) -> LMPrompt:
    return LMPrompt(golden["text"][0], golden["spk_embedding"][0], NO_SPEECH)


@pytest.fixture
def lm(reference: TransformerLM) -> OnnxSpeechLM:
    return open_lm(reference, max_batch_size=3, max_context=128)


def forced_logits(lm: OnnxSpeechLM, prompt: LMPrompt, tokens: I64) -> F32:
    """What the sequence gets alone: f32 [1 + S, num_speech_tokens + 1]."""
    rows = [lm.prefill([prompt])[0]]
    rows += [lm.decode(tokens[index : index + 1])[0] for index in range(len(tokens))]
    lm.retire(lm.num_running - 1)
    return np.stack(rows)


def log_softmax(logits: F32) -> F32:
    return torch.from_numpy(logits).log_softmax(dim=-1).numpy()


def test_the_text_encoder_matches_the_official_one(
    lm: OnnxSpeechLM, prompt: LMPrompt, golden: dict[str, np.ndarray]
) -> None:
    encoded, num_text = lm.prefix([prompt]), len(prompt.text_ids)
    np.testing.assert_allclose(
        encoded.text_encoder_out[:, :num_text], golden["lm.text_encoder_out"], atol=TOLERANCE, rtol=0
    )
    np.testing.assert_allclose(
        encoded.prefill_input[:, : num_text + 3], golden["lm.prefill_input"], atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize(
    ("precision", "has_small_cache", "tolerance"),
    [
        ("fp32", False, TOLERANCE),
        ("fp32", True, 0.02),
        ("int8", False, 0.03),
        ("int8", True, 0.04),
        ("int4", True, 0.08),
    ],
)
def test_log_probabilities_through_the_cache_match_the_official_ones(
    reference: TransformerLM,
    prompt: LMPrompt,
    golden: dict[str, np.ndarray],
    precision: Precision,
    has_small_cache: bool,
    tolerance: float,
) -> None:
    lm = open_lm(reference, precision, has_small_cache=has_small_cache)
    logits = forced_logits(lm, prompt, golden["speech_tokens"][0, :-1])
    np.testing.assert_allclose(log_softmax(logits), golden["lm.log_probs"], atol=tolerance, rtol=0)


def test_greedy_tokens_equal_the_official_ones(
    lm: OnnxSpeechLM, prompt: LMPrompt, golden: dict[str, np.ndarray]
) -> None:
    logits, tokens = lm.prefill([prompt]), []
    for _ in golden["lm.greedy_tokens"]:
        tokens.append(int(logits[0, :-1].argmax()))
        logits = lm.decode(np.array(tokens[-1:]))
    assert tokens == golden["lm.greedy_tokens"].tolist()


def test_a_speech_prefix_is_the_same_as_decoding_it(
    lm: OnnxSpeechLM, prompt: LMPrompt, golden: dict[str, np.ndarray]
) -> None:
    tokens = golden["speech_tokens"][0, :20]
    at_once = lm.prefill([dataclasses.replace(prompt, speech_prefix=tokens)])[0]
    lm.retire(0)
    np.testing.assert_allclose(at_once, forced_logits(lm, prompt, tokens)[-1], atol=TOLERANCE, rtol=0)


def wide_config(base: LMConfig, **decoder: object) -> LMConfig:
    """Wide enough for matrix products that are cut into blocks: 5 heads of 64, 640 channels inside."""
    sizes = {"input_size": 32, "hidden_size": 320, "num_heads": 5, "ff_size": 640, "num_layers": 2, **decoder}
    encoder = dataclasses.replace(base.decoder, **sizes)
    return dataclasses.replace(base, decoder=encoder, output_size=encoder.hidden_size)


@pytest.fixture(scope="module")
def wide(reference: TransformerLM) -> TransformerLM:
    torch.manual_seed(1)
    return TransformerLM(wide_config(reference.config)).eval()


def examples(config: LMConfig) -> list[tuple[LMPrompt, I64]]:
    """Prompts of very different lengths, some with speech, and the tokens that follow."""
    random = np.random.default_rng(5)
    sizes = ((1, 0, 9), (17, 0, 30), (40, 100, 12), (3, 0, 21), (33, 0, 5), (8, 30, 14), (2, 0, 3), (61, 0, 17))
    return [
        (
            LMPrompt(
                random.integers(0, config.num_text_tokens, num_text),
                random.standard_normal(config.speaker_size, np.float32),
                random.integers(0, config.num_speech_tokens, num_speech),
            ),
            random.integers(0, config.num_speech_tokens, num_tokens),
        )
        for num_text, num_speech, num_tokens in sizes
    ]


def serve_together(lm: OnnxSpeechLM, cases: Sequence[tuple[LMPrompt, I64]], max_batch_size: int) -> list[F32]:
    """Sequences join one to three at a time while others run, and leave when their tokens are used up."""
    logits: list[list[F32]] = [[] for _ in cases]
    waiting, running = list(range(len(cases))), []
    step = 0
    while waiting or running:
        size = min(1 + step % 3, len(waiting), max_batch_size - len(running))
        if size and step % 2 == 0:
            joining, waiting = waiting[:size], waiting[size:]
            for index, row in zip(joining, lm.prefill([cases[index][0] for index in joining]), strict=True):
                logits[index].append(row)
            running += joining
        rows = lm.decode(np.array([cases[index][1][len(logits[index]) - 1] for index in running]))
        for index, row in zip(running, rows, strict=True):
            logits[index].append(row)
        for slot in reversed(range(len(running))):
            if len(logits[running[slot]]) > len(cases[running[slot]][1]):
                lm.retire(slot)
                running[slot] = running[-1]
                running.pop()
        step += 1
    return [np.stack(rows) for rows in logits]


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("has_small_cache", [False, True])
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_sequence_gets_the_same_bits_alone_and_in_any_batch(
    wide: TransformerLM, precision: Precision, has_small_cache: bool, num_threads: int
) -> None:
    sizes = {"num_threads": num_threads, "max_batch_size": 5, "max_context": 256}
    lm = open_lm(wide, precision, has_small_cache=has_small_cache, **sizes)
    cases = examples(wide.config)
    alone = [forced_logits(lm, *case) for case in cases]
    for expected, together in zip(alone, serve_together(lm, cases, 5), strict=True):
        np.testing.assert_array_equal(together, expected)


@pytest.mark.parametrize("has_small_cache", [False, True])
@pytest.mark.parametrize("precision", get_args(Precision))
def test_a_run_that_is_alone_takes_more_threads_for_the_same_bits(
    wide: TransformerLM, precision: Precision, has_small_cache: bool
) -> None:
    turns = itertools.cycle([True, False, True])
    sizes = {"max_batch_size": 5, "max_context": 256, "has_small_cache": has_small_cache}
    lm = open_lm(wide, precision, **sizes)
    changing = open_lm(wide, precision, max_threads=2, is_alone=lambda: next(turns), **sizes)
    cases = examples(wide.config)
    for expected, changed in zip(serve_together(lm, cases, 5), serve_together(changing, cases, 5), strict=True):
        np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize(("precision", "has_small_cache"), [("fp32", False), ("fp32", True), ("int4", True)])
@pytest.mark.parametrize("decoder", [{"num_heads": 1, "hidden_size": 20}, {"num_heads": 2, "hidden_size": 260}])
def test_unusual_heads_get_the_same_bits_in_a_batch_too(
    reference: TransformerLM, decoder: dict[str, int], precision: Precision, has_small_cache: bool
) -> None:
    torch.manual_seed(2)
    model = TransformerLM(wide_config(reference.config, **decoder)).eval()
    lm = open_lm(model, precision, has_small_cache=has_small_cache, max_batch_size=5, max_context=256)
    cases = examples(model.config)
    alone = [forced_logits(lm, *case) for case in cases]
    for expected, together in zip(alone, serve_together(lm, cases, 5), strict=True):
        np.testing.assert_array_equal(together, expected)


def test_a_cache_of_eight_bits_takes_a_quarter_of_the_memory(reference: TransformerLM) -> None:
    small = open_lm(reference, has_small_cache=True)
    assert 4 * small.position_size == open_lm(reference).position_size


def test_logits_of_a_step_outlive_the_next_one(lm: OnnxSpeechLM, prompt: LMPrompt) -> None:
    lm.prefill([prompt])
    first = lm.decode(np.array([1]))
    kept = first.copy()
    lm.decode(np.array([2]))
    np.testing.assert_array_equal(first, kept)


def test_every_running_sequence_needs_its_token(lm: OnnxSpeechLM, prompt: LMPrompt) -> None:
    lm.prefill([prompt, prompt])
    with pytest.raises(ValueError, match="does not match"):
        lm.decode(np.array([1]))


def test_a_prompt_longer_than_the_context_is_refused_with_its_sizes(lm: OnnxSpeechLM, prompt: LMPrompt) -> None:
    long = dataclasses.replace(prompt, text_ids=np.zeros(120, np.int64), speech_prefix=np.zeros(6, np.int64))
    with pytest.raises(InvalidRequest, match=r"120 text tokens and 6 prompt tokens take 129 .* max_context is 128"):
        lm.prefill([long])


def test_a_sequence_fills_the_context_and_no_more(lm: OnnxSpeechLM, prompt: LMPrompt) -> None:
    lm.prefill([dataclasses.replace(prompt, text_ids=np.zeros(124, np.int64))])
    lm.decode(np.array([0]))
    with pytest.raises(InvalidRequest, match="128 positions cannot grow past max_context"):
        lm.decode(np.array([0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_ids": np.array([3, 97])}, "text token ids are 3 to 97, this model knows 0 to 96"),
        ({"text_ids": NO_SPEECH}, "text token ids are none"),
        ({"speech_prefix": np.array([-1])}, "speech token ids are -1 to -1"),
        ({"speaker": np.zeros(7, np.float32)}, r"embedding of shape \(7,\) does not fit"),
    ],
)
def test_what_the_model_cannot_read_is_refused_before_it_starts(
    lm: OnnxSpeechLM, prompt: LMPrompt, change: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        lm.prefill([prompt, dataclasses.replace(prompt, **change)])
    assert lm.num_running == 0


def test_more_sequences_than_slots_are_refused(lm: OnnxSpeechLM, prompt: LMPrompt) -> None:
    lm.prefill([prompt, prompt])
    with pytest.raises(Overloaded, match="2 sequences do not fit into 1 free slots"):
        lm.prefill([prompt, prompt])


@pytest.mark.parametrize(
    ("num_distances", "size"),
    [(1, 128), (128, 128), (129, 192), (193, 256), (257, 384), (385, 512), (800, 1000), (1000, 1000)],
)
def test_tables_grow_in_few_sizes_up_to_the_context(num_distances: int, size: int) -> None:
    whole = np.arange(2 * 4 * 1000, dtype=np.float32).reshape(2, 4, 1000)
    tables = LMTables(np.zeros((1, 8), np.float32), [whole])
    assert tables.bucket(num_distances) == size
    (table,) = tables.relative(size)
    np.testing.assert_array_equal(table, whole[:, :, :size])


def test_no_head_is_shared_by_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert most_threads(4) == 4
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "cpu_atom")
    assert (most_threads(16), most_threads(2)) == (4, 1)


def test_sinusoids_are_sines_and_cosines_side_by_side() -> None:
    encoding = sinusoids(np.array([-3, 0, 5]), 4)
    angles = np.array([-3, 0, 5])[:, None] * np.array([1, 0.01])
    expected = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(3, 4)
    np.testing.assert_allclose(encoding, expected, atol=1e-6)

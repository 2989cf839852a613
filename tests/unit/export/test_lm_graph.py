"""LM graphs of all kinds of dimensions against torch, and padding that changes no bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.acoustic.lm_tables import sinusoids
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.export.export import lm_spec
from pipeline.export.lm_graph import build_lm_graphs, padded_head_dim
from pipeline.export.lm_prefix_graph import build_lm_prefix
from pipeline.model.config import read_config
from pipeline.model.lm import TransformerLM
from pipeline.runtime.session import Session, make_session
from pipeline.types import F32, I64

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small" / "cosyvoice.yaml"
TOLERANCE = 1e-5


def make_model(text_encoder: dict[str, Any] | None = None, decoder: dict[str, Any] | None = None) -> TransformerLM:
    """A small model with random weights, also for biases and norms."""
    config = read_config(REFERENCE).lm
    changed = dataclasses.replace(
        config,
        text_encoder=dataclasses.replace(config.text_encoder, **text_encoder or {}),
        decoder=dataclasses.replace(config.decoder, **decoder or {}),
    )
    changed = dataclasses.replace(changed, output_size=changed.decoder.hidden_size)
    torch.manual_seed(3)
    model = TransformerLM(changed).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def state_of(model: TransformerLM) -> dict[str, F32]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def run_prefix(session: Session, text: I64, lengths: list[int], speakers: F32, width: int) -> dict[str, F32]:
    padded = np.zeros((len(text), width), np.int64)
    for row, source, length in zip(padded, text, lengths, strict=True):
        row[:length] = source[:length]
        row[length:] = 5  # padding that would be seen if it were read
    hidden_size = int(session.inputs["position_encoding"][1])
    return session.run(
        {
            "text": padded,
            "text_length": np.array(lengths),
            "speaker": speakers,
            "position_encoding": sinusoids(np.arange(1 - width, width), hidden_size),
        }
    )


TEXT_ENCODERS: dict[str, dict[str, Any]] = {
    "causal": {},
    "chunks of 3": {"static_chunk_size": 3},
    "everything seen": {"static_chunk_size": 0, "activation": "gelu"},
    "norm after": {"normalize_before": False, "kind": "transformer"},
    "one head, no key bias": {"num_heads": 1, "hidden_size": 30, "has_key_bias": False, "activation": "relu"},
    "legacy input, long heads": {"num_heads": 2, "hidden_size": 140, "input_layer": "linear_legacy"},
}


@pytest.fixture(scope="module", params=TEXT_ENCODERS.values(), ids=TEXT_ENCODERS.keys())
def prefix_model(request: pytest.FixtureRequest) -> TransformerLM:
    return make_model(text_encoder=request.param)


@pytest.fixture(scope="module")
def prefix(prefix_model: TransformerLM) -> Session:
    graph = build_lm_prefix(state_of(prefix_model), prefix_model.config)
    return make_session(graph.SerializeToString(), num_threads=1)


@pytest.fixture(scope="module")
def texts() -> tuple[I64, list[int], F32]:
    random = np.random.default_rng(0)
    return random.integers(0, 97, (4, 23)), [23, 4, 11, 1], random.standard_normal((4, 192), np.float32)


def test_the_prefix_matches_torch(
    prefix: Session, prefix_model: TransformerLM, texts: tuple[I64, list[int], F32]
) -> None:
    text, lengths, speakers = texts
    outputs = run_prefix(prefix, text, lengths, speakers, 23)
    for row, length in enumerate(lengths):
        ids, speaker = torch.from_numpy(text[row : row + 1, :length]), torch.from_numpy(speakers[row : row + 1])
        with torch.inference_mode():
            encoded = prefix_model.text_encode(ids, torch.tensor([length]))[0]
            joined = prefix_model.prefill_input(ids, speaker)[0]
        np.testing.assert_allclose(outputs["text_encoder_out"][row, :length], encoded, atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(outputs["prefill_input"][row, : length + 3], joined, atol=TOLERANCE, rtol=0)


def test_other_texts_and_padding_change_no_bit_of_a_text(prefix: Session, texts: tuple[I64, list[int], F32]) -> None:
    text, lengths, speakers = texts
    together = run_prefix(prefix, text, lengths, speakers, 40)
    for row, length in enumerate(lengths):
        alone = run_prefix(prefix, text[row : row + 1], [length], speakers[row : row + 1], max(2, length))
        for name, num_extra in (("text_encoder_out", 0), ("prefill_input", 3), ("prefill_hidden", 3)):
            np.testing.assert_array_equal(
                together[name][row, : length + num_extra], alone[name][0, : length + num_extra]
            )


def test_the_task_mark_stands_right_behind_each_text(prefix: Session, prefix_model: TransformerLM) -> None:
    speakers = np.ones((2, 192), np.float32)
    rows = run_prefix(prefix, np.zeros((2, 6), np.int64), [6, 2], speakers, 6)["prefill_input"]
    sos, task = prefix_model.llm_embedding.weight.detach().numpy()
    np.testing.assert_array_equal(rows[:, 0], np.stack([sos, sos]))
    np.testing.assert_array_equal(rows[0, 8:], task[None])
    np.testing.assert_array_equal(rows[1, 4:], np.repeat(task[None], 5, axis=0))


DECODERS: dict[str, dict[str, Any]] = {
    "heads of 6, norm after": {"hidden_size": 24, "normalize_before": False},
    "conformer, no key bias": {"kind": "conformer", "activation": "swish", "has_key_bias": False, "num_layers": 1},
    "one head of 20, linear input": {"hidden_size": 20, "num_heads": 1, "input_layer": "linear"},
    "other chunks are read causally": {"static_chunk_size": 7, "hidden_size": 36, "num_heads": 3},
}


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_the_decoder_matches_torch(decoder: dict[str, Any]) -> None:
    model = make_model(decoder=decoder)
    lm = open_lm(model)
    random = np.random.default_rng(1)
    text, speaker = random.integers(0, 97, 9), random.standard_normal(192, np.float32)
    prompt_tokens, tokens = random.integers(0, 64, 5), random.integers(0, 64, 12)
    logits = [lm.prefill([LMPrompt(text, speaker, prompt_tokens)])[0]]
    logits += [lm.decode(tokens[index : index + 1])[0] for index in range(11)]
    arrays = (text, speaker, prompt_tokens, tokens)
    text_row, speaker_row, prompt_row, token_row = (torch.from_numpy(array)[None] for array in arrays)
    with torch.inference_mode():
        start = model.prefill_input(text_row, speaker_row, prompt_row)
        expected = model.teacher_forced(start, token_row)
    log_probs = torch.from_numpy(np.stack(logits)).log_softmax(dim=-1)
    np.testing.assert_allclose(log_probs, expected, atol=TOLERANCE, rtol=0)


def open_lm(model: TransformerLM) -> OnnxSpeechLM:
    config = model.config
    graphs = {
        name: graph.SerializeToString() for name, graph in build_lm_graphs(state_of(model), config, "fp32").items()
    }
    return OnnxSpeechLM.from_graphs(graphs, lm_spec(config), max_context=64)


@pytest.mark.parametrize(("head_dim", "padded"), [(8, 8), (6, 8), (64, 64), (65, 72)])
def test_heads_are_padded_to_what_the_attention_operator_takes(head_dim: int, padded: int) -> None:
    assert padded_head_dim(head_dim) == padded

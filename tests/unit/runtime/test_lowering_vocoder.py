"""The vocoder's resblocks on our operators: the same waves as on ONNX Runtime's, and what is left alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from one_node import needs_operators

from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.export.export import vocoder_spec
from pipeline.export.graph import save_model
from pipeline.export.hift_graph import build_hift_graphs
from pipeline.export.vocoder_int8 import Example, build_int8_vocoder, measure_ranges, vocoder_examples
from pipeline.runtime.bundle import Bundle
from pipeline.runtime.lowering.lower import lower
from pipeline.runtime.onnx_file import read_model
from pipeline.runtime.session import make_session
from pipeline.types import F32

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
BUNDLED = Path(__file__).parents[3] / "pipeline" / "voices" / "bundled"
MAX_LOSS_DB = 0.3  # of the distance to fp32: each rounding falls a little otherwise, and one step less is rounded


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(REFERENCE)


def examples_of(checkpoint: Checkpoint) -> list[Example]:
    spec = vocoder_spec(checkpoint.config.hift, checkpoint.hift.m_source.l_linear)
    return list(vocoder_examples(checkpoint, spec))


def ops_of(graph: Path) -> Counter[str]:
    return Counter(node.op for node in read_model(graph).graph.nodes)


def signal_to_noise_db(wave: F32, near: F32) -> float:
    return float(10 * np.log10(np.mean(wave**2) / np.mean((wave - near) ** 2)))


@needs_operators
def test_the_lowered_vocoder_is_as_near_to_fp32(checkpoint: Checkpoint, tmp_path: Path) -> None:
    config, examples = checkpoint.config.hift, examples_of(checkpoint)
    state = {name: tensor.numpy() for name, tensor in checkpoint.hift.state_dict().items()}
    models = {
        "fp32": build_hift_graphs(state, config)["vocoder"],
        "int8": build_int8_vocoder(state, config, measure_ranges(state, config, examples)),
    }
    for name, model in models.items():
        save_model(model, tmp_path / name)
    assert lower(tmp_path / "int8", tmp_path / "lowered")
    waves = {}
    for name in (*models, "lowered"):
        session = make_session(tmp_path / name, num_threads=1)
        for one in examples[:1]:
            inputs = {"mel": one.mel[None], "source": one.source[None], "context": np.zeros(2, np.int64)}
            waves[name] = session.run(inputs)["wave"]
    distances = {name: signal_to_noise_db(waves["fp32"], waves[name]) for name in ("int8", "lowered")}
    assert distances["lowered"] > distances["int8"] - MAX_LOSS_DB > 20


def test_every_resblock_of_the_bundled_vocoder_is_lowered(tmp_path: Path) -> None:
    source = Bundle.open(BUNDLED).graph("vocoder", "int8")
    before = ops_of(source)
    assert lower(source, tmp_path / "vocoder")
    after = ops_of(tmp_path / "vocoder")
    assert after["ByteConv"] + after["ByteConvAdd"] == before["QLinearConv"] > 0
    assert after["SnakeBytes"] + after["ByteConv"] == before["GatherElements"]
    assert not after.keys() & {"QLinearConv", "GatherElements", "DequantizeLinear"}


def test_a_filter_that_shortens_its_input_is_left_alone(tmp_path: Path) -> None:
    model = onnx.load(Bundle.open(BUNDLED).graph("vocoder", "int8"))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "QLinearConv" and attribute.name == "pads":
                attribute.ints[:] = [0, 0, 0, 0]
    onnx.save(model, tmp_path / "shorter")
    assert not lower(tmp_path / "shorter", tmp_path / "lowered")

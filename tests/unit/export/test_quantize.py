"""8-bit layers against exact ones, and what their scales may and may not depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from pipeline.export.channel_last import ChannelLast
from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.export.flow_graph import build_flow_graphs
from pipeline.export.graph import GraphBuilder
from pipeline.export.lm_prefix_graph import build_lm_prefix
from pipeline.export.quantize import (
    BLOCK_SIZE,
    Linear,
    int4_linear,
    int4_rectified_linear,
    int8_linear,
    int8_rectified_linear,
    int8_tensor_linear,
    quantize_blocks,
    quantize_weight,
    rectified_linear,
)
from pipeline.runtime.bundle import Precision
from pipeline.runtime.session import Session, make_session
from pipeline.types import F32

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
random = np.random.default_rng(2)
WEIGHT, BIAS = random.standard_normal((48, 100), np.float32), random.standard_normal(48, np.float32)


def session_of(graph: GraphBuilder) -> Session:
    return make_session(graph.model().SerializeToString(), num_threads=1)


def linear_session(linear: Linear, bias: F32 | None = BIAS) -> Session:
    graph = GraphBuilder("linear")
    y = linear(graph, graph.input("x", TensorProto.FLOAT, ["B", "T", 100]), "linear", WEIGHT, bias)
    graph.output("y", y, TensorProto.FLOAT, ["B", "T", 48])
    return session_of(graph)


def rms(x: F32) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


@pytest.fixture(scope="module")
def by_row() -> Session:
    return linear_session(int8_linear)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(REFERENCE)


@pytest.mark.parametrize(
    ("linear", "tolerance"), [(int8_linear, 0.02), (int8_tensor_linear, 0.02), (int4_linear, 0.12)]
)
@pytest.mark.parametrize("bias", [BIAS, None])
def test_few_bits_are_near_the_exact_product(linear: Linear, tolerance: float, bias: F32 | None) -> None:
    x = np.random.default_rng(3).standard_normal((2, 7, 100), np.float32)
    expected = x @ WEIGHT.T + (0 if bias is None else bias)
    assert rms(linear_session(linear, bias).run({"x": x})["y"] - expected) < tolerance * expected.std()


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_inputs", [100, 128, 320, 1024])
def test_a_row_of_an_even_number_does_not_depend_on_the_others_in_four_bits(num_inputs: int, num_threads: int) -> None:
    random = np.random.default_rng(9)
    x = random.standard_normal((12, num_inputs), np.float32) * np.logspace(-3, 3, 12, dtype=np.float32)[:, None]
    x[5] = 0
    graph = GraphBuilder("linear")
    weight, bias = random.standard_normal((613, num_inputs), np.float32), random.standard_normal(613, np.float32)
    y = int4_linear(graph, graph.input("x", TensorProto.FLOAT, ["B", num_inputs]), "linear", weight, bias)
    graph.output("y", y, TensorProto.FLOAT, ["B", 613])
    session = make_session(graph.model().SerializeToString(), num_threads=num_threads)
    alone = np.stack([session.run({"x": np.stack([row, np.zeros_like(row)])})["y"][0] for row in x])
    for num_rows in (2, 4, 6, 12):
        np.testing.assert_array_equal(session.run({"x": x[:num_rows]})["y"], alone[:num_rows])
    np.testing.assert_array_equal(alone[5], bias)


def test_negative_values_are_cut_off_in_four_bits_too() -> None:
    x = np.random.default_rng(8).standard_normal((2, 7, 100), np.float32)
    rectified, plain = (linear_session(linear) for linear in (int4_rectified_linear, int4_linear))
    np.testing.assert_array_equal(rectified.run({"x": x})["y"], plain.run({"x": np.maximum(x, 0)})["y"])


def test_a_block_of_four_bits_reaches_from_its_least_to_its_greatest_weight() -> None:
    weight = np.random.default_rng(6).standard_normal((3, BLOCK_SIZE + 50), np.float32)
    weight[0] *= 1000
    weight[1] = np.abs(weight[1])
    weight[2] = 0
    levels, scale, zero_point = quantize_blocks(weight)
    assert levels.shape == (3, 2, BLOCK_SIZE)
    assert (scale >= np.finfo(np.float32).tiny).all()
    assert zero_point[1].tolist() == [0, 0]
    restored = ((levels - zero_point[:, :, None].astype(np.float32)) * scale[:, :, None]).reshape(3, -1)
    steps = np.repeat(scale, BLOCK_SIZE, axis=1)
    padded = np.pad(weight, ((0, 0), (0, BLOCK_SIZE - 50)))
    assert (np.abs(restored - padded) <= 1.001 * steps).all()
    assert (np.abs(restored - padded) <= 0.501 * steps).mean() > 0.95  # the zero point is rounded, so an end may be off


def test_a_row_of_eight_bits_does_not_depend_on_its_neighbours(by_row: Session) -> None:
    x = np.random.default_rng(4).standard_normal((3, 3, 100), np.float32)
    x *= np.logspace(-3, 3, 9, dtype=np.float32).reshape(3, 3, 1)
    x[1, 1] = 0
    together = by_row.run({"x": x})["y"]
    alone = [by_row.run({"x": row[None, None]})["y"][0, 0] for row in x.reshape(9, 100)]
    np.testing.assert_array_equal(together.reshape(9, 48), np.stack(alone))
    np.testing.assert_array_equal(together[1, 1], BIAS)


def test_negative_values_are_cut_off_in_eight_bits_too() -> None:
    x = np.random.default_rng(8).standard_normal((2, 7, 100), np.float32)
    x[1, 3] = -np.abs(x[1, 3])
    exact, eight_bits = (linear_session(linear) for linear in (rectified_linear, int8_rectified_linear))
    expected, together = exact.run({"x": x})["y"], eight_bits.run({"x": x})["y"]
    np.testing.assert_allclose(expected, np.maximum(x, 0) @ WEIGHT.T + BIAS, atol=1e-4)
    assert rms(together - expected) < 0.01 * expected.std()
    np.testing.assert_array_equal(together[1, 3], BIAS)
    alone = [eight_bits.run({"x": row[None, None]})["y"][0, 0] for row in x.reshape(14, 100)]
    np.testing.assert_array_equal(together.reshape(14, 48), np.stack(alone))


def test_small_rows_keep_their_precision_only_with_a_scale_of_their_own(by_row: Session) -> None:
    x = np.random.default_rng(5).standard_normal((1, 2, 100), np.float32)
    x[0, 0] *= 100
    expected = (x @ WEIGHT.T + BIAS)[0, 1]
    errors = [
        rms(session.run({"x": x})["y"][0, 1] - expected) for session in (by_row, linear_session(int8_tensor_linear))
    ]
    assert errors[0] < 0.02 * expected.std() < errors[1]


@pytest.mark.parametrize("shape", [(6, 10), (6, 10, 1, 3)])
def test_a_weight_has_one_scale_for_each_output(shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(6).standard_normal(shape, np.float32)
    weight[0] *= 1000
    weight[1] = 0
    levels, scale = quantize_weight(weight)
    assert levels.shape == shape
    assert np.abs(levels.reshape(6, -1)).max(axis=1).tolist() == [127, 0, 127, 127, 127, 127]
    steps = scale.reshape(-1, *[1] * (len(shape) - 1))
    assert (np.abs(levels * steps - weight) <= 0.5001 * steps).all()


@pytest.mark.parametrize(("conv", "shape"), [("conv", (8, 6, 3)), ("down_conv", (8, 6, 3)), ("up_conv", (6, 8, 4))])
@pytest.mark.parametrize("num_frames", [1, 2, 7])
def test_a_convolution_of_bytes_is_near_the_exact_one(conv: str, shape: tuple[int, ...], num_frames: int) -> None:
    random = np.random.default_rng(7)
    state = {"c.weight": random.standard_normal(shape, np.float32), "c.bias": random.standard_normal(8, np.float32)}
    x = random.standard_normal((2, num_frames, 6), np.float32) + 3  # so that zero is far from the middle of the bytes

    def outcome(precision: Precision) -> F32:
        graph = GraphBuilder("conv")
        layers = ChannelLast(graph, state, precision)
        y = getattr(layers, conv)(graph.input("x", TensorProto.FLOAT, ["B", "T", 6]), "c")
        graph.output("y", y, TensorProto.FLOAT, ["B", "U", 8])
        return session_of(graph).run({"x": x})["y"]

    exact = outcome("fp32")
    np.testing.assert_allclose(outcome("int8"), exact, atol=0.02 * np.abs(exact).max())


def test_the_flow_in_eight_bits_is_near_the_official_one(checkpoint: Checkpoint) -> None:
    arrays = np.load(REFERENCE / "golden.npz")
    state = {name: tensor.numpy() for name, tensor in checkpoint.flow.state_dict().items()}
    graphs = build_flow_graphs(state, checkpoint.config.flow, "int8")
    z, mu, expected = (
        np.ascontiguousarray(arrays[name].transpose(0, 2, 1)) for name in ("flow.z", "flow.mu", "flow.estimator_t0.3")
    )
    num_frames = np.arange(mu.shape[1])
    tokens = arrays["speech_tokens"]
    encoder = make_session(graphs["flow_encoder"].SerializeToString(), num_threads=1)
    nearest = np.minimum(num_frames * tokens.shape[1] // len(num_frames), tokens.shape[1] - 1)
    weight = np.zeros((len(num_frames), 1), np.float32)
    inputs = {"tokens": tokens, "speaker": arrays["spk_embedding"], "lower": nearest, "upper": nearest}
    speaker = encoder.run({**inputs, "upper_weight": weight})["spks"]
    estimator = make_session(graphs["flow_estimator"].SerializeToString(), num_threads=1)
    inputs = {"x": z, "mu": mu, "spks": speaker, "cond": np.zeros_like(mu), "t": np.array([0.3], np.float32)}
    error = estimator.run(inputs)["velocity"] - expected
    assert 0 < rms(error) < 0.1 * rms(expected)


@pytest.mark.parametrize("name", ["flow_encoder", "flow_estimator", "lm_prefix"])
def test_eight_bits_shrink_a_graph(checkpoint: Checkpoint, name: str) -> None:
    lm, flow = (
        {name: tensor.numpy() for name, tensor in module.state_dict().items()}
        for module in (checkpoint.llm, checkpoint.flow)
    )
    config = checkpoint.config
    sizes = [
        {**build_flow_graphs(flow, config.flow, precision), "lm_prefix": build_lm_prefix(lm, config.lm, precision)}[
            name  # type: ignore[index]
        ].ByteSize()
        for precision in ("fp32", "int8")
    ]
    assert sizes[1] < sizes[0]


def test_a_row_of_zeros_has_a_scale_that_no_process_flushes_to_zero() -> None:
    levels, scale = quantize_weight(np.zeros((2, 3), np.float32))
    assert not levels.any()
    assert (scale >= np.finfo(np.float32).tiny).all()

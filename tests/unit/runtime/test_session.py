"""Sessions: arrays bound in place, options, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from pipeline.errors import BundleError
from pipeline.export import graph as graph_module
from pipeline.export.graph import GraphBuilder, save_model
from pipeline.runtime.session import has_aligned_weights, make_session, optimize


def scaled_sum() -> GraphBuilder:
    """total = state + 2 x, f32 [B, 3]."""
    graph = GraphBuilder("sum")
    x, state = (graph.input(name, TensorProto.FLOAT, ["B", 3]) for name in ("x", "state"))
    graph.output("total", graph.add(state, graph.mul(x, graph.const(np.float32(2)))), TensorProto.FLOAT, ["B", 3])
    return graph


@pytest.fixture
def graph_bytes() -> bytes:
    return scaled_sum().model().SerializeToString()


def test_a_run_returns_the_named_outputs(graph_bytes: bytes) -> None:
    session = make_session(graph_bytes, num_threads=1)
    ones = np.ones((2, 3), np.float32)
    outputs = session.run({"x": ones, "state": ones}, ["total"])
    assert list(outputs) == ["total"]
    np.testing.assert_array_equal(outputs["total"], 3 * ones)
    assert session.inputs == {"x": ("B", 3), "state": ("B", 3)}


def test_bound_arrays_are_read_and_written_where_they_are(graph_bytes: bytes) -> None:
    binding = make_session(graph_bytes, num_threads=1).bind()
    x, total = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)
    binding.input("x", x)
    binding.input("state", total)
    binding.output("total", total)
    for step in (1, 2, 3):
        x[:] = step
        binding.run()
    np.testing.assert_array_equal(total, np.full((2, 3), 12, np.float32))


def test_a_part_of_a_larger_array_can_be_bound(graph_bytes: bytes) -> None:
    binding = make_session(graph_bytes, num_threads=1).bind()
    slots = np.zeros((5, 3), np.float32)
    binding.input("x", np.ones((2, 3), np.float32))
    binding.input("state", slots[2:4])
    binding.output("total", slots[2:4])
    binding.run()
    np.testing.assert_array_equal(slots[:, 0], [0, 0, 2, 2, 0])


def test_an_array_that_would_be_copied_is_refused(graph_bytes: bytes) -> None:
    binding = make_session(graph_bytes, num_threads=1).bind()
    with pytest.raises(ValueError, match="cannot be bound in place"):
        binding.input("x", np.zeros((2, 6), np.float32)[:, ::2])


def test_threads_share_one_operator_and_stop_spinning_with_the_run(graph_bytes: bytes) -> None:
    options = make_session(graph_bytes, num_threads=2, spin=False)._inner.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"lm\.onnx is missing"):
        make_session(tmp_path / "lm.onnx", num_threads=1)


def test_a_damaged_file_is_named(tmp_path: Path, graph_bytes: bytes) -> None:
    (tmp_path / "lm.onnx").write_bytes(graph_bytes[: len(graph_bytes) // 2])
    with pytest.raises(BundleError, match=r"lm\.onnx does not load .* export it again"):
        make_session(tmp_path / "lm.onnx", num_threads=1)


def test_weights_of_a_large_graph_lie_in_one_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "MAX_SINGLE_FILE_SIZE", 1024)
    graph = GraphBuilder("large")
    weight = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    y = graph.linear(graph.input("x", TensorProto.FLOAT, ["B", 64]), "projection", weight)
    graph.output("y", y, TensorProto.FLOAT, ["B", 64])
    model = graph.model()
    for _ in range(2):  # writing it again replaces the file
        save_model(model, tmp_path / "large.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data"]
    assert (tmp_path / "large.onnx.data").stat().st_size < 2 * weight.nbytes
    x = np.eye(64, dtype=np.float32)
    for source in (tmp_path / "large.onnx", model.SerializeToString()):
        np.testing.assert_allclose(make_session(source, num_threads=1).run({"x": x})["y"], weight.T, atol=1e-6)


@pytest.mark.parametrize("is_aligned", [True, False])
def test_packed_weights_are_kept_where_kernels_can_read_them(
    tmp_path: Path, is_aligned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64  # whose weights fill whole cache lines, wherever ONNX Runtime puts them
    if not is_aligned:
        monkeypatch.setattr("pipeline.runtime.session.has_aligned_weights", lambda graph: False)
    graph, random = GraphBuilder("chain"), np.random.default_rng(0)
    x = graph.input("x", TensorProto.FLOAT, ["B", size])
    for layer in range(3):
        x = graph.linear(x, f"layer.{layer}", random.standard_normal((size, size), np.float32))
    graph.output("y", x, TensorProto.FLOAT, ["B", size])
    source, target = tmp_path / "chain.onnx", tmp_path / "chain.optimized"
    save_model(graph.model(), source)
    optimize(source, target)
    assert has_aligned_weights(target.read_bytes()) == is_aligned
    assert (b"prepacked_" in target.read_bytes()) == is_aligned
    plain = make_session(source, num_threads=1)
    mapped = make_session(target, num_threads=1, is_optimized=True)
    for num_rows in (1, 7):
        inputs = {"x": random.standard_normal((num_rows, size), np.float32)}
        np.testing.assert_array_equal(mapped.run(inputs)["y"], plain.run(inputs)["y"])


@pytest.mark.parametrize(
    ("external_data", "expected"),
    [
        (b"prepacked_0\x12\x15MatMul+17|4096;64;0|8192;64;0", True),
        (b"prepacked_0\x12\x7cMatMul+17|4096;64;0\nprepacked_1\x12\x90\x01MatMul+9|4128;64;0", False),
        (b"prepacked_0\x12\x15MatMul+17|4096;64;0|8196;64;0", False),
        (b"prepacked_0\x12\x15in a form of a later release", False),
        (b"", False),
    ],
)
def test_the_place_of_packed_weights_is_read_from_the_graph(external_data: bytes, expected: bool) -> None:
    assert has_aligned_weights(b"weights\x12" + external_data + b"\x1a") == expected

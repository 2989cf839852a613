"""What the exporter writes down: weights in half the bytes where that loses nothing, large graphs in two files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from pipeline.export import graph as graph_module
from pipeline.export.graph import GraphBuilder, save_model
from pipeline.runtime.session import make_session
from pipeline.types import F32

SIZE = 64


def product_with(weight: F32) -> GraphBuilder:
    graph = GraphBuilder("product")
    x = graph.input("x", TensorProto.FLOAT, ["N", SIZE])
    graph.output("y", graph.linear(x, "layer", weight), TensorProto.FLOAT, ["N", SIZE])
    return graph


@pytest.mark.parametrize(("is_half", "num_bytes"), [(True, 2), (False, 4)])
def test_a_weight_takes_two_bytes_only_where_that_loses_nothing(is_half: bool, num_bytes: int) -> None:
    weight = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)
    if is_half:
        weight = weight.astype(np.float16).astype(np.float32)
    model = product_with(weight).model()
    assert model.ByteSize() == pytest.approx(SIZE * SIZE * num_bytes, rel=0.1)
    x = np.eye(SIZE, dtype=np.float32)
    assert np.array_equal(make_session(model.SerializeToString(), num_threads=1).run({"x": x})["y"], weight.T)


def test_a_large_graph_has_its_weights_beside_it_readable_by_those_who_read_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "MAX_SINGLE_FILE_SIZE", 1000)
    weight = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32)
    path = tmp_path / "product.onnx"
    for _ in range(2):  # the second time over the first
        save_model(product_with(weight).model(), path)
    data = tmp_path / "product.onnx.data"
    assert data.stat().st_mode == path.stat().st_mode
    assert data.stat().st_size == pytest.approx(weight.nbytes, rel=0.1)
    x = np.eye(SIZE, dtype=np.float32)
    assert np.array_equal(make_session(path, num_threads=1).run({"x": x})["y"], weight.T)


def test_equal_constants_are_stored_once() -> None:
    graph = GraphBuilder("constants")
    assert graph.const(1.5) == graph.const(1.5)
    assert graph.const(1.5) != graph.const(1.5, np.float32)
    assert graph.const([1, 2]) != graph.const([[1, 2]])

"""ONNX files are read as the onnx package reads them, and come out of reading and writing as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.runtime.onnx_file import ALIGNMENT, read_model, weights_of, write_model
from pipeline.runtime.onnx_node import Encoded, Node
from pipeline.runtime.protobuf import Message, integer_field, read_fields

BUNDLED = Path(__file__).parents[3] / "pipeline" / "voices" / "bundled"
GRAPHS = sorted(BUNDLED.glob("*.onnx"))


def as_compared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what may differ: where weights are, their order, and empty domains that are not written down."""
    graph = model.graph
    for node in graph.node:
        node.domain = node.domain or ""
    for tensor in graph.initializer:
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    tensors = sorted(graph.initializer, key=lambda tensor: tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    return model


@pytest.mark.parametrize("source", GRAPHS, ids=lambda file: file.stem)
def test_a_bundled_graph_is_written_as_it_was_read(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "graph.onnx"
    write_model(read_model(source), target)
    onnx.checker.check_model(target)
    assert as_compared(onnx.load(target)) == as_compared(onnx.load(source))


def small_model() -> onnx.ModelProto:
    """With attributes and tensors of every kind, and fields that are not decoded."""
    attributes = {"i": -3, "f": 0.1, "s": "text", "ints": [1, -2, 1 << 40], "floats": [0.5], "t": array_of("t", [2.0])}
    node = helper.make_node("Op", ["x", "", "w"], ["y"], name="n", domain="d", doc_string="why", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 3, None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    typed = helper.make_tensor("typed", TensorProto.INT64, [2], [5, -6])  # not as bytes
    tensors = [array_of("w", np.arange(1000.0)), array_of("scalar", 7.0), typed]
    graph = helper.make_graph([node], "small", [x], [y], tensors, doc_string="what")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("d", 3)])


def array_of(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    onnx.save(small_model(), path)
    return path


def test_fields_that_are_not_decoded_are_carried_over(small: Path) -> None:
    write_model(read_model(small), small.with_name("written.onnx"))
    assert as_compared(onnx.load(small.with_name("written.onnx"))) == as_compared(small_model())


def test_nodes_tensors_and_shapes_are_decoded(small: Path) -> None:
    model = read_model(small)
    (node,) = model.graph.nodes
    assert (node.op, node.domain, node.inputs, node.outputs) == ("Op", "d", ["x", "", "w"], ["y"])
    assert node.attributes["i"] == -3
    assert node.attributes["f"] == pytest.approx(0.1)
    assert node.attributes["s"] == "text"
    assert node.attributes["ints"] == (1, -2, 1 << 40)
    assert isinstance(node.attributes["t"], Encoded)
    assert model.graph.inputs == {"x": ("B", 3, "x:2")}
    assert model.graph.outputs == ["y"]
    assert model.opsets == {"": 20, "d": 3}
    np.testing.assert_array_equal(model.graph.initializers["w"], np.arange(1000.0))
    assert isinstance(model.graph.initializers["typed"], Encoded)


def test_weights_in_a_file_beside_the_graph_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(small_model(), path, save_as_external_data=True, location="small.onnx.data", size_threshold=0)
    weight = read_model(path).graph.initializers["w"]
    assert isinstance(weight, np.memmap)
    np.testing.assert_array_equal(weight, np.arange(1000.0))


def test_large_weights_are_written_beside_the_graph_and_aligned(small: Path) -> None:
    model = read_model(small)
    model.graph.initializers = {"odd": np.arange(257.0), "w": np.arange(1024, dtype=np.int8).reshape(2, 512)}
    write_model(model, small)
    written = onnx.load(small, load_external_data=False).graph.initializer
    offsets = {tensor.name: int(tensor.external_data[1].value) for tensor in written}
    assert weights_of(small).is_file()
    assert offsets["w"] == 0  # one whose size would move the next ones comes last
    assert all(offset % ALIGNMENT == 0 for offset in offsets.values())
    onnx.load_external_data_for_model(loaded := onnx.load(small, load_external_data=False), str(small.parent))
    for tensor in loaded.graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), model.graph.initializers[tensor.name])


def test_packed_numbers_are_read_too() -> None:
    packed = helper.make_tensor("t", TensorProto.INT64, [300], list(range(300)))
    values = Message(memoryview(packed.SerializeToString())).integers(7)
    assert values == list(range(300))


@pytest.mark.parametrize("damaged", [b"no graph", b"\x3a\x7f", integer_field(7, 1), b"\x80"])
def test_what_is_no_graph_is_refused(tmp_path: Path, damaged: bytes) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"field|number|stands"):
        read_model(path)


@pytest.mark.parametrize("number", [0, 1, 127, 128, (1 << 63) - 1, -1, -(1 << 63)])
def test_integers_keep_their_sign(number: int) -> None:
    (field,) = read_fields(memoryview(integer_field(3, number)))
    assert (field.number, field.value) == (3, number)


def test_a_node_of_ours_is_one_that_onnx_reads() -> None:
    node = Node("Linear8", ["x", "", "s"], ["y"], {"epsilon": 1e-5, "taps": 3}, domain="cosyvoice", name="n")
    read = onnx.NodeProto.FromString(node.encode())
    expected = helper.make_node("Linear8", ["x", "", "s"], ["y"], name="n", domain="cosyvoice", epsilon=1e-5, taps=3)
    assert read == expected

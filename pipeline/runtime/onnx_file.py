"""Reads and writes ONNX files without the `onnx` package, which is no part of the base install.

Decoded is what rewriting a graph looks at: nodes, initializers, and the shapes of inputs. All else is carried over as
it is encoded. Field numbers are those of onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.runtime.onnx_node import Encoded, Node
from pipeline.runtime.protobuf import (
    Message,
    as_bytes,
    bytes_field,
    integer_field,
    integer_fields,
    read_fields,
    text_field,
)

Array = NDArray[Any]
Shape = tuple["int | str", ...]  # a name stands for a dynamic axis

ALIGNMENT = 64  # bytes: a weight begins where a cache line does, for the widest loads
MIN_EXTERNAL_SIZE = 1024  # bytes
_DTYPE_NAMES = {1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8"}
_DTYPES = {data_type: np.dtype(name) for data_type, name in _DTYPE_NAMES.items()}
_DATA_TYPES = {dtype: data_type for data_type, dtype in _DTYPES.items()}
_RAW_FIELDS = {1, 2, 8, 9, 13, 14}  # of a tensor that has its data as bytes, here or in another file
_EXTERNAL = 1  # the data is in another file


@dataclass(slots=True)
class Graph:
    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, Array | Encoded] = field(default_factory=dict)
    inputs: dict[str, Shape] = field(default_factory=dict)  # as are outputs, a copy of what is in `rest`
    outputs: list[str] = field(default_factory=list)
    rest: bytes = b""


@dataclass(slots=True)
class Model:
    graph: Graph
    opsets: dict[str, int]  # version of each domain
    rest: bytes = b""


def read_model(path: Path) -> Model:
    """Arrays are the file's own memory, mapped.

    Raises:
        ValueError: it is no ONNX file.
    """
    model, rest = Model(Graph(), {}), []
    for number, value, encoded in read_fields(_mapped(path)):
        if number == 7:
            model.graph = _decode_graph(as_bytes(value), path.parent)
        elif number == 8:
            opset = Message(value)
            model.opsets[opset.text(1)] = opset.integer(2)
        else:
            rest.append(encoded)
    model.rest = b"".join(rest)
    return model


def mapped_weights(path: Path) -> dict[str, Array]:
    """The weights that a graph has in a file beside it, by name, but for those that are there as kernels pack them.

    They lie in one read-only mapping, whichever sessions are given them.

    Raises:
        ValueError: it is no ONNX file.
    """
    (graph,) = (Message(as_bytes(value)) for number, value, _ in read_fields(_mapped(path)) if number == 7)
    files: dict[str, Array] = {}
    weights = {}
    for tensor in map(Message, graph.messages(5)):
        if tensor.integer(14) != _EXTERNAL or tensor.integer(2) not in _DTYPES:
            continue
        entries = _external_entries(tensor)
        if any(key.startswith("prepacked_") for key in entries):
            continue
        location = entries["location"]
        if location not in files:
            files[location] = np.memmap(path.parent / location, np.uint8, "r")
        start, size = int(entries.get("offset", 0)), int(entries["length"])
        data = files[location][start : start + size]
        weights[tensor.text(8)] = data.view(_DTYPES[tensor.integer(2)]).reshape(tensor.integers(1))
    return weights


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _decode_graph(data: memoryview, folder: Path) -> Graph:
    graph, rest = Graph(), []
    for number, value, encoded in read_fields(data):
        if number == 1:
            graph.nodes.append(Node.decode(as_bytes(value)))
            continue
        if number == 5:
            name, initializer = _decode_tensor(as_bytes(value), folder)
            graph.initializers[name] = initializer
            continue
        if number == 11:
            graph.inputs.update([_decode_value_info(Message(value))])
        elif number == 12:
            graph.outputs.append(Message(value).text(1))
        rest.append(encoded)
    graph.rest = b"".join(rest)
    return graph


def _decode_value_info(info: Message) -> tuple[str, Shape]:
    """An axis of which nothing is said gets a name of its own."""
    name, shape = info.text(1), Message(Message(Message(info.bytes(2)).bytes(1)).bytes(2))
    dims = enumerate(map(Message, shape.messages(1)))
    return name, tuple(dim.text(2) or dim.integer(1) or f"{name}:{axis}" for axis, dim in dims)


def _decode_tensor(data: memoryview, folder: Path) -> tuple[str, Array | Encoded]:
    tensor = Message(data)
    dtype = _DTYPES.get(tensor.integer(2))
    if dtype is None or not tensor.numbers <= _RAW_FIELDS:
        return tensor.text(8), Encoded(bytes(data))
    if tensor.integer(14) == _EXTERNAL:
        return tensor.text(8), _map_external(tensor, dtype, folder)
    return tensor.text(8), np.frombuffer(tensor.bytes(9), dtype).reshape(tensor.integers(1))


def _external_entries(tensor: Message) -> dict[str, str]:
    return {entry.text(1): entry.text(2) for entry in map(Message, tensor.messages(13))}


def _map_external(tensor: Message, dtype: np.dtype[Any], folder: Path) -> Array:
    entries = _external_entries(tensor)
    offset, shape = int(entries.get("offset", 0)), tuple(tensor.integers(1))
    return np.memmap(folder / entries["location"], dtype, "r", offset, shape)


def write_model(model: Model, path: Path) -> None:
    """Large weights go into PATH.weights, which sessions map."""
    with weights_of(path).open("wb") as weights:
        graph = _encode_graph(model.graph, weights)
    opsets = (text_field(1, domain) + integer_field(2, version) for domain, version in model.opsets.items())
    path.write_bytes(b"".join([model.rest, *(bytes_field(8, opset) for opset in opsets), bytes_field(7, graph)]))


def weights_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.weights")


def _encode_graph(graph: Graph, weights: BinaryIO) -> bytes:
    """Odd sizes come last: ONNX Runtime writes weights in this order, too, and aligns large ones only."""
    initializers = sorted(graph.initializers.items(), key=lambda item: _has_odd_size(item[1]))
    nodes = (bytes_field(1, node.encode()) for node in graph.nodes)
    tensors = (bytes_field(5, _encode_tensor(*item, weights)) for item in initializers)
    return b"".join([*nodes, *tensors, graph.rest])


def _has_odd_size(array: Array | Encoded) -> bool:
    return isinstance(array, Encoded) or array.nbytes % ALIGNMENT > 0


def _encode_tensor(name: str, array: Array | Encoded, weights: BinaryIO) -> bytes:
    if isinstance(array, Encoded):
        return array.data
    what = integer_fields(1, array.shape) + integer_field(2, _DATA_TYPES[array.dtype]) + text_field(8, name)
    array = np.ascontiguousarray(array)
    if array.nbytes < MIN_EXTERNAL_SIZE:
        return what + bytes_field(9, array.tobytes())
    weights.write(bytes(-weights.tell() % ALIGNMENT))
    entries = {"location": Path(weights.name).name, "offset": weights.tell(), "length": array.nbytes}
    weights.write(array.data.cast("B"))
    pairs = (text_field(1, key) + text_field(2, str(value)) for key, value in entries.items())
    return what + integer_field(14, _EXTERNAL) + b"".join(bytes_field(13, pair) for pair in pairs)

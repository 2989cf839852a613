"""Graphs of a single operator, and the CPUs that have them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pipeline.runtime import native
from pipeline.runtime.session import Session, make_session

Array = NDArray[Any]
Inputs = Mapping[str, "Array | None"]  # None: left out

CPU_FLAGS = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}
TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
}


def cpu_has_operators() -> bool:
    """What the system says of the CPU, for comparison with what the library says."""
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and set(cpu.read_text("utf-8").split()) >= CPU_FLAGS


def has_compiler() -> bool:
    return shutil.which("g++") is not None


needs_operators = pytest.mark.skipif(
    native.library() is None and not (cpu_has_operators() and has_compiler()),
    reason="this CPU has no AVX-512 with VNNI, or nothing here compiles for it",
)


def graph_of(
    op: str,
    inputs: Inputs,
    constants: Sequence[str] = (),
    outputs: Sequence[str] = ("y",),
    *,
    output_type: int = TensorProto.FLOAT,
    **attributes: Any,
) -> ModelProto:
    """A graph with one node, whose constants are weights and whose other inputs are the graph's."""
    given = {name: array for name, array in inputs.items() if array is not None}
    node = helper.make_node(
        op, [name if name in given else "" for name in inputs], list(outputs), domain="cosyvoice", **attributes
    )
    cache_type = TYPES[given["past_key"].dtype] if "past_key" in given else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        op,
        [
            helper.make_tensor_value_info(name, TYPES[array.dtype], [None] * array.ndim)
            for name, array in given.items()
            if name not in constants
        ],
        [
            helper.make_tensor_value_info(name, cache_type if name.startswith("present") else output_type, None)
            for name in outputs
        ],
        [numpy_helper.from_array(given[name], name) for name in constants if name in given],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("cosyvoice", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def session_of(model: ModelProto, *, num_threads: int = 1) -> Session:
    return make_session(model.SerializeToString(), num_threads=num_threads)


def compute(
    op: str,
    inputs: Inputs,
    constants: Sequence[str] = (),
    outputs: Sequence[str] = ("y",),
    *,
    num_threads: int = 1,
    **attributes: Any,
) -> list[Array]:
    session = session_of(graph_of(op, inputs, constants, outputs, **attributes), num_threads=num_threads)
    results = session.run(
        {name: array for name, array in inputs.items() if name in session.inputs and array is not None}
    )
    return [results[name] for name in outputs]

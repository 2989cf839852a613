"""A thin layer over onnx.helper with which the exporter's graphs are written down node by node.

Values are their names (str). Constants are shared by name; a weight that survives a float16 round trip is stored in
half the bytes and cast back when the session is made (ONNX Runtime folds the cast), so computing stays in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
OPSET = 20
MAX_SINGLE_FILE_SIZE = 256 << 20  # bytes
MIN_HALF_SIZE = 1024  # elements; below it a half-size copy saves nothing


class GraphBuilder:
    """Collects nodes, inputs, outputs and initializers of one graph.

    Args:
        rounds_weights: also to float16 where that loses something, for a graph that is inexact anyway.
    """

    def __init__(self, name: str, *, rounds_weights: bool = False) -> None:
        self.name = name
        self.rounds_weights = rounds_weights
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._num_values = 0

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, name: str, value: str, dtype: int, shape: Sequence[int | str]) -> None:
        """Declares `value` as the graph's output `name`."""
        if value != name:
            self.nodes.append(helper.make_node("Identity", [value], [name], name=f"output.{name}"))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(shape)))

    def fresh(self, op: str) -> str:
        self._num_values += 1
        return f"{op}.{self._num_values}"

    def op(self, op: str, *inputs: str, num_outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Adds one node; returns its output's name, or a list of names when `num_outputs` is above one."""
        outputs = [self.fresh(op) for _ in range(num_outputs)]
        self.node(op, inputs, outputs, domain=domain, **attributes)
        return outputs[0] if num_outputs == 1 else outputs

    def node(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str = "", **attributes: Any
    ) -> None:
        """Adds one node with outputs named by the caller; an empty name leaves an optional one out."""
        name = f"{op}#{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, domain=domain, **attributes))

    def const(self, value: ArrayLike, dtype: Any = None) -> str:
        """A small constant (shape, axis, scalar), shared between equal ones."""
        array = np.asarray(value, dtype=dtype)
        name = f"const.{array.dtype}.{'x'.join(map(str, array.shape))}.{array.tobytes().hex()}"
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """A named weight, stored as float16 where that loses nothing. The same name must mean the same array."""
        if name in self._initializers:
            return name
        array = np.ascontiguousarray(array)
        if array.dtype == np.float32 and array.size >= MIN_HALF_SIZE and (self.rounds_weights or _survives_half(array)):
            stored = f"{name}.half"
            if stored not in self._initializers:
                self._initializers[stored] = numpy_helper.from_array(array.astype(np.float16), stored)
                self.node("Cast", [stored], [name], to=TensorProto.FLOAT)
            return name
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def linear(self, x: str, name: str, weight: NDArray[Any], bias: NDArray[Any] | None = None) -> str:
        """x @ weight.T + bias, with `weight` [out, in] as torch stores it."""
        y: str = self.op("MatMul", x, self.weight(f"{name}.weight", weight.T))
        return y if bias is None else self.add(y, self.weight(f"{name}.bias", bias))

    def add(self, a: str, b: str) -> str:
        value: str = self.op("Add", a, b)
        return value

    def mul(self, a: str, b: str) -> str:
        value: str = self.op("Mul", a, b)
        return value

    def range(self, limit: str) -> str:
        """0 .. limit - 1, of an i64 scalar."""
        value: str = self.op("Range", self.const(np.int64(0)), limit, self.const(np.int64(1)))
        return value

    def unsqueeze(self, x: str, *axes: int) -> str:
        value: str = self.op("Unsqueeze", x, self.const(axes, np.int64))
        return value

    def model(self, opset: int = OPSET) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self._initializers.values()))
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="cosyvoice-serve")


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Writes the graph; weights of a large one go into one file beside it, as a single file ends at 2 GB."""
    if model.ByteSize() <= MAX_SINGLE_FILE_SIZE:
        onnx.save(model, path)
        return
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # onnx would append to it
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=MIN_HALF_SIZE)
    data.chmod(path.stat().st_mode)  # onnx lets nobody else read it, and a service may run as another user
    onnx.load_external_data_for_model(model, str(path.parent))


def _survives_half(array: NDArray[np.float32]) -> bool:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return bool(np.array_equal(half.astype(np.float32), array))

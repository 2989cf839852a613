"""The one place that makes ONNX Runtime sessions; the rest of serving uses only what is defined here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.runtime import native
from pipeline.runtime.onnx_file import weights_of

Array = NDArray[Any]
Shape = tuple["int | str", ...]  # a name stands for a dynamic axis

LOG_ERRORS_ONLY = 3
_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int64)": np.dtype(np.int64),
}
WEIGHT_ALIGNMENT = 64  # bytes, of packed weights: what the widest aligned loads need

_profile_folder: ContextVar[Path | None] = ContextVar("profile_folder", default=None)


@contextmanager
def profiled(folder: Path) -> Iterator[None]:
    """Sessions made meanwhile write the time of each operator into this folder when they are deleted.

    The files are GRAPH_DATE.json, each a list of events.
    """
    token = _profile_folder.set(folder)
    try:
        yield
    finally:
        _profile_folder.reset(token)


class Session:
    """A loaded graph. `run` may be called from several threads; a `Binding` belongs to one."""

    def __init__(self, inner: ort.InferenceSession, weights: Sequence[ort.OrtValue] = ()) -> None:
        self._inner = inner
        self._weights = weights  # ONNX Runtime does not keep what it is given
        self.inputs: dict[str, Shape] = {value.name: tuple(value.shape) for value in inner.get_inputs()}
        self.outputs: dict[str, Shape] = {value.name: tuple(value.shape) for value in inner.get_outputs()}
        self.dtypes: dict[str, np.dtype[Any]] = {
            value.name: _DTYPES[value.type] for value in inner.get_inputs() if value.type in _DTYPES
        }

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Computes the named outputs, or all of them."""
        names = list(self.outputs if outputs is None else outputs)
        return dict(zip(names, self._inner.run(names, dict(inputs)), strict=True))

    def bind(self) -> Binding:
        return Binding(self._inner)


class Binding:
    """Arrays that a session reads and writes in place, so that a run copies nothing.

    They stay bound from run to run. An input and an output may be the same memory where the operators allow it.
    """

    def __init__(self, inner: ort.InferenceSession) -> None:
        self._inner = inner
        self._binding = inner.io_binding()

    def input(self, name: str, array: Array) -> None:
        self._binding.bind_ortvalue_input(name, _shared(array))

    def output(self, name: str, array: Array) -> None:
        self._binding.bind_ortvalue_output(name, _shared(array))

    def run(self) -> None:
        self._inner.run_with_iobinding(self._binding)


def _shared(array: Array) -> ort.OrtValue:
    """An OrtValue on the array's own memory, which it keeps alive. A strided array would be copied: refused."""
    if not array.flags.c_contiguous:
        raise ValueError(f"an array of shape {array.shape} with strides {array.strides} cannot be bound in place")
    return ort.OrtValue.ortvalue_from_numpy(array)


def make_session(
    source: str | Path | bytes,
    *,
    num_threads: int,
    spin: bool = True,
    is_optimized: bool = False,
    weights: Mapping[str, Array] | None = None,
) -> Session:
    """Loads a graph from its file, or from serialized bytes.

    Args:
        num_threads: threads that share one operator, the caller's included.
        spin: whether they wait for the next operator by spinning. They stop when a run ends, because the spinning
            threads of several sessions slow each other down (decode 73 -> 42 ms when it was measured).
        is_optimized: the graph is one that `optimize` wrote on a machine like this.
        weights: initializers to compute with in place, by name; those of the graph are not read then.

    Raises:
        BundleError: the file is missing or is no graph that this ONNX Runtime computes.
    """
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise BundleError(f"{source} is missing: copy the bundle again or export it again.")
    options = _options(num_threads, spin)
    if is_optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if (folder := _profile_folder.get()) is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / ("memory" if isinstance(source, bytes) else Path(source).stem))
    values = {name: _shared(array) for name, array in (weights or {}).items()}
    for name, value in values.items():
        options.add_initializer(name, value)
    return Session(_load(source, options), list(values.values()))


def optimize(source: Path, target: Path) -> None:
    """Writes the graph as it is computed on this CPU, with its weights in a file beside it, which sessions map.

    The file also has the weights as operators pack them, so that sessions need not. ONNX Runtime puts small packed
    weights right behind each other, though, and its kernels crash where one is not aligned: then they are left out.

    Raises:
        BundleError: as `make_session` does, or the files cannot be written.
    """
    _write_optimized(source, target, is_packed=True)
    if not has_aligned_weights(target.read_bytes()):
        for file in (target, weights_of(target)):
            file.unlink(missing_ok=True)
        _write_optimized(source, target, is_packed=False)


def _write_optimized(source: Path, target: Path, *, is_packed: bool) -> None:
    options = _options(1, spin=False)
    options.optimized_model_filepath = str(target)
    for name, value in {
        "optimized_model_external_initializers_file_name": weights_of(target).name,
        "optimized_model_external_initializers_min_size_in_bytes": "1024",
        "save_external_prepacked_constant_initializers": "1" if is_packed else "0",
    }.items():
        options.add_session_config_entry(f"session.{name}", value)
    _load(source, options)


def has_aligned_weights(graph: bytes) -> bool:
    """Whether a serialized graph has packed weights outside of it, all of them where kernels can read them.

    In external_data, the value of each key prepacked_N is KERNEL|OFFSET;LENGTH;CHECKSUM|OFFSET;..
    """
    num_packed = len(re.findall(rb"prepacked_\d+\x12", graph))
    packed = re.findall(rb"prepacked_\d+\x12(?s:.){1,2}?[^|]+((?:\|\d+;\d+;\d+)+)", graph)
    offsets = [int(offset) for blobs in packed for offset in re.findall(rb"\|(\d+);", blobs)]
    return len(packed) == num_packed > 0 and all(offset % WEIGHT_ALIGNMENT == 0 for offset in offsets)


def _load(source: str | Path | bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    model = source if isinstance(source, bytes) else str(source)
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class below Exception
        what = "the graph in memory" if isinstance(source, bytes) else source
        raise BundleError(
            f"{what} does not load in ONNX Runtime {ort.__version__} ({error}): "
            "copy the bundle again or export it again."
        ) from None


def _options(num_threads: int, spin: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = LOG_ERRORS_ONLY
    # Planning which tensors share memory takes quadratic time, seconds for a thousand operators, and saves nothing
    # over the arena, which hands memory out again as soon as a tensor is done with.
    options.enable_mem_reuse = False
    # Nor is memory laid out anew for each combination of input shapes: 90 MB more after 4 s of speech, no time saved.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if (library := native.library()) is not None:
        options.register_custom_ops_library(str(library))
    return options

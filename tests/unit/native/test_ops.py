"""The native operators, one node at a time, against numpy: where they compute, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from one_node import Array, Inputs, compute, cpu_has_operators, graph_of, has_compiler, needs_operators, session_of
from onnx import ModelProto
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from pipeline.errors import BundleError
from pipeline.runtime import native
from pipeline.runtime.session import make_session, optimize

ACTIVATIONS = ["none", "relu", "gelu", "silu"]
LINEAR_CONSTANTS = ["weight", "scale", "bias", "gamma", "beta"]
LAYER_NORM_EPSILON = 1e-5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def floats(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


# The library


@pytest.mark.skipif(not (cpu_has_operators() and has_compiler()), reason="no AVX-512 with VNNI, or no compiler")
def test_a_compiler_and_a_cpu_with_vnni_have_the_library() -> None:
    assert native.library() is not None, "pip install -e . compiles pipeline/native"


def test_a_file_that_is_no_library_is_not_supported(tmp_path: Path) -> None:
    file = tmp_path / "_ops.so"
    file.write_bytes(b"\x7fELF, and then nothing")
    assert not native.is_supported(file)


@pytest.mark.skipif(not any(native.FOLDER.glob("_ops*.so")), reason="nothing here compiles for this system")
def test_the_library_says_of_the_cpu_what_the_system_says() -> None:
    assert native.is_supported(next(native.FOLDER.glob("_ops*.so"))) == cpu_has_operators()


# Linear8


def pack(weight: Array) -> Array:
    """[N, K] as the operator reads it, [ceil(N / 16), ceil(K / 4), 16, 4], zero padded."""
    num_out, num_in = weight.shape
    padded = np.zeros((math.ceil(num_out / 16) * 16, math.ceil(num_in / 4) * 4), np.int8)
    padded[:num_out, :num_in] = weight
    panels = padded.reshape(padded.shape[0] // 16, 16, padded.shape[1] // 4, 4)
    return np.ascontiguousarray(panels.transpose(0, 2, 1, 3))


def activated(x: Array, activation: str) -> Array:
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "gelu":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return x / (1 + np.exp(-x)) if activation == "silu" else x


def layer_norm(x: Array, gamma: Array, beta: Array) -> Array:
    centred = x.astype(np.float64) - x.mean(-1, keepdims=True, dtype=np.float64)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + LAYER_NORM_EPSILON) * gamma + beta


def side_by_side(x: Array, taps: int, stride: int) -> Array:
    """Frames [B, T, K] with their neighbours, [B, ceil(T / stride), taps * K]."""
    reach = taps // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (0, 0)))
    windows = [padded[:, tap : tap + x.shape[1]] for tap in range(taps)]
    return np.concatenate(windows, axis=-1)[:, ::stride]


def quantized(rows: Array, *, is_rectified: bool) -> tuple[Array, Array]:
    """Levels around 0, and what one of them is in each row."""
    rows = rows.astype(np.float32)
    rows = np.maximum(rows, 0) if is_rectified else rows
    num_levels = np.float32(255 if is_rectified else 127)
    peak = np.abs(rows).max(-1, keepdims=True)
    rate = np.divide(num_levels, peak, out=np.zeros_like(peak), where=peak > 0)
    return np.rint(rows * rate).astype(np.int32), peak / num_levels


def linear8(
    inputs: Inputs, weight: Array, activation: str, *, is_rectified: bool = False, taps: int = 1, stride: int = 1
) -> Array:
    x, gamma, beta = (inputs.get(name) for name in ("x", "gamma", "beta"))
    assert x is not None
    rows = x if gamma is None or beta is None else layer_norm(x, gamma, beta)
    rows = rows if taps == 1 else side_by_side(rows, taps, stride)
    levels, unit = quantized(rows, is_rectified=is_rectified)
    y = (levels @ weight.T.astype(np.int32)).astype(np.float64) * unit * inputs["scale"]
    bias, residual = inputs.get("bias"), inputs.get("residual")
    y = activated(y if bias is None else y + bias, activation)
    return y if residual is None else y + residual


def linear_inputs(
    rng: np.random.Generator, x: Array, weight: Array, *, num_frames: int | None = None
) -> dict[str, Array | None]:
    """Every input of a Linear8 in its order; those that a test does without it sets to None."""
    num_out, num_in = weight.shape[0], x.shape[-1]
    rows = x.shape[:-1] if num_frames is None else (x.shape[0], num_frames)
    return {
        "x": x,
        "weight": pack(weight),
        "scale": (0.5 + rng.random(num_out, np.float32)) / 1000,
        "bias": floats(rng, num_out),
        "residual": floats(rng, *rows, num_out),
        "gamma": floats(rng, num_in),
        "beta": floats(rng, num_in),
    }


def weight_of(rng: np.random.Generator, num_out: int, num_in: int) -> Array:
    return rng.integers(-127, 128, (num_out, num_in), np.int8)


@needs_operators
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("left_out", [["bias", "residual"], ["residual"], ["bias"], []], ids=str)
@pytest.mark.parametrize("shape", [(5, 64), (2, 3, 10), (1, 1)], ids=str)
def test_a_linear_layer_computes_what_numpy_does(
    rng: np.random.Generator, shape: tuple[int, ...], left_out: list[str], activation: str
) -> None:
    weight = weight_of(rng, 37, shape[-1])
    inputs = linear_inputs(rng, floats(rng, *shape), weight) | dict.fromkeys([*left_out, "gamma", "beta"])
    (y,) = compute("Linear8", inputs, LINEAR_CONSTANTS, activation=ACTIVATIONS.index(activation))
    expected = linear8(inputs, weight, activation)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@needs_operators
def test_a_linear_layer_starts_with_a_layer_norm_where_it_has_one(rng: np.random.Generator) -> None:
    weight = weight_of(rng, 48, 200)
    inputs = linear_inputs(rng, 3 + 2 * floats(rng, 9, 200), weight)
    (y,) = compute("Linear8", inputs, LINEAR_CONSTANTS, epsilon=LAYER_NORM_EPSILON)
    expected = linear8(inputs, weight, "none")
    # The last bit of a normalized value may put it on the next level, which is this much with these scales.
    np.testing.assert_allclose(y, expected, atol=2 * 127 * 0.0015 * 5 / 127)


@needs_operators
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_a_rectified_linear_layer_takes_negative_inputs_as_zeros(rng: np.random.Generator, bias: bool) -> None:
    weight = weight_of(rng, 20, 30)
    inputs = linear_inputs(rng, floats(rng, 4, 30), weight) | dict.fromkeys(["gamma", "beta"])
    inputs |= {} if bias else {"bias": None}
    (y,) = compute("Linear8", inputs, LINEAR_CONSTANTS, rectified=1, activation=1)
    np.testing.assert_allclose(y, linear8(inputs, weight, "relu", is_rectified=True), rtol=1e-5, atol=1e-5)


@needs_operators
@pytest.mark.parametrize("is_rectified", [False, True], ids=["signed", "rectified"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 8])
def test_three_taps_read_a_frame_and_its_neighbours(
    rng: np.random.Generator, num_frames: int, stride: int, is_rectified: bool
) -> None:
    weight = weight_of(rng, 24, 3 * 10)
    num_out_frames = math.ceil(num_frames / stride)
    inputs = linear_inputs(rng, floats(rng, 3, num_frames, 10), weight, num_frames=num_out_frames)
    inputs |= dict.fromkeys(["gamma", "beta"])
    (y,) = compute("Linear8", inputs, LINEAR_CONSTANTS, taps=3, stride=stride, rectified=int(is_rectified))
    expected = linear8(inputs, weight, "none", is_rectified=is_rectified, taps=3, stride=stride)
    assert y.shape == (3, num_out_frames, 24)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@needs_operators
def test_a_row_of_zeros_gives_the_bias(rng: np.random.Generator) -> None:
    inputs = linear_inputs(rng, np.zeros((2, 12), np.float32), weight_of(rng, 5, 12))
    inputs |= dict.fromkeys(["residual", "gamma", "beta"])
    (y,) = compute("Linear8", inputs, LINEAR_CONSTANTS)
    np.testing.assert_array_equal(y, np.broadcast_to(inputs["bias"], (2, 5)))


@needs_operators
def test_a_row_is_the_same_alone_and_among_others(rng: np.random.Generator) -> None:
    x, weight = floats(rng, 130, 96), weight_of(rng, 64, 96)
    inputs = linear_inputs(rng, x, weight) | {"residual": None}
    together = compute("Linear8", inputs, LINEAR_CONSTANTS, activation=2)[0]
    for row in (0, 57, 129):
        alone = compute("Linear8", inputs | {"x": x[row : row + 1]}, LINEAR_CONSTANTS, activation=2)[0]
        np.testing.assert_array_equal(alone[0], together[row])


# SelfAttention


def attended(q: Array, k: Array, v: Array) -> Array:
    """[.., T, D] of one head."""
    logits = q.astype(np.float64) @ k.swapaxes(-1, -2).astype(np.float64) / math.sqrt(q.shape[-1])
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


@needs_operators
@pytest.mark.parametrize("num_frames", [1, 17, 70, 150])
def test_self_attention_sees_every_frame(rng: np.random.Generator, num_frames: int) -> None:
    num_heads, dim = 2, 64
    qkv = floats(rng, 2, num_frames, 3 * num_heads * dim)
    (y,) = compute("SelfAttention", {"qkv": qkv}, num_heads=num_heads)
    q, k, v = qkv.reshape(2, num_frames, 3, num_heads, dim).transpose(2, 0, 3, 1, 4)
    expected = attended(q, k, v).transpose(0, 2, 1, 3).reshape(2, num_frames, num_heads * dim)
    np.testing.assert_allclose(y, expected, atol=1e-3 * np.abs(expected).max())


# GroupNormMish


def group_norm_mish(x: Array, gamma: Array, beta: Array, add: Array | None, groups: int) -> Array:
    batch, frames, channels = x.shape
    grouped = x.astype(np.float64).reshape(batch, frames, groups, channels // groups)
    centred = grouped - grouped.mean((1, 3), keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + LAYER_NORM_EPSILON)
    y = scaled.reshape(x.shape) * gamma + beta
    y = y * np.tanh(np.log1p(np.exp(y)))
    return y if add is None else y + add[:, None]


@needs_operators
@pytest.mark.parametrize("add_rows", [None, 1, 2], ids=["no_add", "shared_add", "add_each"])
@pytest.mark.parametrize(("channels", "groups"), [(64, 8), (24, 3), (256, 8), (10, 1)])
def test_group_norm_is_over_frames_and_the_channels_of_a_group(
    rng: np.random.Generator, channels: int, groups: int, add_rows: int | None
) -> None:
    x = 1 + 3 * floats(rng, 2, 19, channels)
    gamma, beta = floats(rng, channels), floats(rng, channels)
    add = None if add_rows is None else floats(rng, add_rows, channels)
    inputs = {"x": x, "gamma": gamma, "beta": beta, "add": add}
    (y,) = compute("GroupNormMish", inputs, ["gamma", "beta"], groups=groups, epsilon=LAYER_NORM_EPSILON)
    np.testing.assert_allclose(y, group_norm_mish(x, gamma, beta, add, groups), rtol=1e-5, atol=1e-5)


# All of them


def large_nodes(rng: np.random.Generator) -> list[tuple[str, dict[str, Array | None], dict[str, Any]]]:
    """Operators with enough to do for two threads."""
    x, weight = floats(rng, 300, 512), weight_of(rng, 1024, 512)
    few = linear_inputs(rng, x[:3], weight)
    many = linear_inputs(rng, x, weight)
    norm = {"x": floats(rng, 2, 200, 256), "gamma": floats(rng, 256), "beta": floats(rng, 256), "add": None}
    return [
        ("Linear8", few, {"activation": 3}),
        ("Linear8", many, {"activation": 2}),
        ("SelfAttention", {"qkv": floats(rng, 2, 200, 3 * 512)}, {"num_heads": 8}),
        ("GroupNormMish", norm, {"groups": 8}),
    ]


@needs_operators
@pytest.mark.parametrize("index", range(4))
def test_two_threads_compute_the_same_bits_as_one(rng: np.random.Generator, index: int) -> None:
    op, inputs, attributes = large_nodes(rng)[index]
    one, two = (compute(op, inputs, LINEAR_CONSTANTS, num_threads=threads, **attributes)[0] for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@needs_operators
@pytest.mark.parametrize("index", range(4))
def test_arrays_need_no_alignment(rng: np.random.Generator, index: int) -> None:
    op, inputs, attributes = large_nodes(rng)[index]
    session = session_of(graph_of(op, inputs, LINEAR_CONSTANTS, **attributes))
    given = {name: array for name, array in inputs.items() if name in session.inputs and array is not None}
    expected = session.run(given)["y"]
    binding, moved = session.bind(), {name: displaced(array) for name, array in given.items()}
    for name, array in moved.items():
        binding.input(name, array)
    y = displaced(np.zeros_like(expected))
    binding.output("y", y)
    binding.run()
    np.testing.assert_array_equal(y, expected)


def displaced(array: Array) -> Array:
    """A copy that starts four bytes behind the start of a cache line."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + 4
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


@needs_operators
@pytest.mark.parametrize("op", ["Linear8", "SelfAttention", "GroupNormMish"])
def test_nothing_in_gives_nothing_out(rng: np.random.Generator, op: str) -> None:
    inputs: dict[str, Array | None] = {
        "Linear8": linear_inputs(rng, floats(rng, 0, 8), weight_of(rng, 4, 8)),
        "SelfAttention": {"qkv": floats(rng, 1, 0, 3 * 16)},
        "GroupNormMish": {"x": floats(rng, 2, 0, 8), "gamma": floats(rng, 8), "beta": floats(rng, 8), "add": None},
    }[op]
    attributes = {"SelfAttention": {"num_heads": 1}}.get(op, {})
    assert compute(op, inputs, LINEAR_CONSTANTS, **attributes)[0].size == 0


WRONG_LINEARS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("bias has 3 elements, not 4", {"bias": np.zeros(3, np.float32)}, {}),
    ("residual has 4 elements, not 8", {"residual": np.zeros((1, 4), np.float32)}, {}),
    ("gamma and beta come together", {"beta": None}, {}),
    ("gamma has 9 elements, not 8", {"gamma": np.zeros(9, np.float32)}, {}),
    ("weight has ceil", {"x": np.zeros((2, 9), np.float32)}, {}),
    ("weight has ceil", {"scale": np.zeros(17, np.float32)}, {}),
    ("x is \\[B, T, K\\]", {}, {"taps": 3}),
]


@needs_operators
@pytest.mark.parametrize(("message", "changes", "attributes"), WRONG_LINEARS)
def test_inputs_that_do_not_fit_are_refused(
    rng: np.random.Generator, message: str, changes: dict[str, Any], attributes: dict[str, Any]
) -> None:
    inputs = linear_inputs(rng, floats(rng, 2, 8), weight_of(rng, 4, 8)) | changes
    with pytest.raises(InvalidArgument, match=f"cosyvoice.Linear8: {message}"):
        compute("Linear8", inputs, LINEAR_CONSTANTS, **attributes)


@needs_operators
@pytest.mark.parametrize(
    ("op", "message", "attributes"),
    [
        ("Linear8", "activation is one of 0..3, not 4", {"activation": 4}),
        ("Linear8", "taps is 1 or 3, not 5", {"taps": 5}),
        ("Linear8", "stride is 1, or 2 with 3 taps, not 2", {"stride": 2}),
        ("SelfAttention", "num_heads is positive, not 0", {}),
        ("GroupNormMish", "groups is positive, not -1", {"groups": -1}),
    ],
)
def test_attributes_that_mean_nothing_are_refused_with_the_graph(
    rng: np.random.Generator, op: str, message: str, attributes: dict[str, Any]
) -> None:
    inputs = {"x": floats(rng, 1, 2, 8)}
    if op == "Linear8":
        inputs = linear_inputs(rng, inputs["x"], weight_of(rng, 4, 8))
    elif op == "GroupNormMish":
        inputs |= {"gamma": floats(rng, 8), "beta": floats(rng, 8)}
    with pytest.raises(BundleError, match=f"cosyvoice.{op}: {message}"):
        compute(op, inputs, LINEAR_CONSTANTS, **attributes)


@needs_operators
def test_a_weight_must_be_a_constant(rng: np.random.Generator) -> None:
    inputs = linear_inputs(rng, floats(rng, 2, 8), weight_of(rng, 4, 8))
    with pytest.raises(BundleError, match="weight is a constant"):
        compute("Linear8", inputs, ["scale"])


# Files


@pytest.fixture
def linear_graph(rng: np.random.Generator) -> ModelProto:
    inputs = linear_inputs(rng, floats(rng, 2, 64), weight_of(rng, 64, 64)) | {"residual": None}
    return graph_of("Linear8", inputs, LINEAR_CONSTANTS, activation=1)


@needs_operators
def test_an_optimized_file_keeps_the_operator_and_its_weights(
    rng: np.random.Generator, linear_graph: ModelProto, tmp_path: Path
) -> None:
    source, target = tmp_path / "linear.onnx", tmp_path / "linear.optimized"
    onnx.save(linear_graph, source)
    optimize(source, target)
    (node,) = onnx.load(target, load_external_data=False).graph.node
    assert (node.domain, node.op_type, node.input[4]) == ("cosyvoice", "Linear8", "")
    assert (tmp_path / "linear.optimized.weights").stat().st_size >= 64 * 64

    x = floats(rng, 2, 64)
    written = make_session(target, num_threads=1, is_optimized=True).run({"x": x})["y"]
    np.testing.assert_array_equal(written, session_of(linear_graph).run({"x": x})["y"])

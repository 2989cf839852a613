"""Lowered graphs compute what the exported ones do, by operators as pipeline/native defines them, written in numpy."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.export.graph import GraphBuilder
from pipeline.export.quantize import int8_linear, int8_rectified_linear, int8_tensor_linear
from pipeline.runtime.bundle import Bundle, GraphName, Precision, new_bundle
from pipeline.runtime.lowering.linear import pack
from pipeline.runtime.lowering.lower import lower
from pipeline.runtime.onnx_file import Model, read_model

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
BUNDLED = Path(__file__).parents[3] / "pipeline" / "voices" / "bundled"
STANDARD = {  # what our operators replace
    "MatMulIntegerToFloat",
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "GroupQueryAttention",
    "MultiHeadAttention",
    "Attention",
}
Feeds = dict[str, np.ndarray]
erf = np.vectorize(math.erf, otypes=[np.float32])


class Linear8(OpRun):
    op_domain = "cosyvoice"

    def _run(self, x, weight, scale, bias=None, residual=None, gamma=None, beta=None, **attributes):
        if gamma is not None:
            x = normalized(x, (-1,), attributes["epsilon"]) * gamma + beta
        if attributes["taps"] == 3:
            x = np.pad(x, ((0, 0), (1, 1), (0, 0)))
            x = np.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], axis=2)[:, :: attributes["stride"]]
        levels, step = quantized(x, attributes["rectified"])
        num_panels, num_groups = weight.shape[:2]
        matrix = weight.transpose(0, 2, 1, 3).reshape(16 * num_panels, 4 * num_groups)[: len(scale), : x.shape[-1]]
        y = (levels @ matrix.T.astype(np.float64)).astype(np.float32) * step * scale
        y = activated(y if bias is None else y + bias, attributes["activation"])
        return (y if residual is None else y + residual,)


def quantized(x: np.ndarray, rectified: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels less the zero point, and the step of each row."""
    num_levels = 255 if rectified else 127
    peak = (np.maximum(x, 0) if rectified else np.abs(x)).max(axis=-1, keepdims=True)
    levels = np.rint(x / np.maximum(peak, 1e-20) * num_levels)
    return levels.clip(0 if rectified else -128, num_levels).astype(np.float64), peak / np.float32(num_levels)


def normalized(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=axes, keepdims=True)
    return (centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + np.float32(epsilon))).astype(np.float32)


def activated(y: np.ndarray, activation: int) -> np.ndarray:
    match activation:
        case 1:
            return np.maximum(y, 0)
        case 2:
            return y / 2 * (1 + erf(y / np.float32(math.sqrt(2))))
        case 3:
            return y / (1 + np.exp(-y))
    return y


class DistanceAttention(OpRun):
    op_domain = "cosyvoice"

    def _run(self, qkv, v_minus_u, relative, past_length, length, past_key, past_value, *scales, num_heads, scale):
        present = past_key.copy(), past_value.copy()
        steps = [array.reshape(num_heads, -1) for array in scales] or [np.float32(1)] * 2
        sequences = qkv.reshape(len(length), -1, 3, num_heads, past_key.shape[3])
        y = np.zeros_like(sequences[:, :, 0])
        for b, h, i in np.ndindex(len(length), num_heads, sequences.shape[1]):
            if i >= length[b]:
                continue
            position = past_length[b] + i
            seen = []
            for cache, new, step in zip(present, sequences[b, i, 1:, h], steps, strict=True):
                step = step[h] if scales else step
                cache[b, h, position] = np.rint(new / step).clip(-128, 127) if scales else new
                seen.append(cache[b, h, : position + 1] * step)
            q = sequences[b, i, 0, h]
            by_distance = (q + v_minus_u.reshape(num_heads, -1)[h]) @ relative[h][:, position::-1]
            y[b, i, h] = softmax(scale * seen[0] @ q + by_distance) @ seen[1]
        return y.reshape(len(qkv), -1), *present


class SelfAttention(OpRun):
    op_domain = "cosyvoice"

    def _run(self, qkv, *, num_heads):
        B, T, channels = qkv.shape
        q, k, v = qkv.reshape(B, T, 3, num_heads, -1).transpose(2, 0, 3, 1, 4)
        y = softmax(q @ k.swapaxes(2, 3) / np.float32(math.sqrt(q.shape[3]))) @ v
        return (y.transpose(0, 2, 1, 3).reshape(B, T, channels // 3),)


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


class GroupNormMish(OpRun):
    op_domain = "cosyvoice"

    def _run(self, x, gamma, beta, add=None, *, groups, epsilon):
        B, T, C = x.shape
        y = normalized(x.reshape(B, T, groups, -1), (1, 3), epsilon).reshape(B, T, C) * gamma + beta
        y = y * np.tanh(np.logaddexp(np.float32(0), y))
        return (y if add is None else y + add[:, None],)


OPERATORS = [Linear8, DistanceAttention, SelfAttention, GroupNormMish]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("bundles") / "small"
    with new_bundle(path) as folder:
        write_graphs(load_checkpoint(REFERENCE), folder, ("fp32", "int8", "int4"), "small", lambda line: None)
    return Bundle.open(path)


def lowered(source: Path, folder: Path) -> Path:
    target = folder / "lowered.onnx"
    assert lower(source, target)
    return target


def run(source: Path, feeds: Feeds, outputs: list[str]) -> list[np.ndarray]:
    return ort.InferenceSession(str(source), providers=["CPUExecutionProvider"]).run(outputs, feeds)


def run_lowered(source: Path, folder: Path, feeds: Feeds, outputs: list[str]) -> list[np.ndarray]:
    return ReferenceEvaluator(str(lowered(source, folder)), new_ops=OPERATORS).run(outputs, feeds)


def assert_computes_the_same(source: Path, folder: Path, feeds: Feeds, outputs: list[str], tolerance: float) -> None:
    """Up to a tolerance relative to an output's norm: levels at a tie are rounded either way."""
    for expected, y in zip(run(source, feeds, outputs), run_lowered(source, folder, feeds, outputs), strict=True):
        assert y.dtype == expected.dtype
        assert relative_distance(y, expected) <= tolerance


def relative_distance(y: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(y.astype(np.float64) - expected) / np.linalg.norm(expected))


def lm_feeds(bundle: Bundle, past_length: list[int], length: list[int], dtype: type) -> Feeds:
    spec, random = bundle.manifest.lm, np.random.default_rng(0)
    B, M = len(length), 12
    feeds = {
        "hidden": random.standard_normal((B, max(length), spec.hidden_size), np.float32),
        "past_length": np.array(past_length),
        "length": np.array(length),
    }
    for index in range(spec.num_layers):
        for kind in ("key", "value"):
            cache = 20 * random.standard_normal((B, spec.num_heads, M, spec.head_dim))
            feeds[f"past_{kind}.{index}"] = (cache if dtype is np.int8 else cache / 20).astype(dtype)
        feeds[f"relative.{index}"] = random.standard_normal((spec.num_heads, spec.head_dim, M), np.float32)
    return feeds


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", np.float32), ("int8", np.int8)])
@pytest.mark.parametrize(("past_length", "length"), [([0, 0], [9, 4]), ([7, 0, 11], [1, 1, 1])])
def test_the_lm_gives_the_same_logits(
    small: Bundle, tmp_path: Path, precision: Precision, dtype: type, past_length: list[int], length: list[int]
) -> None:
    feeds = lm_feeds(small, past_length, length, dtype)
    source = small.graph("lm", precision)
    assert_computes_the_same(source, tmp_path, feeds, ["logits"], 1e-5 if precision == "fp32" else 1e-3)


def test_the_lm_fills_the_same_cache(small: Bundle, tmp_path: Path) -> None:
    feeds = lm_feeds(small, [11, 11], [1, 1], np.int8)
    names = [name.replace("past_", "present_") for name in feeds if name.startswith(("past_key", "past_value"))]
    assert_computes_the_same(small.graph("lm", "int8"), tmp_path, feeds, names, 1e-2)


def estimator_feeds(num_frames: int) -> Feeds:
    random = np.random.default_rng(0)
    frames = {name: random.standard_normal((2, num_frames, 80), np.float32) for name in ("x", "mu", "cond")}
    return {**frames, "spks": random.standard_normal((2, 80), np.float32), "t": np.array([0.3], np.float32)}


def flow_encoder_feeds(bundle: Bundle) -> Feeds:
    random, num_tokens = np.random.default_rng(0), 12
    position = np.arange(20) * num_tokens / 20
    lower_token = position.astype(np.int64)
    return {
        "tokens": random.integers(0, 10, (1, num_tokens)),
        "speaker": random.standard_normal((1, bundle.manifest.lm.speaker_size), np.float32),
        "upper_weight": (position - lower_token)[:, None].astype(np.float32),
        "lower": lower_token,
        "upper": np.minimum(lower_token + 1, num_tokens - 1),
    }


@pytest.mark.parametrize("num_frames", [5, 16])
def test_the_flow_estimator_is_about_as_near_to_fp32(small: Bundle, tmp_path: Path, num_frames: int) -> None:
    assert_about_as_near_to_fp32(small, tmp_path, "flow_estimator", estimator_feeds(num_frames), "velocity")


def test_the_flow_encoder_is_about_as_near_to_fp32(small: Bundle, tmp_path: Path) -> None:
    assert_about_as_near_to_fp32(small, tmp_path, "flow_encoder", flow_encoder_feeds(small), "mu")


def assert_about_as_near_to_fp32(bundle: Bundle, folder: Path, name: GraphName, feeds: Feeds, output: str) -> None:
    """As the exported graph, which has one scale for all rows, where a lowered one has one for each."""
    (exact,), (exported,) = (run(bundle.graph(name, precision), feeds, [output]) for precision in ("fp32", "int8"))
    (y,) = run_lowered(bundle.graph(name, "int8"), folder, feeds, [output])
    assert relative_distance(y, exact) <= 1.5 * relative_distance(exported, exact)


def test_the_text_encoder_gives_the_same_hidden_values(small: Bundle, tmp_path: Path) -> None:
    source, random, T = small.graph("lm_prefix", "int8"), np.random.default_rng(0), 6
    _, hidden_size = read_model(source).graph.inputs["position_encoding"]
    assert isinstance(hidden_size, int)
    feeds = {
        "text": random.integers(0, 10, (2, T)),
        "text_length": np.array([T, 4]),
        "speaker": random.standard_normal((2, small.manifest.lm.speaker_size), np.float32),
        "position_encoding": random.standard_normal((2 * T - 1, hidden_size), np.float32),
    }
    assert_computes_the_same(source, tmp_path, feeds, ["prefill_hidden"], 1e-3)


COUNTS = {
    "lm": {"Linear8": 21, "DistanceAttention": 5},
    "lm_prefix": {"Linear8": 22},
    "flow_encoder": {"Linear8": 14, "GroupNormMish": 4},
    "flow_estimator": {"Linear8": 50, "SelfAttention": 6, "GroupNormMish": 13},
}


@pytest.mark.parametrize("name", COUNTS)
def test_all_of_a_bundled_graph_is_lowered(name: GraphName, tmp_path: Path) -> None:
    model = read_model(lowered(BUNDLED / f"{name}.int8.onnx", tmp_path))
    counts = Counter(node.op for node in model.graph.nodes)
    assert {op: counts[op] for op in COUNTS[name]} == COUNTS[name]
    assert not STANDARD & counts.keys()
    assert model.opsets["cosyvoice"] == 1
    before = read_model(BUNDLED / f"{name}.int8.onnx").graph
    assert (model.graph.inputs, model.graph.outputs) == (before.inputs, before.outputs)
    used = {value for node in model.graph.nodes for value in node.inputs}
    assert model.graph.initializers.keys() <= used


def linears(model: Model) -> list[tuple[Any, ...]]:
    """Activation and optional inputs of each."""
    names = "bias", "residual", "gamma"
    return [
        (node.attributes["activation"], *(name for name, value in zip(names, node.inputs[3:6], strict=False) if value))
        for node in model.graph.nodes
        if node.op == "Linear8"
    ]


def test_the_lm_has_no_operator_beside_its_layers(tmp_path: Path) -> None:
    model = read_model(lowered(BUNDLED / "lm.int8.onnx", tmp_path))
    layer = [(0, "bias", "gamma"), (0, "bias", "residual"), (0, "bias", "gamma"), (0, "bias", "residual")]
    assert linears(model) == [*layer * 5, (0, "bias", "gamma")]


def test_four_bit_weights_stay_as_they_are(small: Bundle, tmp_path: Path) -> None:
    counts = Counter(node.op for node in read_model(lowered(small.graph("lm", "int4"), tmp_path)).graph.nodes)
    before = Counter(node.op_type for node in onnx.load(small.graph("lm", "int4")).graph.node)
    assert counts["MatMulNBits"] == before["MatMulNBits"]
    assert counts["DistanceAttention"] == before["GroupQueryAttention"]


class Example:
    """A graph of one layer, w f32 [6, 8], and what is around it."""

    def __init__(self, linear: Any = int8_linear) -> None:
        self.graph = GraphBuilder("example")
        self.x = self.graph.input("x", TensorProto.FLOAT, ["B", "T", 8])
        self.linear = linear

    def layer(self, x: str) -> str:
        random = np.random.default_rng(0)
        weight, bias = random.standard_normal((6, 8), np.float32), random.standard_normal(6, np.float32)
        value: str = self.linear(self.graph, x, "layer", weight, bias)
        return value

    def lowered(self, y: str, folder: Path) -> Model:
        """With y as output, having checked that it is computed as before."""
        self.graph.output("y", y, TensorProto.FLOAT, ["B", "T", 6])
        source = folder / "example.onnx"
        onnx.save(self.graph.model(), source)
        shapes = {"x": (2, 3, 8), "residual": (2, 3, 6), "row": (1, 6)}
        random = np.random.default_rng(1)
        feeds = {value.name: random.standard_normal(shapes[value.name], np.float32) for value in self.graph.inputs}
        assert_computes_the_same(source, folder, feeds, ["y"], 1e-2)
        return read_model(folder / "lowered.onnx")


@pytest.mark.parametrize("linear", [int8_linear, int8_rectified_linear, int8_tensor_linear])
def test_layers_of_every_kind_are_lowered(linear: Any, tmp_path: Path) -> None:
    example = Example(linear)
    assert linears(example.lowered(example.layer(example.x), tmp_path)) == [(0, "bias")]


def test_activations_become_part_of_a_layer(tmp_path: Path) -> None:
    for number, op in enumerate(("Relu", "Gelu"), 1):
        example = Example()
        assert linears(example.lowered(example.graph.op(op, example.layer(example.x)), tmp_path)) == [(number, "bias")]
    example = Example()
    y = example.layer(example.x)
    assert linears(example.lowered(example.graph.mul(example.graph.op("Sigmoid", y), y), tmp_path)) == [(3, "bias")]


@pytest.mark.parametrize(("name", "is_fused"), [("residual", True), ("row", False)])
def test_only_a_residual_of_the_same_shape_becomes_part_of_a_layer(name: str, is_fused: bool, tmp_path: Path) -> None:
    example = Example()
    other = example.graph.input(name, TensorProto.FLOAT, ["B", "T", 6] if name == "residual" else [1, 6])
    model = example.lowered(example.graph.add(other, example.layer(example.x)), tmp_path)
    assert linears(model) == [(0, "bias", "residual") if is_fused else (0, "bias")]


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_layer_norm_becomes_part_of_its_readers_if_all_are_layers(is_shared: bool, tmp_path: Path) -> None:
    example, ones = Example(), np.ones(8, np.float32)
    graph = example.graph
    weights = graph.weight("gamma", 2 * ones), graph.weight("beta", ones)
    x = graph.op("LayerNormalization", example.x, *weights, axis=-1, epsilon=1e-5)
    y = example.layer(x)
    if is_shared:
        y = graph.add(y, graph.op("ReduceMax", x, graph.const([-1], np.int64), keepdims=1))
    assert linears(example.lowered(y, tmp_path)) == [(0, "bias") if is_shared else (0, "bias", "gamma")]


def test_what_is_not_as_the_exporter_writes_it_stays(tmp_path: Path) -> None:
    example = Example()
    example.graph.output("y", example.layer(example.x), TensorProto.FLOAT, ["B", "T", 6])
    model = example.graph.model()
    (division,) = (node for node in model.graph.node if node.op_type == "Div")
    division.input[1] = division.input[0]
    onnx.save(model, tmp_path / "example.onnx")
    assert not lower(tmp_path / "example.onnx", tmp_path / "lowered.onnx")
    assert not (tmp_path / "lowered.onnx").exists()


def test_weights_are_packed_in_panels_of_sixteen_outputs() -> None:
    weight = np.arange(-60, 60, dtype=np.int8).reshape(6, 20)
    packed = pack(weight)
    assert packed.shape == (2, 2, 16, 4)
    for (k, n), level in np.ndenumerate(weight):
        assert packed[n // 16, k // 4, n % 16, k % 4] == level
    assert np.abs(packed.astype(int)).sum() == np.abs(weight.astype(int)).sum()  # zeros behind the ends

"""DistanceAttention against numpy: ragged batches, caches written in place, the same bits however a prompt is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from one_node import Array, compute, graph_of, needs_operators, session_of
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from pipeline.runtime.session import Session

HEADS, DIM, CAPACITY = 3, 64, 90
WIDTH = HEADS * DIM
SCALE = 1 / math.sqrt(DIM)
CONSTANTS = ["v_minus_u", "relative", "key_scale", "value_scale"]
OUTPUTS = ["y", "present_key", "present_value"]

pytestmark = needs_operators


@dataclass(frozen=True)
class Step:
    """Queries of a batch, each sequence's behind what its cache has."""

    qkv: Array  # f32 [B, T, 3 * WIDTH]
    past_length: Sequence[int]
    length: Sequence[int]
    key: Array  # [B, HEADS, CAPACITY, DIM]
    value: Array

    def inputs(self, model: Model) -> dict[str, Array | None]:
        return {
            "qkv": self.qkv.reshape(-1, 3 * WIDTH),
            "v_minus_u": model.v_minus_u,
            "relative": model.relative,
            "past_length": np.array(self.past_length, np.int64),
            "length": np.array(self.length, np.int64),
            "past_key": self.key,
            "past_value": self.value,
            "key_scale": model.key_scale,
            "value_scale": model.value_scale,
        }

    def rows(self, sequences: slice) -> Step:
        past_length, length = self.past_length[sequences], self.length[sequences]
        return Step(self.qkv[sequences], past_length, length, self.key[sequences].copy(), self.value[sequences].copy())


@dataclass(frozen=True)
class Model:
    dtype: type[np.float32] | type[np.int8]
    v_minus_u: Array
    relative: Array  # f32 [HEADS, DIM, CAPACITY]
    key_scale: Array | None
    value_scale: Array | None

    def session(self, step: Step, num_threads: int = 1) -> Session:
        graph = graph_of("DistanceAttention", step.inputs(self), CONSTANTS, OUTPUTS, num_heads=HEADS, scale=SCALE)
        return session_of(graph, num_threads=num_threads)

    def attend(self, step: Step, *, num_threads: int = 1) -> Array:
        """[B, T, WIDTH]; the step's caches are written to, as serving does it."""
        session = self.session(step, num_threads)
        binding = session.bind()
        given = {name: array for name, array in step.inputs(self).items() if name in session.inputs}
        for name, array in given.items():
            assert array is not None
            binding.input(name, array)
        y = np.full((step.qkv.shape[0] * step.qkv.shape[1], WIDTH), np.nan, np.float32)
        binding.output("y", y)
        binding.output("present_key", step.key)
        binding.output("present_value", step.value)
        binding.run()
        return y.reshape(*step.qkv.shape[:2], WIDTH)

    def stored(self, x: Array, scale: Array | None) -> Array:
        """[.., WIDTH] as the cache holds it."""
        return x if scale is None else np.clip(np.rint(x / scale), -128, 127).astype(np.int8)

    def expected(self, step: Step, key: Array, value: Array) -> Array:
        """From caches that have the step's own keys and values already."""
        y = np.zeros((*step.qkv.shape[:2], WIDTH))
        for b, (past, length) in enumerate(zip(step.past_length, step.length, strict=True)):
            for i in range(length):
                for head in range(HEADS):
                    y[b, i, head * DIM :][:DIM] = self._row(
                        step.qkv[b, i], key[b, head], value[b, head], head, past + i
                    )
        return y

    def _row(self, qkv: Array, key: Array, value: Array, head: int, position: int) -> Array:
        part = slice(head * DIM, (head + 1) * DIM)
        q = qkv[part].astype(np.float64)
        keys, values = key[: position + 1].astype(np.float64), value[: position + 1].astype(np.float64)
        if self.key_scale is not None and self.value_scale is not None:
            keys, values = keys * self.key_scale[part], values * self.value_scale[part]
        distances = position - np.arange(position + 1)
        logits = SCALE * keys @ q + (q + self.v_minus_u[part]) @ self.relative[head][:, distances]
        weights = np.exp(logits - logits.max())
        return weights / weights.sum() @ values


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def floats(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.fixture(params=[np.float32, np.int8], ids=["f32", "i8"])
def model(request: pytest.FixtureRequest, rng: np.random.Generator) -> Model:
    is_int8 = request.param is np.int8
    return Model(
        request.param,
        v_minus_u=floats(rng, WIDTH),
        relative=floats(rng, HEADS, DIM, CAPACITY) / 8,
        key_scale=(0.5 + rng.random(WIDTH, np.float32)) / 40 if is_int8 else None,
        value_scale=(0.5 + rng.random(WIDTH, np.float32)) / 40 if is_int8 else None,
    )


def step_of(
    rng: np.random.Generator, model: Model, num_frames: int, past_length: Sequence[int], length: Sequence[int]
) -> Step:
    shape = (len(length), HEADS, CAPACITY, DIM)
    if model.dtype is np.int8:
        key, value = (rng.integers(-127, 128, shape, np.int8) for _ in range(2))
    else:
        key, value = (floats(rng, *shape) for _ in range(2))
    return Step(floats(rng, len(length), num_frames, 3 * WIDTH), past_length, length, key, value)


def copied(step: Step) -> Step:
    return replace(step, key=step.key.copy(), value=step.value.copy())


CASES = {
    "first_token": (1, [0], [1]),
    "decode": (1, [40, 0, 89, 7], [1, 1, 1, 1]),
    "prefill": (30, [0, 0], [30, 30]),
    "ragged": (20, [5, 0, 60, 33], [20, 0, 7, 1]),
    "to_the_end": (45, [45], [45]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_queries_attend_to_what_is_past_by_key_and_by_distance(
    rng: np.random.Generator, model: Model, case: tuple[int, list[int], list[int]]
) -> None:
    step = step_of(rng, model, *case)
    y = model.attend(step)
    # With bytes in the cache, queries and weights are levels of 16 bits.
    accuracy = 1e-3 if model.dtype is np.int8 else 2e-5
    np.testing.assert_allclose(y, model.expected(step, step.key, step.value), atol=accuracy)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_keys_and_values_are_written_behind_what_is_past_and_nowhere_else(
    rng: np.random.Generator, model: Model, case: tuple[int, list[int], list[int]]
) -> None:
    step = step_of(rng, model, *case)
    before = copied(step)
    model.attend(step)
    for part, cache, old, scale in (
        (1, step.key, before.key, model.key_scale),
        (2, step.value, before.value, model.value_scale),
    ):
        new = model.stored(step.qkv[..., part * WIDTH : (part + 1) * WIDTH], scale)
        expected = old.copy()
        for b, (past, length) in enumerate(zip(step.past_length, step.length, strict=True)):
            expected[b, :, past : past + length] = new[b, :length].reshape(length, HEADS, DIM).transpose(1, 0, 2)
        np.testing.assert_array_equal(cache, expected)


def test_caches_that_are_not_bound_to_the_past_are_copies_with_the_new(rng: np.random.Generator, model: Model) -> None:
    step = step_of(rng, model, 4, [10, 30], [4, 2])
    before = copied(step)
    inputs = step.inputs(model)
    y, key, value = compute("DistanceAttention", inputs, CONSTANTS, OUTPUTS, num_heads=HEADS, scale=SCALE)
    np.testing.assert_array_equal(step.key, before.key)
    np.testing.assert_array_equal(model.attend(step).reshape(-1, WIDTH), y)
    np.testing.assert_array_equal(step.key, key)
    np.testing.assert_array_equal(step.value, value)


def test_a_sequence_is_the_same_alone_and_among_others(rng: np.random.Generator, model: Model) -> None:
    step = step_of(rng, model, 12, [20, 3, 0, 70], [12, 5, 12, 1])
    alone = [step.rows(slice(b, b + 1)) for b in range(4)]
    together = model.attend(step)
    for b, one in enumerate(alone):
        np.testing.assert_array_equal(model.attend(one)[0], together[b])
        np.testing.assert_array_equal(one.key[0], step.key[b])


@pytest.mark.parametrize("chunk", [1, 7, 16])
def test_a_prompt_in_chunks_is_the_same_as_at_once(rng: np.random.Generator, model: Model, chunk: int) -> None:
    whole = step_of(rng, model, 40, [3], [40])
    cut = copied(whole)
    expected = model.attend(whole)
    for start in range(0, 40, chunk):
        now = cut.qkv[:, start : start + chunk]
        y = model.attend(replace(cut, qkv=now, past_length=[3 + start], length=[now.shape[1]]))
        np.testing.assert_array_equal(y, expected[:, start : start + chunk])
    np.testing.assert_array_equal(cut.value, whole.value)


def test_padding_changes_nothing(rng: np.random.Generator, model: Model) -> None:
    tight = step_of(rng, model, 5, [8], [5])
    wide = copied(tight)
    wide = replace(wide, qkv=np.concatenate([wide.qkv, floats(rng, 1, 11, 3 * WIDTH)], axis=1))
    expected, y = model.attend(tight), model.attend(wide)
    np.testing.assert_array_equal(y[:, :5], expected)
    np.testing.assert_array_equal(y[:, 5:], 0)


@pytest.mark.parametrize(
    "case", [(1, [80, 3, 44, 0], [1, 1, 1, 1]), (60, [20, 0], [60, 31])], ids=["decode", "prefill"]
)
def test_two_threads_compute_the_same_bits_as_one(
    rng: np.random.Generator, model: Model, case: tuple[int, list[int], list[int]]
) -> None:
    one = step_of(rng, model, *case)
    two = copied(one)
    np.testing.assert_array_equal(model.attend(one), model.attend(two, num_threads=2))
    np.testing.assert_array_equal(one.key, two.key)


def test_what_is_not_yet_written_is_not_read(rng: np.random.Generator) -> None:
    model = Model(np.float32, floats(rng, WIDTH), floats(rng, HEADS, DIM, CAPACITY) / 8, None, None)
    step = step_of(rng, model, 2, [5], [2])
    step.key[:, :, 7:] = np.nan
    step.value[:, :, 7:] = np.nan
    assert np.isfinite(model.attend(step)).all()


@pytest.mark.parametrize(
    ("past_length", "length", "message"),
    [
        ([89], [2], "past_length and length have room"),
        ([-1], [1], "past_length and length have room"),
        ([0], [3], "length is one of 0..T, not 3"),
        ([0], [-1], "length is one of 0..T, not -1"),
        ([0, 0], [1, 1], "past_length has 2 elements, not 1"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(
    rng: np.random.Generator, model: Model, past_length: list[int], length: list[int], message: str
) -> None:
    step = step_of(rng, model, 2, [0], [1])
    before = copied(step)
    with pytest.raises(InvalidArgument, match=message):
        compute(
            "DistanceAttention",
            step.inputs(model) | {"past_length": np.array(past_length), "length": np.array(length)},
            CONSTANTS,
            OUTPUTS,
            num_heads=HEADS,
            scale=SCALE,
        )
    np.testing.assert_array_equal(step.key, before.key)


def test_the_length_of_a_sequence_without_queries_is_not_looked_at(rng: np.random.Generator, model: Model) -> None:
    step = step_of(rng, model, 1, [4000, 5], [0, 1])
    assert np.isfinite(model.attend(step)).all()


def test_scales_go_with_bytes(rng: np.random.Generator, model: Model) -> None:
    step = step_of(rng, model, 1, [5], [1])
    scale = None if model.dtype is np.int8 else np.ones(WIDTH, np.float32)
    with pytest.raises(InvalidArgument, match="value_scale goes with i8 caches"):
        compute(
            "DistanceAttention",
            step.inputs(model) | {"value_scale": scale},
            CONSTANTS,
            OUTPUTS,
            num_heads=HEADS,
            scale=SCALE,
        )

"""The vocoder's operators on bytes, one node at a time, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import Array, compute, needs_operators
from onnx import TensorProto

from pipeline.errors import BundleError
from pipeline.runtime.lowering.linear import pack

CONSTANTS = ["weight", "offset", "gain", "table", "shift", "scale", "zero"]
pytestmark = needs_operators


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def convolved(x: Array, weight: Array, dilation: int, zero: int) -> Array:
    """Sums of bytes [T, C] times filters [N, taps, C]: i64 [T, N]."""
    num_taps = weight.shape[1]
    margin = num_taps // 2 * dilation
    padded = np.pad(x, ((margin, margin), (0, 0)), constant_values=zero).astype(np.int64)
    taps = [padded[tap * dilation : tap * dilation + len(x)] for tap in range(num_taps)]
    return np.einsum("ktc,nkc->tn", np.stack(taps), weight.astype(np.int64))


def conv_inputs(
    rng: np.random.Generator, num_frames: int, sizes: tuple[int, int, int]
) -> tuple[dict[str, Array], Array]:
    """What both forms of the convolution read, and the filters [N, taps, C]."""
    num_in, num_out, taps = sizes
    weight = rng.integers(-127, 128, (num_out, taps, num_in), dtype=np.int8)
    inputs = {
        "x": rng.integers(0, 256, (1, 1, num_frames, num_in), dtype=np.uint8),
        "weight": pack(np.ascontiguousarray(weight.reshape(num_out, -1).T)),
        "offset": rng.integers(-5000, 5000, num_out, dtype=np.int32),
        "gain": (rng.random(num_out) * 4e-4).astype(np.float32),
    }
    return inputs, weight


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 16, 300])
@pytest.mark.parametrize("num_channels", [8, 16, 20])
def test_snake_bytes_look_up_each_channels_table_and_put_channels_last(
    rng: np.random.Generator, num_channels: int, num_frames: int, num_threads: int
) -> None:
    x = rng.standard_normal((1, num_channels, 1, num_frames)).astype(np.float32)
    scale = (0.01 + rng.random(num_channels) * 0.02).astype(np.float32)
    zero = rng.integers(0, 256, num_channels, dtype=np.uint8)
    table = rng.integers(0, 256, (1, num_channels, 1, 256), dtype=np.uint8)
    inputs = {"x": x, "scale": scale, "zero": zero, "table": table}
    (y,) = compute("SnakeBytes", inputs, CONSTANTS, output_type=TensorProto.UINT8, num_threads=num_threads)
    levels = np.clip(np.rint(x[0, :, 0] / scale[:, None]) + zero[:, None], 0, 255).astype(np.int64)
    expected = np.take_along_axis(table[0, :, 0], levels, axis=1)
    np.testing.assert_array_equal(y, expected.T[None, None])


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("sizes", [(4, 16, 3), (20, 24, 7), (64, 80, 1), (32, 64, 11)])
@pytest.mark.parametrize(("num_frames", "dilation"), [(1, 1), (8, 3), (101, 5)])
def test_a_convolution_of_bytes_ends_in_the_next_table(
    rng: np.random.Generator, sizes: tuple[int, int, int], num_frames: int, dilation: int, num_threads: int
) -> None:
    inputs, weight = conv_inputs(rng, num_frames, sizes)
    table = rng.integers(0, 256, (1, sizes[1], 1, 256), dtype=np.uint8)
    attributes: dict[str, Any] = {"taps": sizes[2], "dilation": dilation, "zero": 93}
    (y,) = compute(
        "ByteConv",
        {**inputs, "table": table},
        CONSTANTS,
        output_type=TensorProto.UINT8,
        num_threads=num_threads,
        **attributes,
    )
    sums = convolved(inputs["x"][0, 0], weight, dilation, 93) + inputs["offset"]
    levels = np.clip(np.rint(sums.astype(np.float32) * inputs["gain"]) + 128, 0, 255).astype(np.int64)
    assert np.mean((levels > 0) & (levels < 255)) > 0.05, "most sums are clipped: the test would see nothing"
    np.testing.assert_array_equal(y[0, 0].T, np.take_along_axis(table[0, :, 0], levels.T, axis=1))


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("sizes", [(4, 16, 3), (20, 24, 7), (32, 64, 11)])
@pytest.mark.parametrize("num_frames", [1, 8, 101])
def test_a_convolution_of_bytes_is_added_to_floats_with_channels_first(
    rng: np.random.Generator, sizes: tuple[int, int, int], num_frames: int, num_threads: int
) -> None:
    inputs, weight = conv_inputs(rng, num_frames, sizes)
    shift = rng.standard_normal(sizes[1]).astype(np.float32)
    residual = rng.standard_normal((1, sizes[1], 1, num_frames)).astype(np.float32)
    inputs |= {"shift": shift, "residual": residual}
    attributes: dict[str, Any] = {"taps": sizes[2], "zero": 7}
    (y,) = compute("ByteConvAdd", inputs, CONSTANTS, num_threads=num_threads, **attributes)
    sums = convolved(inputs["x"][0, 0], weight, 1, 7) + inputs["offset"]
    expected = residual[0, :, 0] + (sums * inputs["gain"].astype(np.float64) + shift).T
    np.testing.assert_allclose(y[0, :, 0], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [({"taps": 4}, "taps is an odd number, not 4"), ({"dilation": 0}, "dilation is positive, not 0")],
)
def test_a_convolution_refuses_what_it_cannot_compute(
    rng: np.random.Generator, attributes: dict[str, Any], what: str
) -> None:
    inputs, _ = conv_inputs(rng, 5, (4, 16, 3))
    table = np.zeros((1, 16, 1, 256), np.uint8)
    with pytest.raises(BundleError, match=what):
        compute(
            "ByteConv",
            {**inputs, "table": table},
            CONSTANTS,
            output_type=TensorProto.UINT8,
            **{"taps": 3, **attributes},
        )

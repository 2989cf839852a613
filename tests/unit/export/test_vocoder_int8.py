"""The vocoder in 8 bits: near the exact one, refused where it is not, and with scales that no input changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.export import export as exporter
from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.export.hift_graph import build_hift_graphs
from pipeline.export.vocoder_int8 import (
    Example,
    Range,
    build_int8_vocoder,
    measure_ranges,
    quantize_filter,
    signal_to_noise_db,
    snake_table,
)
from pipeline.runtime.session import make_session
from pipeline.types import F32

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(REFERENCE)


@pytest.fixture(scope="module")
def state(checkpoint: Checkpoint) -> dict[str, F32]:
    return {name: tensor.numpy() for name, tensor in checkpoint.hift.state_dict().items()}


def example(seed: int, num_frames: int = 30, loudness: float = 1.0) -> Example:
    random = np.random.default_rng(seed)
    mel = loudness * random.standard_normal((num_frames, 80), np.float32)
    return Example(mel, 0.1 * random.standard_normal(num_frames * 256, np.float32))


def inputs_of(one: Example) -> dict[str, np.ndarray]:
    return {"mel": one.mel[None], "source": one.source[None], "context": np.zeros(2, np.int64)}


def test_a_range_covers_its_values_and_has_an_exact_zero_in_each_channel() -> None:
    low, high = np.array([-1.0, 0.0, -5.0, 0.0], np.float32), np.array([3.0, 2.0, 0.0, 0.0], np.float32)
    values = Range(low, high)
    grid = (np.arange(256) - values.zero_point[:, None].astype(int)) * values.scale[:, None]
    assert (grid[:, 0] <= low + values.scale).all()
    assert (grid[:, -1] >= high - values.scale).all()
    assert (grid == 0).any(axis=1).all()


def test_a_channel_silent_in_the_examples_still_has_a_range() -> None:
    values = Range(np.array([-8.0, 0.0], np.float32), np.array([4.0, 0.0], np.float32)).widened()
    assert values.low.tolist() == [-8.0, -2.0]
    assert values.high.tolist() == [4.0, 1.0]


def test_a_table_is_snake_of_every_byte_to_the_nearest_byte() -> None:
    before = Range(np.array([-2.0, -0.5], np.float32), np.array([1.0, 4.0], np.float32))
    after = Range(np.float32(-2.0), np.float32(6.0))
    alpha = np.array([0.5, 3.0], np.float32)
    table = snake_table(alpha, before, after)
    assert table.shape == (2, 256)
    for channel in range(2):
        x = (np.arange(256) - int(before.zero_point[channel])) * before.scale[channel]
        y = x + np.sin(alpha[channel] * x) ** 2 / alpha[channel]
        made = (table[channel].astype(int) - int(after.zero_point)) * after.scale
        is_inside = (y > after.low) & (y < after.high)
        assert is_inside.sum() > 200
        assert np.abs(made - y)[is_inside].max() <= 0.51 * after.scale
    assert table[:, 255].max() <= 255
    zeros = table[np.arange(2), before.zero_point]
    assert (zeros == after.zero_point).all()  # so that padding in bytes is padding with 0


def test_a_filter_of_zeros_keeps_its_bias() -> None:
    weight = np.zeros((2, 3, 5), np.float32)
    weight[1] = np.linspace(-1, 1, 15).reshape(3, 5)
    bias = np.array([7.0, -0.25], np.float32)
    levels, scale = quantize_filter(weight, bias)
    np.testing.assert_allclose(np.rint(bias / scale).astype(np.int32) * scale, bias, rtol=1e-2)
    np.testing.assert_allclose(levels * scale[:, None, None], weight, atol=scale[1])
    assert np.isfinite(scale).all()


def test_eight_bits_are_near_the_exact_wave_of_an_example_not_measured(
    checkpoint: Checkpoint, state: dict[str, F32]
) -> None:
    config = checkpoint.config.hift
    ranges = measure_ranges(state, config, [example(0), example(1)])
    exact, rounded = build_hift_graphs(state, config)["vocoder"], build_int8_vocoder(state, config, ranges)
    assert 30 < signal_to_noise_db(exact, rounded, [example(2)]) < 80
    assert signal_to_noise_db(exact, exact, [example(2)]) > 100
    assert rounded.ByteSize() < exact.ByteSize()


def test_frames_inside_a_chunk_do_not_depend_on_the_rest(checkpoint: Checkpoint, state: dict[str, F32]) -> None:
    config = checkpoint.config.hift
    ranges = measure_ranges(state, config, [example(0)])
    session = make_session(build_int8_vocoder(state, config, ranges).SerializeToString(), num_threads=1)
    whole = example(3, 80)
    whole.mel[60:] *= 4  # a scale found at run time would follow the loudest frame
    part = Example(whole.mel[:50], whole.source[: 50 * 256])
    waves = [session.run(inputs_of(one))["wave"][0] for one in (whole, part)]
    inside = slice(0, 20 * 256)
    np.testing.assert_allclose(waves[0][inside], waves[1][inside], atol=2e-5)
    assert np.abs(waves[0][inside]).max() > 1e-3


def test_a_vocoder_that_eight_bits_would_spoil_stays_exact(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "MIN_SIGNAL_TO_NOISE_DB", 200.0)
    lines: list[str] = []
    write_graphs(checkpoint, tmp_path, ["fp32", "int8"], "small", lines.append)
    assert any("it stays fp32" in line for line in lines)
    graphs = [(tmp_path / f"vocoder.{precision}.onnx").read_bytes() for precision in ("fp32", "int8")]
    assert graphs[0] == graphs[1]

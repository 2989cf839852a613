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
    signal_to_noise_db,
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


def test_a_range_covers_its_values_and_has_an_exact_zero() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 2.0), (-5.0, 0.0), (0.0, 0.0)):
        values = Range(low, high)
        grid = (np.arange(256) - int(values.zero_point)) * values.scale
        assert grid[0] <= low + values.scale
        assert grid[-1] >= high - values.scale
        assert 0 in grid


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
    waves = [session.run({"mel": one.mel[None], "source": one.source[None]})["wave"][0] for one in (whole, part)]
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

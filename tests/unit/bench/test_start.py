"""Starts that are timed, and the memory that replicas share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.bench import replica
from pipeline.bench.process import private_mb
from pipeline.bench.replica import start
from pipeline.runtime.bundle import Bundle

TEXT = "你好，今天。"


def test_a_start_is_timed_in_order_and_prepares_the_graphs(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_alone(function: str, **arguments: object) -> object:
        assert function == "replica:start"
        return start(**arguments, spawned_at=0.0)  # type: ignore[arg-type]

    monkeypatch.setattr(replica, "run_alone", run_alone)
    first = start(str(bundle.path), "int8", str(tmp_path), TEXT, num_others=1, spawned_at=0.0)
    later = first["other"]
    for result in (first, later):
        assert 0 < result["imported_s"] < result["ready_s"] < result["first_audio_s"]
        assert 0 < result["ready_rss_mb"] <= result["peak_rss_mb"]
    assert later["other"] is None
    (machine,) = tmp_path.iterdir()
    prepared = {entry.name.split("-")[0] for entry in machine.iterdir() if entry.is_dir()}
    assert prepared == {"lm_prefix.int8", "lm.int8", "lm_tables", "flow_encoder.int8", "flow_estimator.int8"} | {
        "f0_predictor",
        "vocoder.int8",
    }


def test_memory_of_its_own_grows_with_what_a_process_writes() -> None:
    before = private_mb()
    block = bytearray(64_000_000)
    block[::4096] = b"x" * len(block[::4096])
    after = private_mb()
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(64, abs=8)

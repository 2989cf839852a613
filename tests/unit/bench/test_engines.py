"""The plain baseline and the product's stages speak the same amount, and everything is timed."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from pipeline.bench import baseline, roofline, stages, throughput
from pipeline.bench.stopwatch import StageTimes
from pipeline.bench.workload import Piece
from pipeline.export.checkpoint import load_checkpoint
from pipeline.runtime.bundle import Bundle

TEXT_IDS = [5, 6, 7, 8]
NUM_TOKENS = 45


def test_both_engines_speak_exactly_that_many_tokens(bundle: Bundle, checkpoint: Path) -> None:
    plain, plain_times = baseline.PlainSynthesizer(load_checkpoint(checkpoint)).speak(TEXT_IDS, NUM_TOKENS)
    staged, staged_times = stages.StagedSynthesizer(bundle, "fp32", 1).speak(TEXT_IDS, NUM_TOKENS)
    assert plain.shape == staged.shape == (int(NUM_TOKENS / 50 * 22050 / 256) * 256,)
    for samples, times in ((plain, plain_times), (staged, staged_times)):
        assert np.abs(samples).max() > 0
        assert min(astuple(times)) > 0


def test_stage_times_add_up() -> None:
    runs = [StageTimes(1.0, 2.0, 3.0, 4.0, 5.0), StageTimes(3.0, 4.0, 5.0, 6.0, 7.0)]
    assert runs[0].total_s == 15.0
    assert StageTimes.total(runs) == StageTimes(4.0, 6.0, 8.0, 10.0, 12.0)
    assert StageTimes.median(runs) == StageTimes(2.0, 3.0, 4.0, 5.0, 6.0)


def test_a_fresh_process_pays_for_its_start(checkpoint: Path) -> None:
    piece = Piece(text_ids=TEXT_IDS, num_tokens=4)
    result = baseline.measure_fresh(str(checkpoint), [piece], num_threads=1, spawned_at=0.0)
    assert 0 < result["ready_s"] < result["latencies_s"][0]


@pytest.mark.parametrize(("batch_size", "context"), [(1, 100), (3, 20)])
def test_decode_steps_are_measured_at_the_context(bundle: Bundle, batch_size: int, context: int) -> None:
    result = throughput.measure_decode(str(bundle.path), "int8", batch_size, context, num_threads=1)
    spec = bundle.manifest.lm
    kv_mb = 2 * spec.num_layers * spec.num_heads * spec.head_dim * context * batch_size / 1e6  # a byte a value
    assert result["read_mb"] == pytest.approx(kv_mb + throughput.weights_size(bundle, "int8") / 1e6)
    assert 0 < result["best_step_ms"] <= result["step_ms"]


def test_token2wav_is_measured_over_the_batch(bundle: Bundle) -> None:
    result = throughput.measure_token2wav(str(bundle.path), "fp32", 2, 0.3, num_threads=1)
    assert result["frames_per_s"] > 0


def test_attention_makes_the_flow_grow_faster_than_the_vocoder(checkpoint: Path) -> None:
    short, long, both = (
        roofline.count_gflop(str(checkpoint), [Piece(text_ids=[1] * 10, num_tokens=num) for num in nums])
        for nums in ((50,), (500,), (50, 500))
    )
    assert both == {stage: pytest.approx(short[stage] + long[stage]) for stage in short}
    assert long["vocoder_s"] == pytest.approx(10 * short["vocoder_s"], rel=0.02)
    assert long["estimator_s"] > 11 * short["estimator_s"]
    assert long["prefill_s"] == short["prefill_s"]


def test_the_machines_rates_are_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "TRIALS_S", 0.0)
    monkeypatch.setattr(roofline, "READ_MB", 1)
    monkeypatch.setattr(roofline, "MATRIX_SIZE", 64)
    assert min(roofline.measure(num_threads=1).values()) > 0

"""The tuner on the tiny model, and how it divides cores. No time is asserted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipeline.bench.checkpoint import BenchModel
from pipeline.bench.context import Bench, Settings
from pipeline.bench.tune import Plan, divide, splits, thread_counts, tune_for_latency, tune_for_throughput
from pipeline.config import ServiceConfig


def cost(threads: int, core_s: float) -> dict[str, Any]:
    return {"threads": threads, "core_s": core_s}


@pytest.mark.parametrize(("num_cores", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (16, [1, 4, 8, 16])])
def test_thread_counts_span_the_machine(num_cores: int, counts: list[int]) -> None:
    assert thread_counts(num_cores) == counts


@pytest.mark.parametrize("num_cores", [1, 2, 3, 4, 8, 32])
def test_splits_use_every_core_and_hold_the_even_one(num_cores: int) -> None:
    found = splits(num_cores)
    assert all(num_cores <= sum(split) <= 2 * num_cores for split in found)
    assert (num_cores, num_cores) in found
    if num_cores % 2 == 0:
        assert (num_cores // 2, num_cores // 2) in found


@pytest.mark.parametrize("num_cores", [2, 4, 8, 64])
def test_replicas_never_ask_for_more_cpus_than_there_are(num_cores: int) -> None:
    for acoustic, token2wav in [
        (cost(1, 0.5), cost(1, 1.5)),
        (cost(2, 3.0), cost(1, 0.1)),
        (cost(1, 0.01), cost(1, 9)),
    ]:
        plan = divide(num_cores, acoustic, token2wav)
        assert plan.acoustic_cpus + plan.token2wav_replicas * plan.token2wav_cpus <= num_cores - 0.3 + 1e-9
        assert plan.acoustic_cpus > 0
        assert plan.token2wav_cpus > 0


def test_cores_go_where_the_work_is() -> None:
    heavy_flow, heavy_lm = divide(16, cost(1, 1.0), cost(1, 3.0)), divide(16, cost(1, 3.0), cost(1, 1.0))
    assert heavy_flow.acoustic_cpus == pytest.approx(15.7 / 4, abs=0.01)
    assert heavy_lm.acoustic_cpus == pytest.approx(15.7 * 3 / 4, abs=0.01)


def test_the_lines_are_valid_configuration() -> None:
    lines = yaml.safe_load(Plan(2, 1.5, 1, 0.7, 3, 8).lines())
    config = ServiceConfig.model_validate(lines["args"])
    assert (config.acoustic.num_threads, config.token2wav.num_threads) == (2, 1)
    by_name = {deployment["name"]: deployment for deployment in lines["deployments"]}
    assert by_name["Token2Wav"] == {"name": "Token2Wav", "num_replicas": 3, "ray_actor_options": {"num_cpus": 0.7}}


@pytest.mark.parametrize("tune", [tune_for_latency, tune_for_throughput])
def test_tuning_measures_and_chooses(tune: Any, model: BenchModel, in_process: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.bench.tune.TUNED_S", 0.4)
    bench = Bench(Settings(size="tiny", repeats=1), model, 1, lambda line: None)
    measured, plan = tune(bench, "int8")
    assert in_process
    assert len(measured.raw) == len(measured.tables[0].rows)
    assert plan.acoustic_threads == plan.token2wav_threads == 1

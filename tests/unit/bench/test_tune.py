"""The tuner on the tiny model, and how it divides cores. No time is asserted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from pipeline.bench.checkpoint import BenchModel
from pipeline.bench.context import Bench, Settings
from pipeline.bench.cores import splits, suggested_counts, thread_counts, topology
from pipeline.bench.plan import Plan
from pipeline.bench.run import write_plan
from pipeline.bench.tune import cheapest, divide, tune_for_latency, tune_for_throughput
from pipeline.config import ServiceConfig

ROOT = Path(__file__).parents[3]


def cost(threads: int, core_s: float) -> dict[str, Any]:
    return {"threads": threads, "core_s": core_s, "batch_size": 8}


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
        plan = divide(num_cores, acoustic, token2wav, max_replicas=1000)
        assert plan.acoustic_cpus + plan.token2wav_replicas * plan.token2wav_cpus <= num_cores - 0.3 + 1e-9
        assert plan.acoustic_cpus > 0
        assert plan.token2wav_cpus > 0


def test_cores_go_where_the_work_is() -> None:
    heavy_flow, heavy_lm = (divide(16, cost(1, lm), cost(1, 4 - lm), max_replicas=20) for lm in (1.0, 3.0))
    assert heavy_flow.acoustic_cpus == pytest.approx(15.7 / 4, abs=0.01)
    assert heavy_lm.acoustic_cpus == pytest.approx(15.7 * 3 / 4, abs=0.01)


def test_no_more_replicas_are_planned_than_there_is_memory_for() -> None:
    plans = [divide(16, cost(1, 1.0), cost(2, 3.0), max_replicas=limit) for limit in (100, 3, 0)]
    assert [plan.token2wav_replicas for plan in plans] == [8, 3, 1]
    assert [plan.token2wav_cpus for plan in plans] == sorted(plan.token2wav_cpus for plan in plans)


def test_a_smaller_batch_is_preferred_where_it_costs_hardly_more() -> None:
    rows = [{"batch_size": size, "core_s": core_s} for size, core_s in ((4, 1.2), (8, 1.03), (16, 1.0))]
    assert cheapest(rows)["batch_size"] == 8


def test_the_machines_build_suggests_counts_and_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in {"num_visible_cpus": 16, "num_visible_cores": 8, "num_numa_nodes": 2}.items():
        monkeypatch.setattr(f"pipeline.bench.cores.{name}", lambda count=count: count)
    assert thread_counts(8, suggested_counts(8)) == [1, 2, 4, 8, 16]
    assert suggested_counts(4) == []
    for told in ("16 CPUs, 8 physical cores, NUMA nodes: 2", "share its arithmetic", "numactl"):
        assert told in topology(8)


PLAN = Plan(2, 1.5, 1, 0.7, 3, 8)


def test_the_lines_are_valid_configuration() -> None:
    lines = yaml.safe_load(PLAN.lines())
    config = ServiceConfig.model_validate(lines["args"])
    assert (config.acoustic.num_threads, config.token2wav.num_threads) == (2, 1)
    by_name = {deployment["name"]: deployment for deployment in lines["deployments"]}
    assert by_name["Token2Wav"] == {"name": "Token2Wav", "num_replicas": 3, "ray_actor_options": {"num_cpus": 0.7}}


def test_the_lines_fit_into_the_file_of_the_project() -> None:
    lines, file = yaml.safe_load(PLAN.lines()), yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8"))
    (application,) = file["applications"]
    for stage in ("acoustic", "token2wav"):
        application["args"][stage] |= lines["args"][stage]
    theirs = {deployment["name"]: deployment for deployment in application["deployments"]}
    for ours in lines["deployments"]:
        assert theirs[ours["name"]].pop("autoscaling_config")
        theirs[ours["name"]] |= ours
    ServeDeploySchema.model_validate(file)
    ServiceConfig.model_validate(application["args"])


def test_the_written_file_is_what_ray_and_the_service_take(tmp_path: Path) -> None:
    file = yaml.safe_load(write_plan(PLAN, tmp_path / "new").read_text("utf-8"))
    (application,) = ServeDeploySchema.model_validate(file).applications
    config = ServiceConfig.model_validate(application.args)
    assert (config.acoustic.num_threads, config.acoustic.max_batch_size, config.token2wav.num_threads) == (2, 8, 1)
    assert {deployment.name: deployment.num_replicas for deployment in application.deployments} == {
        "Ingress": 1,
        "TextFrontend": 1,
        "AcousticModel": 1,
        "Token2Wav": 3,
    }
    assert application.import_path == "deployments.app:build_app"


@pytest.mark.parametrize("tune", [tune_for_latency, tune_for_throughput])
def test_tuning_measures_and_chooses(tune: Any, model: BenchModel, in_process: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.bench.tune.TUNED_S", 0.4)
    bench = Bench(Settings(size="tiny", repeats=1), model, 1, lambda line: None)
    measured, plan = tune(bench, "int8")
    assert in_process
    assert len(measured.raw) == len(measured.tables[0].rows)
    assert plan.acoustic_threads == plan.token2wav_threads == 1

"""`cosyvoice-serve bench`: makes the model, runs the parts one after the other, and writes the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pipeline.bench.checkpoint import prepare
from pipeline.bench.context import PRECISIONS, Bench, Measured, Settings
from pipeline.bench.machine import Machine, QuietMeter
from pipeline.bench.parts import DEFAULT_PARTS, PARTS
from pipeline.bench.plan import Plan
from pipeline.bench.report import Report
from pipeline.bench.tune import tune_for_latency, tune_for_throughput
from pipeline.config import BUNDLED_VOICE
from pipeline.errors import InvalidRequest
from pipeline.runtime.bundle import Precision
from pipeline.runtime.threads import num_threads_for

Goal = Literal["latency", "throughput"]
TUNERS: Mapping[Goal, Callable[[Bench, Precision], tuple[Measured, Plan]]] = MappingProxyType(
    {"latency": tune_for_latency, "throughput": tune_for_throughput}
)


def run_bench(
    settings: Settings,
    *,
    parts: Sequence[str] = DEFAULT_PARTS,
    progress: Callable[[str], None] = print,
) -> Report:
    """Measures the named parts of PARTS. Raises InvalidRequest for another name."""
    if unknown := [name for name in parts if name not in PARTS]:
        raise InvalidRequest(f"{unknown[0]!r} is no part of the benchmark: choose of {', '.join(PARTS)}.")
    bench, meter = _prepared(settings, progress), QuietMeter()
    measured = {name: PARTS[name](bench) for name in parts}
    return Report(settings, Machine.describe(), meter.stop(), measured)


def run_tune(
    settings: Settings,
    goal: Goal,
    *,
    progress: Callable[[str], None] = print,
) -> tuple[Report, Plan]:
    """The best division of this machine's cores for one impatient caller or for many, and what it was chosen of."""
    bench, meter = _prepared(settings, progress), QuietMeter()
    measured, plan = TUNERS[goal](bench, settings.precision)
    return Report(settings, Machine.describe(), meter.stop(), {f"tune for {goal}": measured}), plan


def write_plan(plan: Plan, folder: Path) -> Path:
    """serve_config.yaml in this folder, which serves the bundled voice until another bundle is named in it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "serve_config.yaml"
    file.write_text(plan.serve_file({"model": {"bundle": BUNDLED_VOICE}}), "utf-8")
    return file


def _prepared(settings: Settings, progress: Callable[[str], None]) -> Bench:
    model = prepare(settings.size, settings.workdir.expanduser(), PRECISIONS, progress=progress)
    return Bench(settings, model, num_threads_for(None, None), progress)

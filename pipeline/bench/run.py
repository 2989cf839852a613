"""`cosyvoice-serve bench`: makes the model, runs the parts one after the other, and writes the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.bench.checkpoint import prepare
from pipeline.bench.context import PRECISIONS, Bench, Settings
from pipeline.bench.machine import Machine, QuietMeter
from pipeline.bench.parts import DEFAULT_PARTS, PARTS
from pipeline.bench.report import Report
from pipeline.errors import InvalidRequest
from pipeline.runtime.threads import num_threads_for


def run_bench(
    settings: Settings,
    *,
    parts: Sequence[str] = DEFAULT_PARTS,
    progress: Callable[[str], None] = print,
) -> Report:
    """Measures the named parts of PARTS. Raises InvalidRequest for another name."""
    if unknown := [name for name in parts if name not in PARTS]:
        raise InvalidRequest(f"{unknown[0]!r} is no part of the benchmark: choose of {', '.join(PARTS)}.")
    model = prepare(settings.size, settings.workdir.expanduser(), PRECISIONS, progress=progress)
    meter = QuietMeter()
    bench = Bench(settings, model, num_threads_for(None, None), progress)
    measured = {name: PARTS[name](bench) for name in parts}
    return Report(settings, Machine.describe(), meter.stop(), measured)

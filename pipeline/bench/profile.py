"""The time of each kind of operator while the product speaks one utterance, as ONNX Runtime records it."""

from __future__ import annotations

import gc
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.stages import StagedSynthesizer
from pipeline.bench.table import Table
from pipeline.bench.workload import Piece, text_of
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.session import profiled

MIN_SHARE = 0.03  # of a graph's time; operators below share a row
OTHERS = "others"


def record(bundle: str, precision: Precision, pieces: list[Piece], num_threads: int) -> dict[str, Any]:
    """By graph and operator: how often it ran and for how many milliseconds; recording costs some of them itself."""
    with tempfile.TemporaryDirectory() as folder:
        with profiled(Path(folder)):
            synthesizer = StagedSynthesizer(Bundle.open(bundle), precision, num_threads)
        synthesizer.speak_all(pieces)
        del synthesizer
        gc.collect()  # the files are written when the sessions go
        return {"graphs": {file.stem: _by_operator(file) for file in sorted(Path(folder).glob("*.json"))}}


def _by_operator(file: Path) -> dict[str, list[float]]:
    """Operator -> [runs, milliseconds], slowest first."""
    totals: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for event in json.loads(file.read_text("utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            total = totals[event["args"]["op_name"]]
            total[0] += 1
            total[1] += event["dur"] / 1000
    return dict(sorted(totals.items(), key=lambda item: -item[1][1]))


def measure_profile(bench: Bench) -> Measured:
    """One table per precision, for the longest of the configured durations."""
    duration_s = max(bench.settings.durations_s)
    speech = bench.speech(text_of(duration_s), duration_s)
    raw = [{"precision": name, **bench.of_product("profile:record", name, **speech)} for name in PRECISIONS]
    return Measured(raw, [_table(row, duration_s) for row in raw])


def _table(row: Raw, duration_s: float) -> Table:
    rows: list[list[str]] = []
    for graph, operators in row["graphs"].items():
        rows += _graph_rows(graph.split("_20")[0], operators)
    header = ["graph", "operator", "runs", "ms", "share of the graph"]
    return Table(f"Operators, {row['precision']}, {duration_s:g} s of speech", header, rows)


def _graph_rows(graph: str, operators: dict[str, Sequence[float]]) -> list[list[str]]:
    total_ms = sum(ms for _, ms in operators.values())
    shown = {name: values for name, values in operators.items() if values[1] >= MIN_SHARE * total_ms}
    hidden = [values for name, values in operators.items() if name not in shown]
    shown[OTHERS] = [sum(runs for runs, _ in hidden), sum(ms for _, ms in hidden)]
    return [
        [graph, name, f"{runs:.0f}", f"{ms:.1f}", f"{ms / total_ms:.0%}"] for name, (runs, ms) in shown.items() if runs
    ]

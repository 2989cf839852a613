"""How the product starts, first and again, and what memory it then takes, alone and beside another replica."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.table import Table, seconds
from pipeline.bench.workload import of_fixed_length, text_of, utterances_of
from pipeline.runtime.bundle import Precision

DURATION_S = 4.0  # of speech, before memory is read


def measure_start(bench: Bench) -> Measured:
    """A first start, which prepares the graphs for this machine, and a later one, with a second replica beside it."""
    raw = [row for precision in PRECISIONS for row in _starts(bench, precision)]
    names = ("imported_s", "ready_s", "ready_cpu_s", "first_audio_s")
    rows = [
        [
            row["precision"],
            row["start"],
            *(seconds(row[name]) for name in names),
            f"{row['ready_rss_mb']:.0f}",
            f"{row['peak_rss_mb']:.0f}",
            _mb(row["other"]["private_mb"]) if row["other"] else "",
        ]
        for row in raw
    ]
    header = ["precision", "start", "imported s", "ready s", "CPU s to ready", "first audio s", "RSS when ready MB"]
    header += ["peak RSS MB", "a second replica adds MB"]
    note = (
        f"The bundle is in the page cache. Memory after {DURATION_S:g} s of streamed speech. A first start prepares "
        "the graphs for this machine; a second replica shares their memory."
    )
    return Measured(raw, [Table("From the start of the process", header, rows, note)])


def _starts(bench: Bench, precision: Precision) -> Iterator[Raw]:
    text = text_of(DURATION_S)
    utterances = utterances_of(bench.bundle, text)
    with (
        of_fixed_length(bench.bundle, utterances, DURATION_S) as fixed,
        tempfile.TemporaryDirectory(prefix=".prepared-", dir=fixed.path.parent) as prepared,
    ):
        for name, num_others in (("first", 0), ("later", 1)):
            arguments = {"bundle": str(fixed.path), "precision": precision, "prepared": prepared, "text": text}
            yield {
                "start": name,
                "precision": precision,
                **bench.run("replica:start", **arguments, num_others=num_others),
            }


def _mb(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"

"""How the product starts, first and again, and what memory it then takes, alone and beside another replica."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from pipeline.bench.context import PRECISIONS, REPEATED_IN_FULL_S, Bench, Measured, Raw
from pipeline.bench.table import Table, seconds
from pipeline.bench.workload import of_fixed_length, open_served, text_of, utterances_of
from pipeline.runtime.bundle import Precision


def measure_start(bench: Bench) -> Measured:
    """A first start, which prepares the graphs for this machine, and a later one, with a second replica beside it."""
    raw = [row for precision in PRECISIONS for row in _starts(bench, precision)]
    names = ("imported_s", "ready_s", "ready_cpu_s", "first_audio_s", "last_audio_s")
    rows = [
        [
            row["precision"],
            row["start"],
            f"{row['audio_s']:g}",
            *(seconds(row[name]) for name in names),
            f"{row['ready_rss_mb']:.0f}",
            f"{row['peak_rss_mb']:.0f}",
            _mb(row["other"]["private_mb"]) if row["other"] else "",
        ]
        for row in raw
    ]
    header = ["precision", "start", "audio s", "imported s", "ready s", "CPU s to ready", "first audio s"]
    header += ["last audio s", "RSS when ready MB", "peak RSS MB", "a second replica adds MB"]
    note = (
        "The bundle is in the page cache; speech is streamed, each model has half of the cores. A first start prepares "
        "the graphs for this machine; a second replica shares their memory."
    )
    return Measured(raw, [Table("From the start of the process", header, rows, note)])


def _starts(bench: Bench, precision: Precision) -> Iterator[Raw]:
    """A first start, and later ones with each length of speech; where that is short, with another replica."""
    durations_s = bench.settings.durations_s
    with tempfile.TemporaryDirectory(prefix=".prepared-", dir=bench.bundle.path.parent) as prepared:
        yield {"start": "first", **_start(bench, precision, prepared, durations_s[0], 0)}
        for duration_s in durations_s:
            num_others = int(duration_s <= REPEATED_IN_FULL_S)
            yield {"start": "later", **_start(bench, precision, prepared, duration_s, num_others)}


def later_start(bench: Bench, precision: Precision) -> Raw:
    """With what this machine keeps of the bundle, and another replica beside it."""
    opened = open_served(str(bench.bundle.path))
    prepared = next((place for place in opened.prepared_in if place.is_dir()), opened.prepared_in[0])
    return _start(bench, precision, str(prepared), bench.settings.summary_s[0], 1)


def _start(bench: Bench, precision: Precision, prepared: str, duration_s: float, num_others: int) -> Raw:
    text = text_of(duration_s)
    with of_fixed_length(bench.bundle, utterances_of(bench.bundle, text), duration_s) as fixed:
        arguments = {"bundle": str(fixed.path), "precision": precision, "prepared": prepared, "text": text}
        measured = bench.run("replica:start", **arguments, num_others=num_others)
    return {"precision": precision, "audio_s": duration_s, **measured}


def _mb(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"

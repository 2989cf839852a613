"""What Ray Serve and HTTP add: the same requests in one process and through the whole service."""

from __future__ import annotations

from statistics import median

from pipeline.bench.context import Bench, Measured, Raw
from pipeline.bench.serving import HAPROXY_SWITCH, entrance
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.workload import text_of

NUM_STREAMS = 8
IDLE_ROUNDS, STREAM_ROUNDS = 4, 2  # for each repeat: milliseconds are looked for in seconds


def measure_http(bench: Bench) -> Measured:
    """One caller, and eight at once; each heavy stage has half of the cores on both ways."""
    raw = compare_ways(bench, bench.settings.durations_s[0])
    rows = [
        [
            row["way"],
            str(row["num_requests"]),
            seconds(row["first_audio_s"]),
            f"{1000 * row['added_s']:+.1f}" if "added_s" in row else "",
            seconds(median(row["latencies_s"])),
            f"{row['audio_s'] / row['s_per_request']:.3f}",
            ratio(row["throughput_share"]) if "throughput_share" in row else "",
            f"{row['cpu_busy_share']:.0%}" if row["cpu_busy_share"] is not None else "",
        ]
        for row in raw
    ]
    header = ["way", "requests at once", "first audio s", "added ms", "last audio s", "audio s per s", "share"]
    header += ["CPU use"]
    note = (
        f"Medians of rounds that follow each other in turn. Requests over HTTP enter through {entrance()} "
        f"({HAPROXY_SWITCH}=1 in the environment: HAProxy). CPU use: of all cores of the machine until one request is "
        "left; from /proc/stat."
    )
    return Measured(raw, [Table("Ray Serve and HTTP over the same stages in one process", header, rows, note)])


def compare_ways(bench: Bench, duration_s: float) -> list[Raw]:
    """Rows of each load in process and over HTTP, streamed; those over HTTP say what it adds."""
    repeats = bench.settings.repeats
    measured = bench.of_product(
        "http:measure_http",
        bench.settings.precision,
        text=text_of(duration_s),
        duration_s=duration_s,
        loads=[[1, IDLE_ROUNDS * repeats], [NUM_STREAMS, STREAM_ROUNDS * repeats]],
    )
    rows: list[Raw] = []
    for load in measured["loads"]:
        inside, outside = load["ways"]["in process"], load["ways"]["HTTP"]
        outside["added_s"] = outside["first_audio_s"] - inside["first_audio_s"]
        outside["throughput_share"] = inside["s_per_request"] / outside["s_per_request"]
        rows += [{"way": way, "num_requests": load["num_requests"], **row} for way, row in load["ways"].items()]
    return rows

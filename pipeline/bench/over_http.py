"""What Ray Serve and HTTP add: the same requests in one process and through the whole service."""

from __future__ import annotations

from statistics import median

from pipeline.bench.context import Bench, Measured, Raw
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.workload import text_of
from pipeline.runtime.bundle import Precision

PRECISION: Precision = "int8"
NUM_STREAMS = 8


def measure_http(bench: Bench) -> Measured:
    """One caller, and eight at once; one thread for each heavy stage on both sides."""
    raw = [row for num_requests in (1, NUM_STREAMS) for row in _pair(bench, num_requests)]
    rows = [
        [
            row["way"],
            str(row["num_requests"]),
            seconds(row["first_audio_s"]),
            f"{1000 * row['added_s']:+.1f}" if "added_s" in row else "",
            seconds(median(row["latencies_s"])),
            f"{row['audio_s'] / row['s_per_request']:.3f}",
            ratio(row["throughput_share"]) if "throughput_share" in row else "",
            f"{row['cpu_busy_share']:.0%}" if row.get("cpu_busy_share") is not None else "",
        ]
        for row in raw
    ]
    header = [
        "way",
        "requests at once",
        "first audio s",
        "added ms",
        "last audio s",
        "audio s per s",
        "share",
        "CPU use",
    ]
    note = "Medians. CPU use: of all cores of the machine, while requests were waiting; from /proc/stat."
    return Measured(raw, [Table("Ray Serve and HTTP over the same stages in one process", header, rows, note)])


def _pair(bench: Bench, num_requests: int) -> list[Raw]:
    duration_s = bench.settings.durations_s[0]
    said = {"text": text_of(duration_s), "duration_s": duration_s, "repeats": bench.settings.repeats}
    common = {"bundle": str(bench.bundle.path), "precision": PRECISION, "num_requests": num_requests, **said}
    inside = bench.run("service:measure_service", num_threads=1, is_streamed=True, **common)
    outside = bench.run("http:measure_http", num_threads=bench.num_threads, **common)
    outside["added_s"] = outside["first_audio_s"] - inside["first_audio_s"]
    outside["throughput_share"] = inside["s_per_request"] / outside["s_per_request"]
    ways = {"in process": inside, "HTTP": outside}
    return [{"way": way, "num_requests": num_requests, **row} for way, row in ways.items()]

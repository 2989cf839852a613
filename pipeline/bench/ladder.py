"""One sentence, from a torch process for each request to continuous batching: a row per technique."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.workload import SENTENCE
from pipeline.runtime.bundle import Precision

# what the rows of one request say of a precision
QUANTIZED = {"int8": "int8 LM, int8 KV, int8 flow", "int4": "int4 LM, int8 KV"}


def measure_ladder(bench: Bench) -> Measured:
    """The 42-character sentence, from a torch process per request to continuous batching."""
    raw = [{"name": name, **result} for name, result in _ladder(bench)]
    first = raw[0]
    for row in raw:
        row["p50_s"] = median(row["latencies_s"])
        row["speedup"] = _s_per_request(first) / _s_per_request(row)
    header = ["configuration", "p50 latency s", "s per request", "CPU peak %", "CPU mean %", "peak RSS MB", "vs row 1"]
    rows = [
        [
            row["name"],
            seconds(row["p50_s"]),
            seconds(_s_per_request(row)),
            f"{row['cpu_peak_percent']:.0f}",
            f"{row['cpu_mean_percent']:.0f}",
            f"{row['peak_rss_mb']:.0f}",
            ratio(row["speedup"]),
        ]
        for row in raw
    ]
    title = f"A mixed sentence of 42 characters, {bench.settings.sentence_s:g} s of speech"
    note = (
        "CPU: 100 % is one core. Whole utterances, not streamed. Several requests: their time divided by their number, "
        "which is also what is compared with row 1."
    )
    return Measured(raw, [Table(title, header, rows, note)])


def _ladder(bench: Bench) -> Iterator[tuple[str, Raw]]:
    settings = bench.settings
    speech = bench.speech(SENTENCE, settings.sentence_s)
    fresh = [bench.of_torch("baseline:measure_fresh", **speech) for _ in range(settings.baseline_repeats)]
    latencies = [latency for run in fresh for latency in run["latencies_s"]]
    yield "PyTorch, loaded for each request, full dependencies", {**fresh[0], "latencies_s": latencies}
    yield "lean + preloaded", bench.of_torch("baseline:measure_stages", repeats=settings.baseline_repeats, **speech)

    def served(precision: Precision, repeats: int = settings.repeats, **arguments: Any) -> Raw:
        said = {"text": SENTENCE, "duration_s": settings.sentence_s}
        return bench.of_product("service:measure_service", precision, repeats=repeats, **said, **arguments)

    new = {"is_text_new": True}
    yield (
        f"ONNX Runtime fp32, {bench.num_threads} threads, no KV cache",
        served("fp32", settings.baseline_repeats, has_kv_cache=False, **new),
    )
    yield "+ KV cache", served("fp32", **new)
    yield "+ text cache", served("fp32")
    yield "+ micro-batching (4 requests, 10 ms)", served("fp32", 1, num_requests=4, window_s=0.01)
    for precision in PRECISIONS:
        if precision in QUANTIZED:
            yield f"{QUANTIZED[precision]} (one request)", served(precision)
    yield "int8, fast flow (one request)", served("int8", profile="fast")
    yield "int8 + continuous batching at 8", served("int8", 1, num_requests=8, interval_s=0.1)
    yield (
        "int8, fast flow + continuous batching at 8",
        served("int8", 1, num_requests=8, interval_s=0.1, profile="fast"),
    )
    yield "int8, result cache", served("int8", keeps_results=True)


def _s_per_request(row: Raw) -> float:
    return float(row.get("s_per_request", median(row["latencies_s"])))

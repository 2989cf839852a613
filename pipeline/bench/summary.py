"""The figures that sum a machine up, each a ratio or a value of this run: speed, scaling, waiting, start, memory."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pipeline.bench.context import Bench, Measured, Raw
from pipeline.bench.over_http import NUM_STREAMS, compare_ways
from pipeline.bench.scaling import official_first_audio_s
from pipeline.bench.start import later_start
from pipeline.bench.table import Table, milliseconds, ratio, seconds
from pipeline.bench.workload import text_of
from pipeline.types import Profile


def measure_summary(bench: Bench) -> Measured:
    """One row for each measure, with what it was computed from."""
    parts = (_speed, _decode, _first_audio, _service, _start)
    raw = [measure for part in parts for measure in part(bench)]
    rows = [[measure["measure"], measure["shown"], measure["how"]] for measure in raw]
    note = (
        f"Product: {bench.settings.precision}, {bench.num_threads} threads. PyTorch: the official computation, one "
        "request at a time, in memory. Medians; every figure of a ratio is from this run."
    )
    return Measured(raw, [Table("Summary", ["measure", "value", "how it was measured"], rows, note)])


def _measure(name: str, value: float | None, shown: str, how: str, **evidence: object) -> Raw:
    return {"measure": name, "value": value, "shown": shown, "how": how, **evidence}


def _times(name: str, value: float, how: str, **evidence: object) -> Raw:
    return _measure(name, value, ratio(value), how, **evidence)


def _speed(bench: Bench) -> Iterator[Raw]:
    """Whole utterances, not streamed: one caller, and eight at once."""
    short_s, long_s = bench.settings.summary_s
    torch_s = {duration_s: _torch_s(bench, duration_s) for duration_s in (short_s, long_s)}
    exact_s, fast_s = (_product_s(bench, short_s, profile) for profile in ("exact", "fast"))
    yield _alone(f"{short_s:g} s of audio, one caller, exact profile, over PyTorch", torch_s[short_s], exact_s)
    yield _alone(f"{short_s:g} s of audio, one caller, fast profile, over PyTorch", torch_s[short_s], fast_s)
    yield _measure(
        f"real-time factor, {short_s:g} s, fast profile", fast_s / short_s, f"{fast_s / short_s:.2f}", "time / audio"
    )
    long_exact_s = _product_s(bench, long_s, "exact")
    yield _alone(f"{long_s:g} s of audio, one caller, exact profile, over PyTorch", torch_s[long_s], long_exact_s)
    for profile in ("exact", "fast"):
        together_s = _product_s(bench, short_s, profile, NUM_STREAMS)
        yield _times(
            f"throughput, {NUM_STREAMS} callers at once, {profile} profile, over PyTorch",
            torch_s[short_s] / together_s,
            f"{short_s:g} s of audio each: PyTorch {seconds(torch_s[short_s])} s for one after the other, "
            f"product {seconds(together_s)} s per request",
        )


def _alone(name: str, torch_s: float, product_s: float) -> Raw:
    how = f"text to whole audio: PyTorch {seconds(torch_s)} s, product {seconds(product_s)} s"
    return _times(name, torch_s / product_s, how, torch_s=torch_s, product_s=product_s)


def _torch_s(bench: Bench, duration_s: float) -> float:
    """Of all its speech tokens: a token costs more the longer the context is."""
    speech = bench.speech(text_of(duration_s), duration_s)
    measured = bench.of_torch("baseline:measure_stages", repeats=bench.settings.baseline_repeats, **speech)
    return float(median(measured["latencies_s"]))


def _product_s(bench: Bench, duration_s: float, profile: Profile, num_requests: int = 1) -> float:
    """Seconds per request; several at once are measured one time, in which each counts."""
    measured = bench.of_product(
        "service:measure_service",
        bench.settings.precision,
        text=text_of(duration_s),
        duration_s=duration_s,
        repeats=bench.settings.repeats_of(duration_s) if num_requests == 1 else 1,
        num_requests=num_requests,
        profile=profile,
    )
    return float(median(measured["latencies_s"]) if num_requests == 1 else measured["s_per_request"])


def _decode(bench: Bench) -> Iterator[Raw]:
    settings = bench.settings
    few, many = settings.batch_sizes[0], settings.batch_sizes[-1]
    short, long = settings.contexts[0], settings.contexts[-1]

    def step(batch_size: int, context: int) -> Raw:
        arguments = {"batch_size": batch_size, "context": context}
        return bench.of_product("throughput:measure_decode", settings.precision, **arguments)

    alone, together, far = step(few, short), step(many, short), step(few, long)
    yield _times(
        f"decode step, batch {few}, context {short}, over its memory bound",
        alone["step_ms"] / alone["read_ms"],
        f"{milliseconds(alone['step_ms'])} ms; reading {alone['read_mb']:.0f} MB takes "
        f"{milliseconds(alone['read_ms'])} ms, in turn with the steps",
    )
    rates = [1000 * row["batch_size"] / (row["step_ms"] + row["sampling_ms"]) for row in (alone, together)]
    yield _times(
        f"decode tokens/s, batch {many} over batch {few}",
        rates[1] / rates[0],
        f"{rates[1]:.0f} and {rates[0]:.0f} tokens/s at context {short}, sampling included",
    )
    yield _times(
        f"decode step, context {long} over {short}",
        far["step_ms"] / alone["step_ms"],
        f"{milliseconds(far['step_ms'])} and {milliseconds(alone['step_ms'])} ms, batch {few}",
    )


def _first_audio(bench: Bench) -> Iterator[Raw]:
    official_s, duration_s = official_first_audio_s(bench), bench.settings.summary_s[0]
    measured = bench.of_product(
        "service:measure_service",
        bench.settings.precision,
        text=text_of(duration_s),
        duration_s=duration_s,
        repeats=bench.settings.repeats,
        is_streamed=True,
    )
    first_s = measured["first_audio_s"]
    yield _times(
        "first audio, earlier than by the official streaming rule",
        official_s / first_s,
        f"official rule (120 tokens, a look each 100 ms) in PyTorch {seconds(official_s)} s, product "
        f"{seconds(first_s)} s, one caller",
    )


def _service(bench: Bench) -> Iterator[Raw]:
    duration_s = bench.settings.summary_s[0] / 2
    rows = {(row["way"], row["num_requests"]): row for row in compare_ways(bench, duration_s)}
    for num_requests, load in ((1, "idle"), (NUM_STREAMS, f"{NUM_STREAMS} streams")):
        inside, outside = rows["in process", num_requests], rows["HTTP", num_requests]
        yield _measure(
            f"Ray Serve and HTTP, added to first audio, {load}",
            outside["added_s"],
            f"{1000 * outside['added_s']:+.1f} ms",
            f"medians of {len(outside['latencies_s'])} requests each way: {seconds(outside['first_audio_s'])} s, in "
            f"process {seconds(inside['first_audio_s'])} s",
        )
    inside, outside = rows["in process", NUM_STREAMS], rows["HTTP", NUM_STREAMS]
    yield _times(
        f"throughput through HTTP over in process, {NUM_STREAMS} streams",
        outside["throughput_share"],
        f"{seconds(outside['s_per_request'])} and {seconds(inside['s_per_request'])} s per request of {duration_s:g} s",
    )
    share = outside["cpu_busy_share"]
    yield _measure(
        "CPU use while requests wait",
        share,
        "unknown" if share is None else f"{share:.0%}",
        f"of all cores, until one of {NUM_STREAMS} streams through HTTP is left",
    )


def _start(bench: Bench) -> Iterator[Raw]:
    row = later_start(bench, bench.settings.precision)
    yield _measure(
        "start to ready",
        row["ready_s"],
        f"{seconds(row['ready_s'])} s",
        f"from starting the process, {seconds(row['ready_cpu_s'])} s of CPU; files in the page cache",
    )
    yield _measure(
        "peak memory of the whole pipeline",
        row["peak_rss_mb"],
        f"{row['peak_rss_mb']:.0f} MB",
        f"resident, after {bench.settings.summary_s[0]:g} s of streamed speech",
    )
    added_mb = row["other"]["private_mb"]
    shown = "unknown" if added_mb is None else f"{added_mb:.0f} MB"
    yield _measure("a further replica adds", added_mb, shown, "what it shares with none of the others, after the same")

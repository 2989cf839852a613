"""`cosyvoice-serve bench tune`: how this machine's cores are best divided between the two heavy stages.

For latency every split is measured as one caller meets it. For throughput each stage is measured as many-fold as it
would run, and the cores are divided so that no stage waits for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from statistics import median

from pipeline.bench.context import Bench, Measured, Raw
from pipeline.bench.cores import splits, suggested_counts, thread_counts, topology
from pipeline.bench.machine import memory_mb
from pipeline.bench.plan import FRONTEND_CPUS, INGRESS_CPUS, Plan, rounded
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.workload import text_of
from pipeline.runtime.bundle import Precision

BATCH_SIZE = 8  # for latency: what may arrive beside the one caller
CONTEXT = 150  # positions, about the middle of a sentence
TUNED_S = 4.0  # of audio in each measurement
BATCH_SIZES = (4, 8, 16)  # sequences that decode together, of which throughput takes the cheapest
MAX_EXTRA_COST = 0.05  # that a smaller batch may have: its callers wait less
MEMORY_SHARE = 0.8  # of the machine's, that replicas may take


def tune_for_latency(bench: Bench, precision: Precision) -> tuple[Measured, Plan]:
    """One caller at a time, streamed: the split with the best mean rank of first audio and last audio."""
    raw = [
        _one_caller(bench, precision, *split)
        for split in splits(bench.num_threads, suggested_counts(bench.num_threads))
    ]
    best = min(raw, key=lambda row: _relative(row, raw))
    even = Plan.even(bench.num_threads, BATCH_SIZE)
    plan = replace(even, acoustic_threads=best["acoustic_threads"], token2wav_threads=best["token2wav_threads"])
    rows = [
        [
            str(row["acoustic_threads"]),
            str(row["token2wav_threads"]),
            seconds(row["first_audio_s"]),
            seconds(row["last_audio_s"]),
            "best" if row is best else "",
        ]
        for row in raw
    ]
    header = ["acoustic threads", "token2wav threads", "first audio s", "last audio s", ""]
    title = f"One caller, {TUNED_S:g} s of audio, {precision}"
    return Measured(raw, [Table(title, header, rows, topology(bench.num_threads))]), plan


def tune_for_throughput(bench: Bench, precision: Precision) -> tuple[Measured, Plan]:
    """The cheapest threads and batch of each stage in CPU time, and the cores divided in proportion to their costs."""
    counts = thread_counts(bench.num_threads, suggested_counts(bench.num_threads))
    acoustic = [_acoustic_cost(bench, precision, threads, size) for threads, size in product(counts, BATCH_SIZES)]
    token2wav = [_token2wav_cost(bench, precision, threads) for threads in counts]
    decoding, sounding = cheapest(acoustic), cheapest(token2wav)
    plan = divide(bench.num_threads, decoding, sounding, max_replicas=_replicas_in_memory(decoding, sounding))
    rows = [
        [
            row["stage"],
            str(row["threads"]),
            str(row["replicas"]),
            str(row["batch_size"]),
            seconds(row["core_s"]),
            ratio(row["audio_s_per_s"]),
            f"{row['replica_mb']:.0f}",
        ]
        for row in (*acoustic, *token2wav)
    ]
    header = ["stage", "threads", "replicas", "batch", "core seconds per second of audio", "audio s per s, stage alone"]
    header += ["peak RSS MB, each"]
    total = decoding["core_s"] + sounding["core_s"]
    needed_mb = decoding["replica_mb"] + plan.token2wav_replicas * sounding["replica_mb"]
    note = (
        f"Both stages on {bench.num_threads} cores: {bench.num_threads / total:.2f} s of audio per second. The planned "
        f"replicas take at most {needed_mb:.0f} of {memory_mb():.0f} MB (less, as they share what they map). "
        f"{topology(bench.num_threads)}"
    )
    return Measured([*acoustic, *token2wav], [Table(f"Many callers, {precision}", header, rows, note)]), plan


def divide(num_cores: int, acoustic: Raw, token2wav: Raw, max_replicas: int) -> Plan:
    """Cores by cost. Replicas of token2wav may share a core with the acoustic model, so that none is ever idle.

    Args:
        max_replicas: of token2wav, for which there is memory.
    """
    heavy = num_cores - INGRESS_CPUS - FRONTEND_CPUS
    share = acoustic["core_s"] / (acoustic["core_s"] + token2wav["core_s"])
    acoustic_cpus = min(max(0.1, heavy * share), heavy - 0.1)
    replicas = max(1, min(round(num_cores / token2wav["threads"]), max_replicas))
    return Plan(
        acoustic_threads=acoustic["threads"],
        acoustic_cpus=rounded(acoustic_cpus),
        token2wav_threads=token2wav["threads"],
        token2wav_cpus=rounded((heavy - acoustic_cpus) / replicas),
        token2wav_replicas=replicas,
        max_batch_size=acoustic["batch_size"],
    )


def _replicas_in_memory(acoustic: Raw, token2wav: Raw) -> int:
    return int((MEMORY_SHARE * memory_mb() - acoustic["replica_mb"]) // token2wav["replica_mb"])


def _one_caller(bench: Bench, precision: Precision, acoustic_threads: int, token2wav_threads: int) -> Raw:
    measured = bench.run(
        "service:measure_service",
        bundle=str(bench.bundle.path),
        precision=precision,
        text=text_of(TUNED_S),
        duration_s=TUNED_S,
        repeats=bench.settings.repeats,
        num_threads=acoustic_threads,
        token2wav_threads=token2wav_threads,
        is_streamed=True,
    )
    return {
        "acoustic_threads": acoustic_threads,
        "token2wav_threads": token2wav_threads,
        "first_audio_s": measured["first_audio_s"],
        "last_audio_s": median(measured["latencies_s"]),
    }


def _relative(row: Raw, rows: Sequence[Raw]) -> float:
    """How many times the best first audio and the best last audio this split takes, added up."""
    return sum(float(row[name] / min(other[name] for other in rows)) for name in ("first_audio_s", "last_audio_s"))


def _acoustic_cost(bench: Bench, precision: Precision, threads: int, batch_size: int) -> Raw:
    measured = bench.run(
        "throughput:measure_decode",
        bundle=str(bench.bundle.path),
        precision=precision,
        batch_size=batch_size,
        context=CONTEXT,
        num_threads=threads,
    )
    step_s = (measured["step_ms"] + measured["sampling_ms"]) / 1000
    audio_s_per_s = batch_size / step_s / bench.bundle.manifest.token_rate
    return _cost("acoustic model", threads, 1, batch_size, audio_s_per_s, measured["peak_rss_mb"])


def _token2wav_cost(bench: Bench, precision: Precision, threads: int) -> Raw:
    """As many replicas as fit on the cores, all at work, since they share the memory's bandwidth."""
    replicas = max(1, bench.num_threads // threads)
    arguments = {
        "bundle": str(bench.bundle.path),
        "precision": precision,
        "batch_size": 1,
        "duration_s": TUNED_S,
        "num_threads": threads,
    }
    with ThreadPoolExecutor(replicas) as pool:
        runs = list(pool.map(lambda _: bench.run("throughput:measure_token2wav", **arguments), range(replicas)))
    manifest = bench.bundle.manifest
    audio_s_per_s = sum(run["frames_per_s"] for run in runs) * manifest.flow.mel_hop / manifest.sample_rate
    return _cost("token2wav", threads, replicas, 1, audio_s_per_s, max(run["peak_rss_mb"] for run in runs))


def _cost(stage: str, threads: int, replicas: int, batch_size: int, audio_s_per_s: float, replica_mb: float) -> Raw:
    return {
        "stage": stage,
        "threads": threads,
        "replicas": replicas,
        "batch_size": batch_size,
        "audio_s_per_s": audio_s_per_s,
        "core_s": threads * replicas / audio_s_per_s,
        "replica_mb": replica_mb,
    }


def cheapest(rows: Sequence[Raw]) -> Raw:
    """The least CPU time for a second of audio, but a smaller batch where that costs hardly more."""
    least = min(float(row["core_s"]) for row in rows)
    near = [row for row in rows if row["core_s"] <= (1 + MAX_EXTRA_COST) * least]
    return min(near, key=lambda row: (row["batch_size"], row["core_s"]))

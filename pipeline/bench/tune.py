"""`cosyvoice-serve bench tune`: how this machine's cores are best divided between the two heavy stages.

For latency every split is measured as one caller meets it. For throughput each stage is measured as many-fold as it
would run, and the cores are divided so that no stage waits for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from statistics import median

from pipeline.bench.context import Bench, Measured, Raw
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.workload import text_of
from pipeline.runtime.bundle import Precision

BATCH_SIZE = 8  # sequences that decode together under load
CONTEXT = 150  # positions, about the middle of a sentence
TUNED_S = 4.0  # of audio in each measurement
INGRESS_CPUS, FRONTEND_CPUS = 0.1, 0.2  # Ray's accounting for the light stages


@dataclass(frozen=True, slots=True)
class Plan:
    """Threads and replicas of the two heavy stages, and what Ray shall count for each replica."""

    acoustic_threads: int
    acoustic_cpus: float
    token2wav_threads: int
    token2wav_cpus: float
    token2wav_replicas: int
    max_batch_size: int

    def lines(self) -> str:
        """The lines of serve_config.yaml that carry it out."""
        return f"""\
args:
  acoustic:
    num_threads: {self.acoustic_threads}
    max_batch_size: {self.max_batch_size}
  token2wav:
    num_threads: {self.token2wav_threads}
deployments:
  - name: AcousticModel
    num_replicas: 1
    ray_actor_options:
      num_cpus: {self.acoustic_cpus:g}
  - name: Token2Wav
    num_replicas: {self.token2wav_replicas}
    ray_actor_options:
      num_cpus: {self.token2wav_cpus:g}
"""


def tune_for_latency(bench: Bench, precision: Precision) -> tuple[Measured, Plan]:
    """One caller at a time, streamed: the split with the best mean rank of first audio and last audio."""
    raw = [_one_caller(bench, precision, *split) for split in splits(bench.num_threads)]
    best = min(raw, key=lambda row: _relative(row, raw))
    cpus = (bench.num_threads - INGRESS_CPUS - FRONTEND_CPUS) / 2
    plan = Plan(
        acoustic_threads=best["acoustic_threads"],
        acoustic_cpus=_rounded(cpus),
        token2wav_threads=best["token2wav_threads"],
        token2wav_cpus=_rounded(cpus),
        token2wav_replicas=1,
        max_batch_size=BATCH_SIZE,
    )
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
    return Measured(raw, [Table(f"One caller, {TUNED_S:g} s of audio, {precision}", header, rows)]), plan


def tune_for_throughput(bench: Bench, precision: Precision) -> tuple[Measured, Plan]:
    """The cheapest thread count of each stage in CPU time, and the cores divided in proportion to their costs."""
    acoustic = [_acoustic_cost(bench, precision, threads) for threads in thread_counts(bench.num_threads)]
    token2wav = [_token2wav_cost(bench, precision, threads) for threads in thread_counts(bench.num_threads)]
    plan = divide(bench.num_threads, _cheapest(acoustic), _cheapest(token2wav))
    total = _cheapest(acoustic)["core_s"] + _cheapest(token2wav)["core_s"]
    rows = [
        [row["stage"], str(row["threads"]), str(row["replicas"]), seconds(row["core_s"]), ratio(row["audio_s_per_s"])]
        for row in (*acoustic, *token2wav)
    ]
    header = ["stage", "threads", "replicas", "core seconds per second of audio", "audio s per s, stage alone"]
    note = f"Both stages on {bench.num_threads} cores: {bench.num_threads / total:.2f} s of audio per second."
    return Measured([*acoustic, *token2wav], [Table(f"Many callers, {precision}", header, rows, note)]), plan


def thread_counts(num_cores: int) -> list[int]:
    """One thread, a quarter, half and all of the cores."""
    return sorted({max(1, num_cores // part) for part in (num_cores, 4, 2, 1)})


def splits(num_cores: int) -> list[tuple[int, int]]:
    """(acoustic, token2wav) threads that leave no core without work, the article's even split among them."""
    counts = [count for count in thread_counts(num_cores) if count >= num_cores // 4]
    return [split for split in product(counts, counts) if sum(split) >= num_cores]


def divide(num_cores: int, acoustic: Raw, token2wav: Raw) -> Plan:
    """Cores by cost. Replicas of token2wav may share a core with the acoustic model, so that none is ever idle."""
    heavy = num_cores - INGRESS_CPUS - FRONTEND_CPUS
    share = acoustic["core_s"] / (acoustic["core_s"] + token2wav["core_s"])
    acoustic_cpus = min(max(0.1, heavy * share), heavy - 0.1)
    replicas = max(1, round(num_cores / token2wav["threads"]))
    return Plan(
        acoustic_threads=acoustic["threads"],
        acoustic_cpus=_rounded(acoustic_cpus),
        token2wav_threads=token2wav["threads"],
        token2wav_cpus=_rounded((heavy - acoustic_cpus) / replicas),
        token2wav_replicas=replicas,
        max_batch_size=BATCH_SIZE,
    )


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


def _acoustic_cost(bench: Bench, precision: Precision, threads: int) -> Raw:
    measured = bench.run(
        "throughput:measure_decode",
        bundle=str(bench.bundle.path),
        precision=precision,
        batch_size=BATCH_SIZE,
        context=CONTEXT,
        num_threads=threads,
    )
    step_s = (measured["step_ms"] + measured["sampling_ms"]) / 1000
    audio_s_per_s = BATCH_SIZE / step_s / bench.bundle.manifest.token_rate
    return _cost("acoustic model", threads, 1, audio_s_per_s)


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
    frame_rate = manifest.sample_rate / manifest.flow.mel_hop
    return _cost("token2wav", threads, replicas, sum(run["frames_per_s"] for run in runs) / frame_rate)


def _cost(stage: str, threads: int, replicas: int, audio_s_per_s: float) -> Raw:
    core_s = threads * replicas / audio_s_per_s
    return {
        "stage": stage,
        "threads": threads,
        "replicas": replicas,
        "audio_s_per_s": audio_s_per_s,
        "core_s": core_s,
    }


def _cheapest(rows: Sequence[Raw]) -> Raw:
    return min(rows, key=lambda row: float(row["core_s"]))


def _rounded(cpus: float) -> float:
    """Down to hundredths, so that the replicas together never ask for more than there is."""
    return int(cpus * 100) / 100

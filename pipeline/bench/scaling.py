"""How the product streams, and scales with batch and context."""

from __future__ import annotations

from statistics import median

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.table import Table, milliseconds, ratio, seconds
from pipeline.bench.workload import pieces_of, text_of

OFFICIAL_TEXT_S = 4.0


def measure_streams(bench: Bench) -> Measured:
    """First audio and real-time factor of the product as it streams, against the official rule for a first chunk."""
    official_s = official_first_audio_s(bench)
    raw: list[Raw] = [{"engine": "PyTorch, official rule", "first_audio_s": official_s}]
    for duration_s in bench.settings.durations_s:
        for precision in PRECISIONS:
            said = {"text": text_of(duration_s), "duration_s": duration_s, "is_streamed": True}
            measured = bench.of_product(
                "service:measure_service", precision, repeats=bench.settings.repeats_of(duration_s), **said
            )
            raw.append({"engine": f"product {precision}", **measured})
    rows = [
        [
            row["engine"],
            f"{row['audio_s']:.2f}" if "audio_s" in row else "",
            seconds(row["first_audio_s"]),
            ratio(official_s / row["first_audio_s"]),
            seconds(median(row["latencies_s"])) if "latencies_s" in row else "",
            f"{median(row['latencies_s']) / row['audio_s']:.2f}" if "latencies_s" in row else "",
        ]
        for row in raw
    ]
    header = ["engine", "audio s", "first audio s", "earlier", "last audio s", "RTF"]
    return Measured(raw, [Table("Streaming, one caller", header, rows)])


def official_first_audio_s(bench: Bench) -> float:
    """Of an utterance that is longer than the first chunk."""
    (piece, *_) = pieces_of(bench.bundle, text_of(OFFICIAL_TEXT_S), OFFICIAL_TEXT_S)
    return float(bench.of_torch("baseline:measure_first_audio", text_ids=piece["text_ids"])["first_audio_s"])


def measure_decode(bench: Bench) -> Measured:
    """A decode step by batch and context, over the time that reading weights and cache takes."""
    settings = bench.settings
    grid = [(batch_size, settings.contexts[0]) for batch_size in settings.batch_sizes]
    grid += [(1, context) for context in settings.contexts[1:]]
    raw = [
        bench.of_product("throughput:measure_decode", precision, batch_size=batch_size, context=context)
        for precision in PRECISIONS
        for batch_size, context in grid
    ]
    for row in raw:
        row["bound_ms"] = row["read_ms"]
    rows = [
        [
            row["precision"],
            str(row["batch_size"]),
            str(row["context"]),
            milliseconds(row["step_ms"]),
            milliseconds(row["best_step_ms"]),
            milliseconds(row["bound_ms"]),
            ratio(row["step_ms"] / row["bound_ms"]),
            milliseconds(row["sampling_ms"]),
            f"{1000 * row['batch_size'] / (row['step_ms'] + row['sampling_ms']):.0f}",
        ]
        for row in raw
    ]
    header = [
        "precision",
        "batch",
        "context",
        "step ms",
        "best ms",
        "bound ms",
        "step / bound",
        "sampling ms",
        "tokens/s",
    ]
    return Measured(raw, [Table("Decode steps", header, rows)])


def measure_token2wav(bench: Bench) -> Measured:
    raw = [
        bench.of_product("throughput:measure_token2wav", precision, batch_size=batch_size, duration_s=2.0)
        for precision in PRECISIONS
        for batch_size in bench.settings.batch_sizes
    ]
    rows = [
        [row["precision"], str(row["batch_size"]), f"{row['frames_per_s']:.0f}", f"{row['peak_rss_mb']:.0f}"]
        for row in raw
    ]
    note = f"{bench.bundle.manifest.flow.num_steps} guided Euler steps; 86 frames are one second of audio."
    header = ["precision", "batch", "frames/s", "peak RSS MB"]
    return Measured(raw, [Table("Token2wav, whole utterances of 2 s", header, rows, note)])

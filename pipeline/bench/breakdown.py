"""Where the time of an utterance goes, stage by stage, and how far that is from what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.throughput import weights_size
from pipeline.bench.workload import text_of

STAGES = ("prefill_s", "decode_s", "flow_encoder_s", "estimator_s", "vocoder_s")


def measure_stages(bench: Bench) -> Measured:
    """Every stage, alone and whole, in torch and in each precision, beside what the machine could do."""
    raw = []
    for duration_s in bench.settings.durations_s:
        text = text_of(duration_s)
        speech = bench.speech(text, duration_s)
        frontend = bench.run("stages:measure_text", bundle=str(bench.bundle.path), text=text)
        common = {"audio_s": duration_s, "text_ms": frontend["first_ms"], "text_again_ms": frontend["again_ms"]}
        if duration_s in bench.settings.baseline_durations_s:
            measured = bench.of_torch("baseline:measure_stages", repeats=bench.settings.baseline_repeats, **speech)
            raw.append({"engine": "PyTorch", **common, **measured})
        for precision in PRECISIONS:
            measured = bench.of_product("stages:measure_stages", precision, repeats=bench.settings.repeats, **speech)
            raw.append({"engine": f"product {precision}", **common, **measured})
        raw += [{**common, **bound} for bound in _bounds(bench, speech)]
    header = ["audio s", "engine", "text ms", *(stage[:-2].replace("_", " ") + " s" for stage in STAGES)]
    header += ["total s", "CPU s", "RTF", "vs PyTorch", "peak RSS MB"]
    note = (
        "The bounds divide counted arithmetic (decode: the bytes of its weights) by the measured rates of the machine."
    )
    return Measured(raw, [Table("Where the time goes: whole utterances, batch 1", header, _stage_rows(raw), note)])


def _bounds(bench: Bench, speech: Raw) -> Iterator[Raw]:
    num_text, num_tokens = len(speech["text_ids"]), speech["num_tokens"]
    gflop = bench.run("roofline:count_gflop", checkpoint=bench.checkpoint, num_text=num_text, num_tokens=num_tokens)
    rates = {"fp32": bench.roofline.fp32_gflop_s, "int8": bench.roofline.int8_gop_s}
    for precision in PRECISIONS:
        stages = {name: count / rates[precision] for name, count in gflop.items()}
        weights_gb = weights_size(bench.bundle, precision) / 1e9
        stages["decode_s"] = num_tokens * weights_gb / bench.roofline.read_gb_s
        yield {"engine": f"bound {precision}", "stages": stages, "gflop": gflop}


def _stage_rows(raw: Sequence[Raw]) -> list[list[str]]:
    torch_s = {row["audio_s"]: _total_s(row) for row in raw if row["engine"] == "PyTorch"}
    return [
        [
            f"{row['audio_s']:g}",
            row["engine"],
            f"{row['text_ms']:.1f}",
            *(seconds(row["stages"][stage]) for stage in STAGES),
            seconds(_total_s(row)),
            seconds(row["cpu_s"]) if "cpu_s" in row else "",
            f"{_total_s(row) / row['audio_s']:.2f}",
            ratio(torch_s[row["audio_s"]] / _total_s(row)) if row["audio_s"] in torch_s else "",
            f"{row['peak_rss_mb']:.0f}" if "peak_rss_mb" in row else "",
        ]
        for row in raw
    ]


def _total_s(row: Raw) -> float:
    return float(sum(row["stages"].values()))

"""Where the time of an utterance goes, stage by stage, and how far that is from what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.bench.context import PRECISIONS, Bench, Measured, Raw
from pipeline.bench.table import Table, ratio, seconds
from pipeline.bench.throughput import weights_size
from pipeline.bench.workload import text_of
from pipeline.config import Operators
from pipeline.runtime import native
from pipeline.runtime.bundle import Precision

STAGES = ("prefill_s", "decode_s", "flow_encoder_s", "estimator_s", "vocoder_s")


def measure_stages(bench: Bench) -> Measured:
    """Every stage, alone and whole, in torch and in each precision, beside what the machine could do."""
    raw = []
    for duration_s in bench.settings.durations_s:
        text = text_of(duration_s)
        speech = bench.speech(text, duration_s)
        frontend = bench.run("stages:measure_text", bundle=str(bench.bundle.path), text=text)
        repeats = bench.settings.repeats_of(duration_s)
        times = {"text_ms": frontend["first_ms"], "text_again_ms": frontend["again_ms"]}
        common = {"audio_s": duration_s, **_amount(bench, speech), **times}
        if duration_s in bench.settings.baseline_durations_s:
            measured = bench.of_torch("baseline:measure_stages", repeats=bench.settings.baseline_repeats, **speech)
            raw.append({"engine": "PyTorch", **common, **measured})
        for engine, precision, operators in _engines():
            arguments = {"repeats": repeats, "operators": operators, **speech}
            measured = bench.of_product("stages:measure_stages", precision, **arguments)
            raw.append({"engine": engine, **common, **measured})
        raw += [{**common, **bound} for bound in _bounds(bench, speech)]
    header = ["audio s", "pieces", "engine", "text ms", *(stage[:-2].replace("_", " ") + " s" for stage in STAGES)]
    header += ["total s", "CPU s", "RTF", "vs PyTorch", "tokens/s", "frames/s", "peak RSS MB"]
    note = (
        "A text that the frontend cuts into pieces is spoken piece by piece, in PyTorch too. Tokens/s: of decoding; "
        "mel frames/s: of flow and vocoder. The bounds divide counted arithmetic (decode: the bytes of its weights) by "
        "the measured rates of the machine."
    )
    return Measured(raw, [Table("Where the time goes: whole utterances, batch 1", header, _stage_rows(raw), note)])


def _engines() -> Iterator[tuple[str, Precision, Operators]]:
    """Each precision, and beside int8 the same without operators of our own where this CPU has them."""
    for precision in PRECISIONS:
        if precision == "int8" and native.library() is not None:
            yield "product int8, ONNX Runtime's operators", precision, "onnxruntime"
        yield f"product {precision}", precision, "auto"


def _amount(bench: Bench, speech: Raw) -> Raw:
    num_tokens = [piece["num_tokens"] for piece in speech["pieces"]]
    num_frames = sum(map(bench.bundle.manifest.num_mel_frames, num_tokens))
    return {"num_pieces": len(num_tokens), "num_tokens": sum(num_tokens), "num_frames": num_frames}


def _bounds(bench: Bench, speech: Raw) -> Iterator[Raw]:
    num_tokens = _amount(bench, speech)["num_tokens"]
    gflop = bench.run("roofline:count_gflop", checkpoint=bench.checkpoint, **speech)
    for precision in PRECISIONS:
        rate = bench.roofline.fp32_gflop_s if precision == "fp32" else bench.roofline.int8_gop_s
        stages = {name: count / rate for name, count in gflop.items()}
        weights_gb = weights_size(bench.bundle, precision) / 1e9
        stages["decode_s"] = num_tokens * weights_gb / bench.roofline.read_gb_s
        yield {"engine": f"bound {precision}", "stages": stages, "gflop": gflop}


def _stage_rows(raw: Sequence[Raw]) -> list[list[str]]:
    torch_s = {row["audio_s"]: _total_s(row) for row in raw if row["engine"] == "PyTorch"}
    return [
        [
            f"{row['audio_s']:g}",
            str(row["num_pieces"]),
            row["engine"],
            f"{row['text_ms']:.1f}",
            *(seconds(row["stages"][stage]) for stage in STAGES),
            seconds(_total_s(row)),
            seconds(row["cpu_s"]) if "cpu_s" in row else "",
            f"{_total_s(row) / row['audio_s']:.2f}",
            ratio(torch_s[row["audio_s"]] / _total_s(row)) if row["audio_s"] in torch_s else "",
            f"{row['num_tokens'] / row['stages']['decode_s']:.0f}",
            f"{row['num_frames'] / _token2wav_s(row):.0f}",
            f"{row['peak_rss_mb']:.0f}" if "peak_rss_mb" in row else "",
        ]
        for row in raw
    ]


def _token2wav_s(row: Raw) -> float:
    return float(sum(row["stages"][stage] for stage in ("flow_encoder_s", "estimator_s", "vocoder_s")))


def _total_s(row: Raw) -> float:
    return float(sum(row["stages"].values()))

"""The parts of a benchmark, by the name that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType

from pipeline.bench.breakdown import measure_stages
from pipeline.bench.context import Bench, Measured
from pipeline.bench.ladder import measure_ladder
from pipeline.bench.over_http import measure_http
from pipeline.bench.profile import measure_profile
from pipeline.bench.scaling import measure_decode, measure_streams, measure_token2wav
from pipeline.bench.start import measure_start
from pipeline.bench.summary import measure_summary
from pipeline.bench.table import Table


def measure_roofline(bench: Bench) -> Measured:
    best = bench.roofline
    header = ["threads", "memory read GB/s", "fp32 product GFLOP/s", "int8 product GOP/s"]
    row = [str(best.num_threads), *(f"{rate:.0f}" for rate in (best.read_gb_s, best.fp32_gflop_s, best.int8_gop_s))]
    return Measured([asdict(best)], [Table("What the machine can do", header, [row])])


PARTS: Mapping[str, Callable[[Bench], Measured]] = MappingProxyType(
    {
        "roofline": measure_roofline,
        "ladder": measure_ladder,
        "stages": measure_stages,
        "streams": measure_streams,
        "decode": measure_decode,
        "token2wav": measure_token2wav,
        "start": measure_start,
        "http": measure_http,
        "summary": measure_summary,
        "profile": measure_profile,
    }
)
DEFAULT_PARTS = tuple(name for name in PARTS if name != "profile")  # recording slows down what it records

"""What every part of a benchmark works with: the settings, the model, and a way to run a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pipeline.bench.checkpoint import BenchModel
from pipeline.bench.dimensions import Size
from pipeline.bench.process import run_alone
from pipeline.bench.roofline import Roofline
from pipeline.bench.table import Table
from pipeline.bench.workload import pieces_of
from pipeline.runtime.bundle import Bundle, Precision

Raw = dict[str, Any]
DEFAULT_WORKDIR = Path("~/.cache/cosyvoice-serve/bench")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
REPEATED_IN_FULL_S = 4.0  # longer utterances are measured less often, in proportion


@dataclass(frozen=True)
class Settings:
    """What to measure, and how often."""

    size: Size = "300m"
    durations_s: tuple[float, ...] = (2.0, 4.0, 9.0, 30.0)
    baseline_durations_s: tuple[float, ...] = (4.0,)  # of which torch, too, is measured: its cost grows quadratically
    sentence_s: float = 4.0  # what the 42-character sentence of the first table is spoken in
    summary_s: tuple[float, float] = (4.0, 9.0)  # what the summary's utterances last
    precision: Precision = "int8"  # of the parts that measure one
    repeats: int = 3
    baseline_repeats: int = 1
    batch_sizes: tuple[int, ...] = (1, 4, 8)
    contexts: tuple[int, ...] = (100, 500, 1000)
    workdir: Path = DEFAULT_WORKDIR

    def repeats_of(self, duration_s: float) -> int:
        """How often an utterance of this length is measured."""
        return max(1, round(self.repeats * min(1.0, REPEATED_IN_FULL_S / duration_s)))


@dataclass(frozen=True)
class Measured:
    """One part's figures as they came, for JSON, and as a table."""

    raw: list[Raw]
    tables: list[Table]


class Bench:
    """The model that is measured, the settings, and how a measurement is run."""

    def __init__(
        self, settings: Settings, model: BenchModel, num_threads: int, progress: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.checkpoint, self.bundle = str(model.checkpoint), Bundle.open(model.bundle)
        self.num_threads = num_threads
        self._progress = progress

    def run(self, function: str, **arguments: Any) -> Raw:
        shown = (f"{name}={value}" for name, value in arguments.items() if isinstance(value, int | float))
        self._progress(f"{function} {arguments.get('precision', '')} {' '.join(shown)}")
        return run_alone(function, **arguments)

    def of_product(self, function: str, precision: Precision, **arguments: Any) -> Raw:
        return self.run(
            function, bundle=str(self.bundle.path), precision=precision, num_threads=self.num_threads, **arguments
        )

    def of_torch(self, function: str, **arguments: Any) -> Raw:
        return self.run(function, checkpoint=self.checkpoint, num_threads=self.num_threads, **arguments)

    def speech(self, text: str, duration_s: float) -> Raw:
        """Arguments that fix what is said."""
        return {"pieces": pieces_of(self.bundle, text, duration_s)}

    @cached_property
    def roofline(self) -> Roofline:
        return Roofline(**self.run("roofline:measure", num_threads=self.num_threads))

"""A parity report: which arrays were compared with what, how far off they were, and whether that is within bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Comparison:
    """One array computed by one engine.

    `error` is the largest absolute difference, or what the note says; None: it was not compared.
    """

    array: str
    engine: str
    error: float | None
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.error is not None and self.error <= self.tolerance

    def row(self) -> tuple[str, ...]:
        shown = "not compared" if self.error is None else f"{self.error:.2e}"
        return self.array, self.engine, shown, f"{self.tolerance:.0e}", "ok" if self.passed else "FAILED", self.note


@dataclass(frozen=True, slots=True)
class ParityReport:
    title: str
    comparisons: tuple[Comparison, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)

    def table(self) -> str:
        header = ("array", "engine", "error", "tolerance", "", "")
        lines = [self.title, *_aligned([header, *(comparison.row() for comparison in self.comparisons)])]
        failed = sum(not comparison.passed for comparison in self.comparisons)
        verdict = "all within tolerance" if self.passed else f"{failed} FAILED"
        return "\n".join([*lines, f"{len(self.comparisons)} comparisons, {verdict}"])


def max_abs_error(ours: NDArray[np.generic], golden: NDArray[np.generic]) -> tuple[float | None, str]:
    """Largest absolute difference, or None and the reason when the shapes differ. NaN counts as infinitely far."""
    if ours.shape != golden.shape:
        return None, f"shape {list(ours.shape)}, golden has {list(golden.shape)}"
    if golden.size == 0:
        return 0.0, "empty"
    difference = np.abs(ours.astype(np.float64) - golden.astype(np.float64))
    difference[ours == golden] = 0.0  # equal infinities, such as a barred token's log probability
    return float(np.nan_to_num(difference, nan=np.inf).max()), ""


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

"""A finished benchmark: what was measured, on what, and its JSON, Markdown and picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from pipeline.bench.context import Measured, Settings
from pipeline.bench.machine import Machine, Quiet

WARNING = "Random weights at the model's dimensions: the figures are about speed and memory, the output is no speech."


@dataclass(frozen=True)
class Report:
    settings: Settings
    machine: Machine
    quiet: Quiet
    parts: Mapping[str, Measured]

    def markdown(self) -> str:
        tables = [table.markdown() for measured in self.parts.values() for table in measured.tables]
        return "\n\n".join(["# CosyVoice Serve benchmark", self._conditions(), *tables]) + "\n"

    def json(self) -> str:
        values = {
            "warning": WARNING,
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "settings": asdict(self.settings),
            "machine": asdict(self.machine),
            "quiet": {**asdict(self.quiet), "warning": self.quiet.warning},
            "parts": {name: measured.raw for name, measured in self.parts.items()},
        }
        return json.dumps(values, ensure_ascii=False, indent=2, default=str) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """bench.json, bench.md, and bench.png where matplotlib is installed and there is something to draw."""
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "bench.json", folder / "bench.md"]
        written[0].write_text(self.json(), "utf-8")
        written[1].write_text(self.markdown(), "utf-8")
        if draw(self.parts, folder / "bench.png"):
            written.append(folder / "bench.png")
        return written

    def _conditions(self) -> str:
        machine, quiet = self.machine, self.quiet
        versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        lines = [
            WARNING,
            f"Size {self.settings.size}. {machine.cpu}, {machine.num_cpus} CPUs, {machine.num_cores} cores "
            f"({' '.join(machine.cpu_flags)}), NUMA nodes: {machine.num_numa_nodes}, "
            f"{machine.memory_gb:g} GB, {machine.system}.",
            f"{versions}.",
            f"Load average {quiet.load_before:.2f} before, {quiet.load_after:.2f} after.",
        ]
        if quiet.warning:
            lines.append(f"**Not quiet: {quiet.warning}.**")
        return "\n\n".join(lines)


def draw(parts: Mapping[str, Measured], file: Path) -> bool:
    """The ladder's time per request as bars. False without matplotlib, which is optional, or without a ladder."""
    if "ladder" not in parts:
        return False
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    table = parts["ladder"].tables[0]
    names = [row[0] for row in table.rows]
    times_s = [float(row[2]) for row in table.rows]
    figure = Figure(figsize=(9, 0.6 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names[::-1], times_s[::-1])
    axes.bar_label(bars, labels=[f"{row[2]} s, {row[-1]}" for row in reversed(table.rows)], padding=3)
    axes.set_xlim(0, 1.3 * max(times_s))
    axes.set_xlabel("seconds per request")
    axes.set_title("CosyVoice Serve benchmark, random weights")
    figure.savefig(file, dpi=150)
    return True

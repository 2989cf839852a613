"""The figures of a quality report, its bounds, and its Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.bench.renderings import REFERENCE_STEPS
from pipeline.bench.table import Table

# What a precision may cost and still be a bundle's default.
MIN_SAME_DRAWS = 0.9  # of tokens, after the same ones with the same random number
MAX_MEL_DISTANCE = 0.1  # nepers: 0.9 dB
MAX_ADDED_PHONE_ERRORS = 0.02


@dataclass(frozen=True, slots=True)
class PrecisionFigures:
    """Of one precision, over all sentences, from the reference's (fp32 where the bundle has it)."""

    precision: str
    graph_snr_db: dict[str, float]  # signal to noise by graph; graphs that are the reference's file are left out
    same_draws: float  # share of tokens drawn alike after the same tokens with the same random number
    divergence_nat: float  # mean Kullback-Leibler divergence of the next token's distribution
    same_start: float  # share of the reference's tokens before the first that differs, freely running, same seed
    mel_distance_nat: float  # mean absolute difference of log mel: the same tokens and noise through the flow
    audio_distance_nat: float  # the same of the samples' log mel, through flow and vocoder
    phone_errors: float | None = None  # share, as `train evaluate` counts it

    def is_within(self, reference_phone_errors: float | None) -> bool:
        added = 0.0
        if self.phone_errors is not None and reference_phone_errors is not None:
            added = self.phone_errors - reference_phone_errors
        return (
            self.same_draws >= MIN_SAME_DRAWS
            and self.mel_distance_nat <= MAX_MEL_DISTANCE
            and added <= MAX_ADDED_PHONE_ERRORS
        )


@dataclass(frozen=True, slots=True)
class ProfileFigures:
    """Mean absolute difference of a profile's log mel to that of many steps in the reference's precision, in nepers."""

    precision: str
    profile: str
    to_reference_nat: float


@dataclass(frozen=True)
class QualityReport:
    bundle: str
    reference: str
    default: str
    sentences: tuple[str, ...]
    precisions: tuple[PrecisionFigures, ...]  # the reference is not among them
    profiles: tuple[ProfileFigures, ...]
    reference_phone_errors: float | None = None

    @property
    def beyond(self) -> list[str]:
        """Precisions that cost too much to be a default."""
        return [row.precision for row in self.precisions if not row.is_within(self.reference_phone_errors)]

    @property
    def passed(self) -> bool:
        return self.default not in self.beyond

    def json(self) -> str:
        bounds = {
            "min_same_draws": MIN_SAME_DRAWS,
            "max_mel_distance_nat": MAX_MEL_DISTANCE,
            "max_added_phone_errors": MAX_ADDED_PHONE_ERRORS,
        }
        return (
            json.dumps({**asdict(self), "bounds": bounds, "beyond": self.beyond}, ensure_ascii=False, indent=2) + "\n"
        )

    def markdown(self) -> str:
        tables = [self._graphs(), self._precisions(), self._profiles()]
        title = f"# Quality of {self.bundle}: {len(self.sentences)} sentences, against {self.reference}"
        verdict = [f"**Not fit to be a default: {', '.join(self.beyond)}.**"] if self.beyond else []
        return "\n\n".join([title, *(table.markdown() for table in tables if table.rows), *verdict]) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """quality.json and quality.md."""
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "quality.json", folder / "quality.md"]
        for file, text in zip(files, (self.json(), self.markdown()), strict=True):
            file.write_text(text, "utf-8")
        return files

    def _graphs(self) -> Table:
        rows = [
            [row.precision, graph, f"{snr_db:.1f}"]
            for row in self.precisions
            for graph, snr_db in row.graph_snr_db.items()
        ]
        note = "Each graph is given what the reference computed. 20 dB: a tenth of the signal's amplitude is error."
        return Table("Graph by graph", ["precision", "graph", "signal to noise dB"], rows, note)

    def _precisions(self) -> Table:
        header = ["precision", "same draws", "divergence nat", "same from the start", "mel nat", "audio nat"]
        header += ["phone errors", "within bounds"]
        rows = [
            [
                row.precision,
                f"{row.same_draws:.1%}",
                f"{row.divergence_nat:.4f}",
                f"{row.same_start:.1%}",
                f"{row.mel_distance_nat:.3f}",
                f"{row.audio_distance_nat:.3f}",
                _share(row.phone_errors),
                "yes" if row.is_within(self.reference_phone_errors) else "no",
            ]
            for row in self.precisions
        ]
        note = (
            f"Phone errors of {self.reference}: {_share(self.reference_phone_errors) or 'not measured'}. Same draws: "
            "after the same tokens, with the same random number; from the start: freely running with the same seed, "
            f"until the first that differs. Bounds: at least {MIN_SAME_DRAWS:.0%} of the draws the same, mel within "
            f"{MAX_MEL_DISTANCE} nat, at most {MAX_ADDED_PHONE_ERRORS:.0%} more phone errors."
        )
        return Table(f"Against {self.reference}, the same sentences and seeds", header, rows, note)

    def _profiles(self) -> Table:
        rows = [[row.precision, row.profile, f"{row.to_reference_nat:.3f}"] for row in self.profiles]
        title = f"The flow's profiles: log mel against {REFERENCE_STEPS} steps"
        return Table(
            title, ["precision", "profile", "distance nat"], rows, "Mean absolute difference; 1 nat is 8.7 dB."
        )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"

"""Rows of judged sentences to figures by language, as JSON and as a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from pipeline.bench.table import Table

MIN_LENGTH, MAX_LENGTH, NEVER_LENGTH = 0.75, 1.35, 2.5  # of the teacher's: shorter is early, longer late, or no stop
_LOST_ENDING = 3  # phones missing after the last one heard, which the teacher's utterance does not lack

# column of the table -> figure
_COLUMNS = {
    "phone errors": "phone_errors",
    "teacher's": "phone_errors_teacher",
    "tokens copied": "phone_errors_tokens",
    "mel copied": "phone_errors_vocoder",
    "F0 corr.": "f0_correlation",
    "tones": "tones",
    "of teacher's": "tones_relative",
    "MCD dB": "distance_db_voice",
    "mel copied, dB": "distance_db_vocoder",
    "other, dB": "distance_db_other",
    "length": "length_mean",
    "early": "stops_early",
    "late": "stops_late",
    "never": "stops_never",
    "RTF": "real_time_factor_cpu",
}
_SHARES = frozenset({"phone errors", "teacher's", "tokens copied", "mel copied", "tones", "of teacher's"})

WARNING = "This is a small synthetic voice, taught by a formant synthesizer. It is not CosyVoice-300M."


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence. Keys: voice; teacher; `tokens`, `vocoder` its copies, if made; `other`, another sentence."""

    language: str
    voice: str
    text: str
    duration_s: float
    teacher_s: float
    cpu_s: float
    wall_s: float
    num_phones: int
    num_edits: Mapping[str, int]
    num_missing_at_end: int
    distance_db: Mapping[str, float]
    f0_correlation: Mapping[str, float]
    tones: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def length(self) -> float:
        return self.duration_s / self.teacher_s

    @property
    def stop(self) -> str:
        if self.length > NEVER_LENGTH:
            return "never"
        if self.length > MAX_LENGTH:
            return "late"
        return "early" if self.length < MIN_LENGTH or self.num_missing_at_end >= _LOST_ENDING else "in time"

    def summary(self) -> str:
        wrong = {name: round(edits / max(self.num_phones, 1), 3) for name, edits in self.num_edits.items()}
        return f"{self.language} {self.voice} {self.text[:30]} length {self.length:.2f} wrong phones {wrong}"


def figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """Of sentences of one language."""
    num_phones = sum(row.num_phones for row in rows)

    def errors(name: str) -> float | None:
        judged = [row for row in rows if name in row.num_edits]
        if not judged:
            return None
        return sum(row.num_edits[name] for row in judged) / max(sum(row.num_phones for row in judged), 1)

    voice, teacher = errors("voice"), errors("teacher")
    lengths = np.array([row.length for row in rows])
    stops = [row.stop for row in rows]
    return {
        "sentences": len(rows),
        "phones": num_phones,
        "phone_errors": voice,
        "phone_errors_teacher": teacher,
        "phone_errors_above_teacher": None if voice is None or teacher is None else voice - teacher,
        "phone_errors_tokens": errors("tokens"),
        "phone_errors_vocoder": errors("vocoder"),
        "phone_errors_other": errors("other"),
        "f0_correlation": _mean(row.f0_correlation.get("voice") for row in rows),
        "f0_correlation_tokens": _mean(row.f0_correlation.get("tokens") for row in rows),
        "f0_correlation_vocoder": _mean(row.f0_correlation.get("vocoder") for row in rows),
        **_tone_figures(rows),
        **{f"distance_db_{name}": _mean(row.distance_db.get(name) for row in rows) for name in _DISTANCES},
        "length_mean": float(lengths.mean()),
        "length_sd": float(lengths.std()),
        **{f"stops_{kind}": stops.count(kind) for kind in ("early", "late", "never")},
        "real_time_factor_cpu": sum(row.cpu_s for row in rows) / sum(row.duration_s for row in rows),
        "real_time_factor_wall": sum(row.wall_s for row in rows) / sum(row.duration_s for row in rows),
    }


_DISTANCES = ("voice", "tokens", "vocoder", "other")


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _tone_figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """Share of syllables whose tone is heard as meant."""
    meant, teacher, voice = (
        np.array([tone for row in rows for tone in row.tones.get(key, ())]) for key in ("meant", "teacher", "voice")
    )
    if not len(meant):
        return {"tones": None, "tones_teacher": None, "tones_relative": None}
    ours, theirs = float((voice == meant).mean()), float((teacher == meant).mean())
    return {"tones": ours, "tones_teacher": theirs, "tones_relative": ours / theirs if theirs else None}


@dataclass(frozen=True)
class Evaluation:
    name: str
    rows: tuple[Row, ...]
    voices: tuple[Mapping[str, object], ...]  # compare_voices
    words: Mapping[str, object] | None = None  # evaluate_words

    @property
    def languages(self) -> dict[str, dict[str, float | None]]:
        names = dict.fromkeys(row.language for row in self.rows)
        by_name = {name: figures([row for row in self.rows if row.language == name]) for name in names}
        return {**by_name, "all": figures(self.rows)}

    def write(self, folder: Path) -> None:
        content = {
            "warning": WARNING,
            "bundle": self.name,
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "length_bounds": {"early": MIN_LENGTH, "late": MAX_LENGTH, "never": NEVER_LENGTH},
            "languages": self.languages,
            "voices": self.voices,
            "words": self.words,
            "rows": [asdict(row) | {"stop": row.stop} for row in self.rows],
        }
        (folder / "evaluation.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
        (folder / "evaluation.md").write_text(self.markdown(), "utf-8")

    def markdown(self) -> str:
        tables = [self._sentences(), self._voices()] + ([self._words(self.words)] if self.words else [])
        return "\n\n".join([f"# {self.name}", WARNING, *(table.markdown() for table in tables)]) + "\n"

    def _sentences(self) -> Table:
        rows = [
            [name, str(values["sentences"]), *(_cell(column, values[key]) for column, key in _COLUMNS.items())]
            for name, values in self.languages.items()
        ]
        note = (
            "Phone errors are of a recogniser trained on other speakers; beside them its errors on the teacher itself. "
            "Distances follow dynamic time warping; `mel copied` (the teacher's mel through the vocoder) is the floor, "
            "`other` (another sentence) the ceiling. Tones are judged from F0, relative to the teacher's. "
            f"Early: shorter than {MIN_LENGTH} of the teacher's, or the last {_LOST_ENDING} phones missing; "
            f"late: longer than {MAX_LENGTH}; never: than {NEVER_LENGTH}. "
            "RTF is CPU time of the whole path, which is what one thread would take."
        )
        return Table("Held-out sentences", ["language", "sentences", *_COLUMNS], rows, note)

    def _voices(self) -> Table:
        header = ["voice", "median F0", "teacher's", "distance", "to others", "nearest teacher"]
        keys = ("voice", "median_hz", "teacher_median_hz", "distance", "distance_to_others", "nearest_teacher")
        rows = [[_plain(entry[key]) for key in keys] for entry in self.voices]
        note = "Distance: long-term spectrum in dB and F0 in semitones, root of the sum of squares."
        return Table("Voices", header, rows, note)

    def _words(self, words: Mapping[str, object]) -> Table:
        by_voice = words["by_voice"]
        assert isinstance(by_voice, Mapping)
        rows = [[name, *(f"{100 * value:.1f} %" for value in values)] for name, values in by_voice.items()]
        means = (words["word_errors"], words["word_errors_teacher"])
        rows.append(["mean", *(f"{100 * float(str(value)):.1f} %" for value in means)])
        note = "Speakers whom it hears in the teacher well enough to judge the voice by."
        return Table("English heard by pocketsphinx, closed grammar", ["voice", "word errors", "teacher's"], rows, note)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    return f"{100 * value:.1f} %" if column in _SHARES else f"{value:.2f}"


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

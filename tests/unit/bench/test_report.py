"""Every part end to end on the tiny model, and what is written of it. No time is asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.bench import roofline
from pipeline.bench.checkpoint import BenchModel
from pipeline.bench.context import PRECISIONS, Measured, Settings
from pipeline.bench.machine import Machine, Quiet, QuietMeter
from pipeline.bench.parts import PARTS
from pipeline.bench.report import WARNING, Report
from pipeline.bench.run import run_bench
from pipeline.bench.table import Table
from pipeline.errors import InvalidRequest

QUIET = Quiet(load_before=0.1, load_after=2.0, busy_elsewhere=0.01)


@pytest.fixture
def settings(model: BenchModel, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(roofline, "TRIALS_S", 0.0)
    monkeypatch.setattr("pipeline.bench.baseline.FIRST_CHUNK_TOKENS", 8)
    monkeypatch.setattr("pipeline.bench.run.num_threads_for", lambda *_: 1)
    return Settings(
        size="tiny",
        durations_s=(0.4,),
        baseline_durations_s=(0.4,),
        sentence_s=0.8,
        summary_s=(0.8, 1.0),
        repeats=1,
        batch_sizes=(1, 2),
        contexts=(60, 90),
        workdir=model.bundle.parent,
    )


def report_of(measured: Measured, quiet: Quiet = QUIET) -> Report:
    return Report(Settings(), Machine.describe(), quiet, {"ladder": measured})


@pytest.mark.parametrize("part", [name for name in PARTS if name not in ("ladder", "summary")])
def test_each_part_measures_and_lays_out(part: str, settings: Settings, in_process: list[str]) -> None:
    report = run_bench(settings, parts=[part], progress=lambda line: None)
    measured = report.parts[part]
    assert in_process
    assert measured.raw
    for table in measured.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.header)}
    assert json.loads(report.json())["parts"][part] == json.loads(json.dumps(measured.raw))


def way(name: str, num_requests: int, first_audio_s: float, **added: float) -> dict[str, Any]:
    row = {"latencies_s": [first_audio_s + 1], "first_audio_s": first_audio_s, "s_per_request": 1.0, "audio_s": 0.4}
    return {"way": name, "num_requests": num_requests, **row, "cpu_busy_share": 0.9, **added}


def test_the_summary_has_a_line_for_each_measure(
    settings: Settings, in_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    added = {"added_s": 0.01, "throughput_share": 0.98}
    ways = [way("in process", n, 1.0) for n in (1, 8)] + [way("HTTP", n, 1.01, **added) for n in (1, 8)]
    monkeypatch.setattr("pipeline.bench.summary.compare_ways", lambda *_: ways)
    measured = run_bench(settings, parts=["summary"], progress=lambda line: None).parts["summary"]
    shown = {row[0]: row[1] for row in measured.tables[0].rows}
    assert [measure["measure"] for measure in measured.raw] == list(shown)
    assert len(shown) == 17
    assert shown["Ray Serve and HTTP, added to first audio, idle"] == "+10.0 ms"
    assert shown["throughput through HTTP over in process, 8 streams"] == "0.98x"
    assert shown["CPU use while requests wait"] == "90%"
    speedup = measured.raw[0]
    assert speedup["value"] == pytest.approx(speedup["torch_s"] / speedup["product_s"])


def test_the_ladder_is_compared_with_its_first_row(settings: Settings, in_process: list[str]) -> None:
    measured = run_bench(settings, parts=["ladder"], progress=lambda line: None).parts["ladder"]
    (table,) = measured.tables
    assert [row[-1] for row in table.rows] == [f"{row['speedup']:.2f}x" for row in measured.raw]
    assert table.rows[0][-1] == "1.00x"
    assert len(table.rows) == 10 + len(PRECISIONS) - 1


def test_an_unknown_part_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'stage' is no part"):
        run_bench(Settings(workdir=tmp_path / "new"), parts=["stage"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_and_writes_its_report(
    model: BenchModel, tmp_path: Path, in_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["bench", "--size", "tiny", "--only", "roofline", "--workdir", str(model.bundle.parent), "-o", str(out)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == (out / "bench.md").read_text("utf-8").strip()
    assert json.loads((out / "bench.json").read_text("utf-8"))["settings"]["size"] == "tiny"


def test_a_report_says_that_the_weights_are_random_and_who_disturbed_it() -> None:
    measured = Measured([], [Table("Title", ["a"], [["1"]])])
    assert WARNING in report_of(measured).markdown()
    assert "Not quiet" not in report_of(measured).markdown()
    disturbed = report_of(measured, Quiet(4.0, 5.0, busy_elsewhere=0.6)).markdown()
    assert "other processes used 60%" in disturbed


def test_a_machine_that_cannot_tell_gives_no_warning() -> None:
    assert Quiet(9.0, 9.0, busy_elsewhere=None).warning is None
    quiet = QuietMeter().stop()
    assert quiet.busy_elsewhere is None or 0 <= quiet.busy_elsewhere <= 1


def test_a_tables_columns_line_up_for_wide_characters() -> None:
    lines = Table("Title", ["text", "n"], [["中文", "1"], ["ab", "22"]], "a note").markdown().splitlines()
    assert lines[2:6] == ["| text | n  |", "| ---- | -- |", "| 中文 | 1  |", "| ab   | 22 |"]
    assert lines[-1] == "a note"


def test_the_ladder_is_drawn(tmp_path: Path) -> None:
    rows = [["PyTorch", "30.0", "30.0", "1.00x"], ["int8", "7.0", "7.0", "4.29x"]]
    measured = Measured([], [Table("Title", ["configuration", "p50", "s per request", "vs row 1"], rows)])
    written = report_of(measured).write(tmp_path)
    assert [file.name for file in written] == ["bench.json", "bench.md", "bench.png"]
    assert written[2].read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture_but_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    written = report_of(Measured([], [Table("Title", ["a"], [["1"]])])).write(tmp_path / "new")
    assert [file.name for file in written] == ["bench.json", "bench.md"]
    assert all(file.stat().st_size for file in written)

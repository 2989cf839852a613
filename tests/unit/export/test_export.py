"""Export of an official folder: what is written, what is refused, and that nothing half done loads."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.build import precision_of
from pipeline.config import ModelConfig
from pipeline.errors import BundleError
from pipeline.export import parity
from pipeline.export.export import export
from pipeline.export.golden import compare_with_golden
from pipeline.export.onnx_engine import OnnxEngine
from pipeline.runtime.bundle import MANIFEST, Bundle

GOLDEN = Path(__file__).parents[2] / "golden"
SMALL = GOLDEN / "reference-small"
FIFTY = GOLDEN / "reference-50hz"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle") / "small"
    export(SMALL, folder, precisions=["fp32", "int8", "int4"], name="small", progress=lambda _: None)
    return Bundle.open(folder)


def test_a_bundle_says_what_it_is(bundle: Bundle) -> None:
    manifest = bundle.manifest
    bundle.verify()
    assert manifest.name == "small"
    assert list(manifest.graphs) == ["fp32", "int8", "int4"]
    assert manifest.token_rate == 25
    assert manifest.tokenizer == "whisper-bpe"
    assert manifest.voices == tuple(bundle.voices)
    assert set(manifest.files) == {file.name for file in bundle.path.iterdir()} - {MANIFEST}


def test_precisions_share_the_graphs_that_do_not_differ(bundle: Bundle) -> None:
    graphs = bundle.manifest.graphs
    shared = {name for name in graphs["fp32"] if graphs["fp32"][name] == graphs["int8"][name]}
    assert shared == {"lm_tables", "f0_predictor"}
    assert {name for name in graphs["int8"] if graphs["int8"][name] != graphs["int4"][name]} == {"lm"}


def test_four_bits_need_no_other_precision_in_the_bundle(tmp_path: Path, bundle: Bundle) -> None:
    export(SMALL, tmp_path / "int4", precisions=["int4"], progress=lambda _: None)
    alone = Bundle.open(tmp_path / "int4")
    assert precision_of(ModelConfig(), alone) == precision_of(ModelConfig(precision="int4"), bundle) == "int4"
    assert alone.manifest.graphs["int4"] == bundle.manifest.graphs["int4"]
    assert {file.name for file in alone.path.glob("lm.*")} == {"lm.int4.onnx"}


def test_a_precision_beyond_its_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.DIVERGENCE_TOLERANCE, "int4", 1e-9)
    with pytest.raises(BundleError, match=r"divergence +onnx int4 .* FAILED"):
        export(SMALL, tmp_path / "int4", precisions=["int4"], progress=lambda _: None)
    assert not (tmp_path / "int4").exists()


@pytest.mark.parametrize("bound", ["DIVERGENCE_TOLERANCE", "DRAW_TOLERANCE", "QUANTIZED_LOG_PROBS_TOLERANCE"])
def test_four_bits_have_bounds_of_their_own(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    (case,) = parity.read_golden(SMALL / "golden.npz")
    arrays = {name: case[name] for name in ("text", "speech_tokens", "spk_embedding", "lm.log_probs")}
    cases = [dataclasses.replace(case, arrays=arrays)]
    engines = [OnnxEngine(bundle, "int8"), OnnxEngine(bundle, "int4")]
    assert parity.compare(list(engines), cases, "golden").passed
    monkeypatch.setitem(getattr(parity, bound), "int4", 1e-9)
    comparisons = parity.compare(list(engines), cases, "golden").comparisons
    assert [comparison.engine for comparison in comparisons if not comparison.passed] == ["onnx int4"]


def test_a_zero_shot_speaker_keeps_its_prompt(tmp_path: Path) -> None:
    export(FIFTY, tmp_path / "fifty", progress=lambda _: None)
    voices = Bundle.open(tmp_path / "fifty").voices.values()
    (prompt,) = (voice.prompt for voice in voices if voice.prompt is not None)
    assert len(prompt.speech_tokens) > 0
    assert prompt.mel.shape[1] == 80


def test_an_unknown_precision_names_the_cure(bundle: Bundle, tmp_path: Path) -> None:
    export(SMALL, tmp_path / "fp32", progress=lambda _: None)
    with pytest.raises(BundleError, match="export it with `--precision int8`"):
        Bundle.open(tmp_path / "fp32").graph("lm", "int8")


def test_a_killed_export_leaves_nothing_that_loads(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    command = [sys.executable, "-m", "pipeline", "export", str(SMALL), str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "writing flow" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    assert not target.exists()
    with pytest.raises(BundleError, match="is no bundle"):
        Bundle.open(target)
    for leftover in tmp_path.iterdir():
        with pytest.raises(BundleError):
            Bundle.open(leftover)


def test_an_export_replaces_an_older_bundle_but_no_other_folder(tmp_path: Path, bundle: Bundle) -> None:
    target = tmp_path / "bundle"
    shutil.copytree(bundle.path, target)
    export(SMALL, target, name="new", progress=lambda _: None)
    assert Bundle.open(target).manifest.name == "new"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(BundleError, match="is no bundle"):
        export(SMALL, tmp_path / "photos", progress=lambda _: None)
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_damaged_bundle_is_refused_by_name(tmp_path: Path, bundle: Bundle) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    graph = copy / "vocoder.fp32.onnx"
    damaged = bytearray(graph.read_bytes())
    damaged[1000] ^= 1
    graph.write_bytes(damaged)
    with pytest.raises(BundleError, match=r"vocoder\.fp32\.onnx is corrupted"):
        Bundle.open(copy).verify()
    graph.write_bytes(damaged[:-1])
    with pytest.raises(BundleError, match=r"vocoder\.fp32\.onnx has \d+ bytes"):
        Bundle.open(copy)
    graph.unlink()
    with pytest.raises(BundleError, match=r"vocoder\.fp32\.onnx is missing"):
        Bundle.open(copy)
    (copy / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="is damaged"):
        Bundle.open(copy)


@pytest.mark.parametrize("checkpoint", [SMALL, FIFTY], ids=lambda path: path.name)
def test_every_golden_array_is_matched_by_torch_and_onnx(checkpoint: Path) -> None:
    report = compare_with_golden(checkpoint, checkpoint / "golden.npz", progress=lambda _: None)
    assert report.passed, report.table()
    assert {comparison.engine for comparison in report.comparisons} == {"torch", "onnx fp32"}


def test_parity_fails_past_the_tolerance_and_for_an_array_that_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(SMALL / "golden.npz") as file:
        arrays = {name: file[name] for name in file.files if not name.startswith(("flow.", "hift."))}
    wrong = arrays | {"lm.log_probs": arrays["lm.log_probs"] + 2e-4}
    np.savez(tmp_path / "wrong.npz", **wrong)
    assert main(["parity", str(SMALL), str(tmp_path / "wrong.npz")]) == 1
    assert "FAILED" in capsys.readouterr().out
    np.savez(tmp_path / "unknown.npz", **arrays, **{"lm.something": np.zeros(3)})
    assert main(["parity", str(SMALL), str(tmp_path / "unknown.npz")]) == 1
    assert "not compared" in capsys.readouterr().out
    np.savez(tmp_path / "right.npz", **arrays)
    assert main(["parity", str(SMALL), str(tmp_path / "right.npz")]) == 0


def test_parity_needs_a_readable_file(tmp_path: Path) -> None:
    assert main(["parity", str(SMALL), str(tmp_path / "missing.npz")]) == 1
    (tmp_path / "text.npz").write_text("no npz")
    assert main(["parity", str(SMALL), str(tmp_path / "text.npz")]) == 1


def test_export_tells_its_progress(tmp_path: Path) -> None:
    lines: list[str] = []
    export(SMALL, tmp_path / "bundle", progress=lines.append)
    assert any("reading" in line for line in lines)
    assert any("writing lm.fp32.onnx" in line for line in lines)
    assert "wrote" in lines[-1]

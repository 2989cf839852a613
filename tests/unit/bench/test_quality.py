"""The quality report: distances that vanish where nothing differs, bounds that can fail, and its files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.bench import quality_phones, renderings
from pipeline.bench.distances import divergence_nat, mean_distance, num_same_at_start, snr_db
from pipeline.bench.quality import SENTENCES, judge
from pipeline.bench.quality_phones import only
from pipeline.bench.quality_report import PrecisionFigures, QualityReport
from pipeline.bench.renderings import Models, Rendering
from pipeline.bench.workload import relinked
from pipeline.errors import BundleError, InvalidRequest
from pipeline.runtime.bundle import Bundle
from pipeline.types import Utterance

FIGURES = PrecisionFigures("int8", {"lm": 30.0}, 0.97, 0.001, 0.3, 0.02, 0.1)
REPORT = QualityReport("a voice", "fp32", "int8", ("你好。",), (FIGURES,), ())


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings, "REFERENCE_STEPS", 30)
    monkeypatch.setattr(renderings, "MAX_TOKENS", 30)


def test_distances_are_those_of_their_definitions() -> None:
    ones, tenth = np.ones((2, 3), np.float32), np.full((2, 3), 1.1, np.float32)
    assert snr_db([(ones, tenth)]) == pytest.approx(20, abs=1e-3)
    assert snr_db([(ones, ones)]) == float("inf")
    assert mean_distance([(ones, tenth), (ones, ones)]) == pytest.approx(0.05, abs=1e-6)
    even, odd = np.log(np.float32([[0.5, 0.5]])), np.log(np.float32([[0.8, 0.2]]))
    assert divergence_nat(even, odd) == pytest.approx(0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2), abs=1e-6)
    assert divergence_nat(even, even + 3) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("tokens", "others", "expected"), [([1, 2, 3], [1, 2, 3], 3), ([1, 2, 3], [1, 5, 3], 1), ([1, 2], [1, 2, 3], 2)]
)
def test_the_same_start_ends_where_one_differs_or_ends(tokens: list[int], others: list[int], expected: int) -> None:
    assert num_same_at_start(np.array(tokens), np.array(others)) == expected


def rendered(bundle: Bundle, precision: str, reference: Rendering | None) -> Rendering:
    utterance = Utterance("", (5, 6, 7, 8, 9, 10), bundle.voice(bundle.manifest.voices[0]), seed=3)
    return Models(bundle, precision, 1).render(utterance, reference)  # type: ignore[arg-type]


def test_a_second_rendering_of_the_reference_is_the_reference(bundle: Bundle) -> None:
    first = rendered(bundle, "fp32", None)
    again = rendered(bundle, "fp32", first)
    for field in ("tokens", "draws", "logits", "mu", "velocity", "f0", "wave", "spectrogram"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert first.draws.shape == first.tokens.shape
    assert len(first.logits) == len(first.tokens)


def test_a_precision_is_fed_with_what_the_reference_made(bundle: Bundle) -> None:
    first = rendered(bundle, "fp32", None)
    other = rendered(bundle, "int8", first)
    assert other.logits.shape == first.logits.shape
    assert other.wave.shape == first.wave.shape
    assert 10 < snr_db([(first.wave, other.wave)]) < 100
    assert mean_distance([(first.mels["fast"], first.mels["exact"])]) > 0


def test_a_bundle_is_judged_in_every_precision_and_profile(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    status = main(["quality", str(bundle.path), "--num-sentences", "1", "-o", str(out)])
    content = json.loads((out / "quality.json").read_text("utf-8"))
    assert capsys.readouterr().out.strip() == (out / "quality.md").read_text("utf-8").strip()
    others = [precision for precision in bundle.manifest.graphs if precision != "fp32"]
    assert [row["precision"] for row in content["precisions"]] == others
    assert {row["precision"] for row in content["profiles"]} == {"fp32", *others}
    assert "f0_predictor" not in content["precisions"][0]["graph_snr_db"]  # one file for all
    assert content["profiles"][0]["to_reference_nat"] < content["profiles"][1]["to_reference_nat"]
    assert status == int(content["default"] in content["beyond"])


def test_a_judge_of_phones_is_asked_of_every_precision(bundle: Bundle) -> None:
    asked: dict[str, float] = {"fp32": 0.1, "int8": 0.2, "int4": 0.3}
    report = judge(
        bundle.path, num_sentences=1, phone_errors=lambda _, precision: asked[precision], progress=lambda line: None
    )
    assert report.reference_phone_errors == 0.1
    assert [row.phone_errors for row in report.precisions] == [asked[row.precision] for row in report.precisions]
    assert report.beyond == [row.precision for row in report.precisions]
    assert "20.0%" in report.markdown()


@pytest.mark.parametrize(
    "worse",
    [
        lambda row: replace(row, same_draws=0.89),
        lambda row: replace(row, mel_distance_nat=0.11),
        lambda row: replace(row, phone_errors=0.13),
    ],
)
def test_a_default_beyond_a_bound_fails(worse: Callable[[PrecisionFigures], PrecisionFigures]) -> None:
    assert REPORT.passed
    assert replace(REPORT, precisions=(replace(FIGURES, phone_errors=0.12),), reference_phone_errors=0.1).passed
    report = replace(REPORT, precisions=(worse(FIGURES),), reference_phone_errors=0.1)
    assert not report.passed
    assert "Not fit to be a default: int8" in report.markdown()
    assert replace(report, default="fp32").passed


def test_one_precision_of_a_bundle_opens_alone(bundle: Bundle) -> None:
    with relinked(bundle, only(bundle, "int8")) as path:
        alone = Bundle.open(path)
        assert list(alone.manifest.graphs) == ["int8"]
        assert alone.graph("lm", "int8").samefile(bundle.graph("lm", "int8"))
    assert not path.exists()


def test_the_recipes_recogniser_judges_one_precision(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(path: str, data: Path, recognizer: Path, output: Path, **_: object) -> SimpleNamespace:
        assert list(Bundle.open(path).manifest.graphs) == ["int8"]
        assert data.is_relative_to(tmp_path)
        assert recognizer.is_relative_to(tmp_path)
        assert output.is_dir()
        return SimpleNamespace(languages={"all": {"phone_errors": 0.25}})

    monkeypatch.setattr("pipeline.training.voice.evaluate.evaluate", evaluate)
    assert quality_phones.phone_errors_by(tmp_path, 2, print)(bundle, "int8") == 0.25


@pytest.mark.parametrize("num_sentences", [0, 99])
def test_sentences_are_bounded(bundle: Bundle, num_sentences: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{num_sentences} sentences are out of range"):
        judge(bundle.path, num_sentences=num_sentences)


def test_a_folder_that_is_neither_bundle_nor_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=str(tmp_path)):
        judge(tmp_path, progress=lambda line: None)


def test_every_language_has_sentences_of_equal_number() -> None:
    assert {len(texts) for texts in SENTENCES.values()} == {2}


def test_a_bundle_is_judged_without_torch() -> None:
    code = "import sys, pipeline.bench.quality; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

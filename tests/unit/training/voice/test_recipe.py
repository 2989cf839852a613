"""The recipe's steps: their order, what they are given, and what the command line refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.__main__ import _parser, main
from pipeline.errors import BundleError
from pipeline.training.voice import recipe as recipes
from pipeline.training.voice.recipe import NUM_STEPS, STEPS, Recipe, run_recipe


def test_steps_run_in_the_recipes_order_whatever_order_is_asked(tmp_path: Path, monkeypatch: Any) -> None:
    ran: list[str] = []
    monkeypatch.setattr(recipes, "STEPS", {name: lambda _, name=name: ran.append(name) for name in STEPS})
    run_recipe(Recipe(tmp_path), ["export", "lm", "corpus"])
    assert ran == ["corpus", "lm", "export"]


@pytest.mark.parametrize("part", [part for part in NUM_STEPS if part != "polish"])
def test_a_model_is_trained_on_the_corpus_for_a_share_of_its_steps(part: str, tmp_path: Path, monkeypatch: Any) -> None:
    calls: list[tuple[tuple[Path, ...], dict[str, object]]] = []
    predictor = object()
    monkeypatch.setattr(recipes, "load_vocoder", lambda _: SimpleNamespace(f0_predictor=predictor))
    monkeypatch.setattr(recipes, f"train_{part}", lambda *folders, **limits: calls.append((folders, limits)))
    monkeypatch.setattr(recipes, "make_recognizer_corpus", lambda *_, **__: 0)
    monkeypatch.setattr(recipes, "load_flow", lambda *_: None)
    monkeypatch.setattr(recipes, "remake_mels", lambda *_, **__: 0)
    recipe = Recipe(tmp_path, scale=0.5, max_seconds=60.0)
    run_recipe(recipe, [part])
    ((folders, limits),) = calls
    assert folders[0] == tmp_path / "corpus"
    assert folders[-1] == tmp_path / "checkpoints" / f"{part}.pt"
    beside = {"f0": {"remade": tmp_path / "remade"}, "flow": {"predictor": predictor}}
    assert limits == {"num_steps": NUM_STEPS[part] // 2, "max_seconds": 60.0, **beside.get(part, {})}


def test_a_bundles_models_go_on_with_its_units(tmp_path: Path, monkeypatch: Any) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(recipes, "Bundle", SimpleNamespace(open=lambda path: f"bundle in {path}"))
    monkeypatch.setattr(recipes, "units_of", lambda bundle: f"units of {bundle}")
    monkeypatch.setattr(recipes, "build_corpus", lambda *given: calls.append(given))
    monkeypatch.setattr(recipes, "report", lambda *_: "")
    monkeypatch.setattr(recipes, "write_starts", lambda *given: calls.append(given[:2]))
    recipe = Recipe(tmp_path, start=Path("voice"))
    run_recipe(recipe, ["corpus"])
    assert calls == [
        (recipe.data, recipe.plan, "units of bundle in voice"),
        ("bundle in voice", recipe.data),
    ]
    run_recipe(Recipe(tmp_path), ["corpus"])
    assert calls[2:] == [(recipe.data, recipe.plan, None)], "without a bundle units are chosen anew"


def test_polishing_goes_on_with_a_copy_of_the_vocoder(tmp_path: Path, monkeypatch: Any) -> None:
    calls: list[tuple[Path, dict[str, object]]] = []
    monkeypatch.setattr(recipes, "train_vocoder", lambda _, file, **limits: calls.append((file, limits)))
    monkeypatch.setattr(recipes, "load_flow", lambda *_: None)
    monkeypatch.setattr(recipes, "remake_mels", lambda *_, **__: 0)
    recipe = Recipe(tmp_path)
    recipe.checkpoint("vocoder").parent.mkdir()
    recipe.checkpoint("vocoder").write_bytes(b"trained")
    run_recipe(recipe, ["polish"])
    ((file, limits),) = calls
    assert file == tmp_path / "checkpoints" / "polish.pt"
    assert file.read_bytes() == b"trained"
    assert limits["num_steps"] == NUM_STEPS["vocoder"] + NUM_STEPS["polish"]
    assert limits["remade"] == tmp_path / "remade"
    file.write_bytes(b"half polished")
    run_recipe(recipe, ["polish"])
    assert file.read_bytes() == b"half polished", "a stopped run goes on where it was"


def test_the_flow_wants_the_vocoder_that_will_read_its_melody(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"vocoder\.pt is missing: train the vocoder first"):
        run_recipe(Recipe(tmp_path), ["flow"])


def test_the_command_line_knows_every_step() -> None:
    assert _parser().parse_args(["train"]).all_steps == tuple(STEPS)


def test_the_command_line_refuses_an_unknown_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "vocodr", "--folder", str(tmp_path / "new")]) == 1
    assert "'vocodr' is no step" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()

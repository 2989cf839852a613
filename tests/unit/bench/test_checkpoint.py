"""The random checkpoint and its bundle: true dimensions, made once, never half."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.bench import checkpoint
from pipeline.bench.checkpoint import BenchModel, prepare
from pipeline.bench.context import PRECISIONS
from pipeline.bench.dimensions import config_text
from pipeline.model.config import ModelConfig, read_config
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import HiFTGenerator
from pipeline.model.lm import TransformerLM
from pipeline.runtime.bundle import Bundle


class FakeExport:
    """Makes a folder instead of a bundle."""

    def __init__(self) -> None:
        self.targets: list[Path] = []

    def __call__(self, source: Path, target: Path, **_: Any) -> None:
        target.mkdir()
        self.targets.append(target)


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> FakeExport:
    fake = FakeExport()
    monkeypatch.setattr(checkpoint, "export", fake)
    return fake


def quietly(workdir: Path, precisions: Sequence[Any] = ("fp32",)) -> BenchModel:
    return prepare("tiny", workdir, precisions, progress=lambda line: None)


def official(tmp_path: Path) -> ModelConfig:
    file = tmp_path / "cosyvoice.yaml"
    file.write_text(config_text("300m"), "utf-8")
    return read_config(file)


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_large_one_has_the_official_dimensions(tmp_path: Path) -> None:
    config = official(tmp_path)
    with torch.device("meta"):
        lm, flow, hift = TransformerLM(config.lm), MaskedDiffWithXvec(config.flow), HiFTGenerator(config.hift)
    assert (config.lm.decoder.num_layers, config.lm.decoder.hidden_size, config.lm.decoder.num_heads) == (14, 1024, 16)
    assert (config.lm.num_text_tokens, config.lm.num_speech_tokens, config.token_rate) == (51866, 4096, 50)
    assert num_parameters(lm) == pytest.approx(311e6, rel=0.01)
    assert num_parameters(flow) == pytest.approx(105e6, rel=0.01)
    assert num_parameters(hift) == pytest.approx(20.5e6, rel=0.01)


def test_the_bundle_opens_with_every_file_as_written(bundle: Bundle) -> None:
    bundle.verify()
    assert tuple(bundle.manifest.graphs) == PRECISIONS
    assert bundle.manifest.token_rate == 50


def test_what_is_there_is_not_made_again(tmp_path: Path, export: FakeExport) -> None:
    first = quietly(tmp_path)
    made_at = (first.checkpoint / "llm.pt").stat().st_mtime_ns
    assert quietly(tmp_path) == first
    assert (first.checkpoint / "llm.pt").stat().st_mtime_ns == made_at
    assert export.targets == [first.bundle]


def test_another_exporter_makes_another_bundle_in_place_of_the_old_one(
    tmp_path: Path, export: FakeExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quietly(tmp_path)
    monkeypatch.setattr(checkpoint, "_exporter_sources", lambda: iter(["changed"]))
    second = quietly(tmp_path)
    assert second.bundle.exists()
    assert not first.bundle.exists()
    assert second.checkpoint == first.checkpoint


def test_an_interrupted_checkpoint_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        quietly(tmp_path)
    assert list(tmp_path.iterdir()) == []

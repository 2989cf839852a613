"""A tiny model, made once, and measurements that run in this process."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.bench import context
from pipeline.bench.checkpoint import BenchModel, prepare
from pipeline.bench.context import PRECISIONS
from pipeline.runtime.bundle import Bundle


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> BenchModel:
    torch.set_num_threads(1)
    return prepare("tiny", tmp_path_factory.mktemp("bench"), PRECISIONS, progress=lambda line: None)


@pytest.fixture(scope="session")
def bundle(model: BenchModel) -> Bundle:
    return Bundle.open(model.bundle)


@pytest.fixture
def checkpoint(model: BenchModel) -> Path:
    return model.checkpoint


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the process of each measurement by a call; the list names the functions that were called."""
    called: list[str] = []

    def run(function: str, **arguments: Any) -> Any:
        called.append(function)
        module, _, name = function.partition(":")
        measure = getattr(import_module(f"pipeline.bench.{module}"), name)
        if "spawned_at" in measure.__annotations__:
            arguments["spawned_at"] = 0.0
        return measure(**arguments)

    monkeypatch.setattr(context, "run_alone", run)
    return called

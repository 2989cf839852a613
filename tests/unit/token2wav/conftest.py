"""A bundle of the small reference checkpoint (random weights), and the stage that speaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.runtime.bundle import Bundle, new_bundle
from pipeline.token2wav.token2wav import OnnxToken2Wav
from pipeline.types import Utterance

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("bundles") / "small"
    with new_bundle(path) as folder:
        write_graphs(load_checkpoint(REFERENCE), folder, ["fp32", "int8"], "small", lambda line: None)
    return Bundle.open(path)


@pytest.fixture(scope="session")
def token2wav(bundle: Bundle) -> OnnxToken2Wav:
    return OnnxToken2Wav(bundle, "fp32", num_threads=1)


@pytest.fixture
def utterance(bundle: Bundle) -> Utterance:
    return Utterance("test", (), next(iter(bundle.voices.values())), seed=7)

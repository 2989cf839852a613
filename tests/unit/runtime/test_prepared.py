"""Prepared graphs give the same bits as the bundle's own, and follow bundle, machine and ONNX Runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pipeline.acoustic.lm_tables import LMTables
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.build import open_bundle
from pipeline.config import ModelConfig, Operators
from pipeline.errors import BundleError
from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.runtime import native, prepared
from pipeline.runtime.bundle import Bundle, FileInfo, Precision, new_bundle
from pipeline.runtime.lowering.graph import DOMAIN
from pipeline.runtime.onnx_file import read_model
from pipeline.runtime.prepared import machine_kind, open_arrays, open_session, open_sessions, usual_places
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.vocoder import OnnxVocoder

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int4")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("bundles") / "small"
    with new_bundle(path) as folder:
        write_graphs(load_checkpoint(REFERENCE), folder, PRECISIONS, "small", lambda line: None)
    return Bundle.open(path)


@pytest.fixture
def kept(plain: Bundle, tmp_path: Path) -> Bundle:
    return dataclasses.replace(plain, prepared_in=(tmp_path,))


def speech_of(bundle: Bundle, precision: Precision, max_threads: int = 1) -> Iterator[np.ndarray]:
    """Logits, mel, F0 and samples, through every graph."""
    sizes = {"num_threads": 1, "max_batch_size": 1, "max_context": 200, "max_threads": max_threads}
    lm = OnnxSpeechLM(bundle, precision, is_alone=lambda: True, **sizes)
    voice = bundle.voice(bundle.manifest.voices[0])
    prompt = LMPrompt(np.arange(10), voice.embedding, np.arange(130) % 64)  # more positions than the smallest table has
    yield lm.prefill([prompt])
    for token in range(3):
        yield lm.decode(np.array([token]))
    random = np.random.default_rng(0)
    tokens = np.arange(30)
    num_frames = bundle.manifest.num_mel_frames(len(tokens))
    z = random.standard_normal((num_frames, bundle.manifest.flow.mel_bins), dtype=np.float32)
    mel = OnnxFlow(bundle, precision, 1).mel(tokens, voice, z)
    yield mel
    vocoder = OnnxVocoder(bundle, precision, 1)
    yield vocoder.f0(mel)
    source = random.standard_normal(num_frames * bundle.manifest.vocoder.hop_length, dtype=np.float32)
    yield vocoder.wave(mel, source)


@pytest.mark.parametrize("is_lowered", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_prepared_graphs_give_the_same_bits(
    plain: Bundle, kept: Bundle, precision: Precision, is_lowered: bool
) -> None:
    plain, kept = (dataclasses.replace(bundle, is_lowered=is_lowered) for bundle in (plain, kept))
    expected = list(speech_of(plain, precision))
    for _ in ("made", "found"):
        for array, known in zip(speech_of(kept, precision), expected, strict=True):
            np.testing.assert_array_equal(array, known)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/[!.]*"))


def test_a_later_session_reads_only_what_the_first_one_made(
    kept: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session(kept, "lm", "int8", num_threads=1)
    (entry,) = entries(tmp_path)
    assert entry.parent.name == machine_kind()
    assert entry.name.startswith("lm.int8-")
    assert {file.suffix for file in entry.iterdir()} == {".optimized", ".weights", ".json"}
    monkeypatch.setattr(prepared, "optimize", None)  # would fail if it were called
    open_session(kept, "lm", "int8", num_threads=2)
    assert entries(tmp_path) == [entry]


@pytest.mark.parametrize("is_lowered", [True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_sessions_that_map_weights_together_give_the_same_bits(
    kept: Bundle, tmp_path: Path, precision: Precision, is_lowered: bool
) -> None:
    kept = dataclasses.replace(kept, is_lowered=is_lowered)
    expected = list(speech_of(kept, precision, max_threads=1))
    for array, known in zip(speech_of(kept, precision, max_threads=2), expected, strict=True):
        np.testing.assert_array_equal(array, known)


def test_weights_are_mapped_once(kept: Bundle, tmp_path: Path) -> None:
    sessions = open_sessions(kept, "lm", "int8", [1, 2, 3])
    assert len(sessions) == 3
    files = [
        line.split()[5]
        for line in Path("/proc/self/maps").read_text().splitlines()
        if str(tmp_path) in line and ".weights" in line
    ]
    assert len(files) == len(set(files)) == 1


@pytest.mark.parametrize("thread_counts", [[1], [1, 2]])
def test_a_damaged_graph_is_made_again(kept: Bundle, tmp_path: Path, thread_counts: list[int]) -> None:
    open_session(kept, "f0_predictor", "int8", num_threads=1)
    (entry,) = entries(tmp_path)
    graph = entry / "f0_predictor.optimized"
    size = graph.stat().st_size
    graph.write_bytes(bytes(size))
    assert open_sessions(kept, "f0_predictor", "int8", thread_counts)[-1].inputs
    assert graph.read_bytes() != bytes(size)


def test_other_contents_and_other_machines_have_entries_of_their_own(
    kept: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session(kept, "f0_predictor", "int8", num_threads=1)
    file = kept.manifest.graphs["int8"]["f0_predictor"]
    files = {**kept.manifest.files, file: FileInfo(sha256="0" * 64, size=0)}
    changed = dataclasses.replace(kept, manifest=kept.manifest.model_copy(update={"files": files}))
    open_session(changed, "f0_predictor", "int8", num_threads=1)
    monkeypatch.setattr(prepared, "machine_kind", lambda: "another-machine")
    open_session(kept, "f0_predictor", "int8", num_threads=1)
    first, second, third = entries(tmp_path)
    assert len({first.name, second.name, third.name}) == 2
    assert len({first.parent, second.parent, third.parent}) == 2


def test_a_graph_that_is_broken_in_the_bundle_is_named(kept: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "broken.onnx"
    source.write_bytes(b"no graph")
    graphs = {"int8": {**kept.manifest.graphs["int8"], "lm": str(source)}}
    broken = dataclasses.replace(kept, manifest=kept.manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(BundleError, match=r"broken\.onnx does not load"):
        open_session(broken, "lm", "int8", num_threads=1)


def test_arrays_are_mapped_and_not_written_to(kept: Bundle) -> None:
    source = kept.graph("lm_tables", "fp32")
    arrays = open_arrays(kept, source, "x", lambda: {"one.2": np.arange(3.0)})
    assert arrays is not None
    np.testing.assert_array_equal(arrays["one.2"], np.arange(3.0))
    assert isinstance(arrays["one.2"], np.memmap)
    assert not arrays["one.2"].flags.writeable


def test_tables_are_kept_in_every_size(plain: Bundle, kept: Bundle) -> None:
    computed, mapped = (LMTables.open(bundle, "fp32", 400) for bundle in (plain, kept))
    assert computed.sizes() == mapped.sizes() == [128, 192, 256, 384, 400]
    for size in computed.sizes():
        for whole, part in zip(computed.relative(size), mapped.relative(size), strict=True):
            assert not part.flags.owndata
            np.testing.assert_array_equal(whole, part)
    np.testing.assert_array_equal(computed.speech_hidden, mapped.speech_hidden)


def test_the_configuration_says_where(plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = str(plain.path)
    cache = tmp_path / ".cache" / "cosyvoice-serve" / "prepared"
    assert open_bundle(ModelConfig(bundle=path)).prepared_in == (plain.path / "prepared", cache)
    assert open_bundle(ModelConfig(bundle=path, prepared="~/there")).prepared_in == (tmp_path / "there",)
    assert open_bundle(ModelConfig(bundle=path, prepared=None)).prepared_in == ()


def test_the_configuration_says_whose_operators_compute(plain: Bundle, tmp_path: Path) -> None:
    path, names = str(plain.path), {}
    for operators in get_args(Operators):
        bundle = open_bundle(ModelConfig(bundle=path, operators=operators, prepared=str(tmp_path / operators)))
        open_session(bundle, "lm", "int8", num_threads=1)
        (graph,) = (tmp_path / operators).glob("*/*/*.optimized")
        names[operators] = {node.domain for node in read_model(graph).graph.nodes}
    assert DOMAIN not in names["onnxruntime"]
    assert (DOMAIN in names["auto"]) == (native.library() is not None)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "USER_FOLDER", "~nobody-at-all/cache")
    assert usual_places(Path("bundle")) == (Path("bundle/prepared"),)

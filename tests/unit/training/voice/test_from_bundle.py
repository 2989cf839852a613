"""Weights read back out of a bundle's graphs, and checkpoints that go on from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import BundleError
from pipeline.export import export as exporter
from pipeline.export.checkpoint import Checkpoint, load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.export.quantize import quantize_weight
from pipeline.export.tokenizer_files import UNITS_FILE, write_tokenizer_files
from pipeline.export.vocoder_int8 import Range, snake_table
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import HiFTGenerator
from pipeline.model.lm import TransformerLM
from pipeline.runtime.bundle import Bundle
from pipeline.training.voice import start as starts
from pipeline.training.voice.checkpoint import write_checkpoint
from pipeline.training.voice.dataset import write_tokens
from pipeline.training.voice.flow_model import VoiceFlow
from pipeline.training.voice.from_bundle import guess_grid, read_flow, read_lm, read_vocoder
from pipeline.training.voice.lm_model import VoiceLM
from pipeline.training.voice.loop import Schedule, Trainer
from pipeline.training.voice.speakers import speaker_vectors
from pipeline.training.voice.start import SHARE, units_of, write_starts
from pipeline.training.voice.tables import FactoredClassifier, FactoredTable, TextTable
from pipeline.training.voice.units import Grid, Units
from tests.unit.training.voice.test_checkpoint import FACTORS, SYMBOLS, tiny_flow, tiny_hift, tiny_lm

UNITS = Units(("sil", "zh:a"), (False, True), Grid(), {"中文女": 190.0}, np.zeros((1, 3), np.int64))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("voice")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = VoiceLM(tiny_lm(), SYMBOLS, FACTORS, torch.from_numpy(speaker_vectors()))
        nn.init.normal_(lm.lm.llm.encoders[0].get_parameter("self_attn.pos_bias_u"))
        table = FactoredTable(FACTORS, 16, 0.5)
        flow = VoiceFlow(tiny_flow(), table, torch.full((8,), -6.0), torch.full((8,), 2.0), torch.zeros(4096))
        vocoder = HiFTGenerator(tiny_hift())
    write_tokens(folder, SYMBOLS)
    UNITS.save(folder)
    write_checkpoint(folder, lm.eval(), flow.eval(), vocoder.eval(), folder / "checkpoint")
    return load_checkpoint(folder / "checkpoint")


@pytest.fixture(scope="module", params=[-1e9, 1e9], ids=["vocoder in bytes", "vocoder in fp32"])
def bundle(request: pytest.FixtureRequest, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """In int8, whatever so untrained a model makes of it."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "MIN_SIGNAL_TO_NOISE_DB", request.param)
        write_tokenizer_files(checkpoint.path, folder, num_text_tokens=checkpoint.config.lm.num_text_tokens)
        return Bundle(folder, write_graphs(checkpoint, folder, ["int8"], "tiny", lambda _: None))


def test_the_flow_comes_back_as_its_levels_say(checkpoint: Checkpoint, bundle: Bundle) -> None:
    read = read_flow(bundle, MaskedDiffWithXvec(checkpoint.config.flow))
    _check_near(read, checkpoint.flow)


def test_the_lm_comes_back_as_its_levels_say(checkpoint: Checkpoint, bundle: Bundle) -> None:
    state = read_lm(bundle, TransformerLM(checkpoint.config.lm))
    back = TransformerLM(checkpoint.config.lm)
    back.load_state_dict(state)
    text, speaker = torch.arange(1, 5)[None], torch.from_numpy(speaker_vectors()[:1])
    tokens = torch.arange(6)[None]
    with torch.inference_mode():
        ours, theirs = (
            lm.teacher_forced(lm.prefill_input(text, speaker), tokens) for lm in (back.eval(), checkpoint.llm)
        )
    assert float((ours - theirs).abs().max()) < 0.1


def test_the_vocoder_comes_back(checkpoint: Checkpoint, bundle: Bundle) -> None:
    back = HiFTGenerator(checkpoint.config.hift)
    back.load_state_dict(read_vocoder(bundle, back))
    mel = torch.randn(1, 8, 40, generator=torch.Generator().manual_seed(1)) - 5
    source = 0.1 * torch.randn(1, 1, 40 * 256, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        (ours, our_f0), (theirs, their_f0) = (
            (net.decode(mel, source), net.f0_predictor(mel)) for net in (back.eval(), checkpoint.hift)
        )
    assert float((ours - theirs).norm() / theirs.norm()) < 0.02
    torch.testing.assert_close(our_f0, their_f0, rtol=1e-3, atol=1e-3)


def _check_near(read: dict[str, torch.Tensor], module: nn.Module) -> None:
    """To half a level of each row, which is 1 / 254 of the row's peak."""
    for name, value in module.state_dict().items():
        rows = value.reshape(len(value), -1)
        bound = rows.abs().amax() / 254 + 1e-6
        assert float((read[name].reshape(rows.shape) - rows).abs().max()) <= bound, name


def test_levels_read_back_are_the_same_levels() -> None:
    weight = np.random.default_rng(0).standard_normal((7, 30)).astype(np.float32)
    levels, scale = quantize_weight(weight)
    again, same = quantize_weight(levels * scale[:, None])
    assert np.array_equal(levels, again)
    np.testing.assert_allclose(scale, same, rtol=1e-6)


@pytest.mark.parametrize("width", [0.5, 6.0, 40.0])
def test_a_tables_unit_is_found(width: float) -> None:
    random = np.random.default_rng(0)
    low, high = (side * width * random.uniform(0.3, 1.0, 20).astype(np.float32) for side in (-1, 1))
    before = Range(low, high)
    after = Range(np.float32(low.min()), np.float32(high.max() + 1))
    table = snake_table(np.ones(20, np.float32), before, after)
    unit, zero = guess_grid((table - float(after.zero_point)) * float(after.scale))
    np.testing.assert_allclose(unit, before.scale, rtol=5e-3)
    np.testing.assert_array_equal(zero, before.zero_point)


def test_a_graph_of_another_model_is_refused(checkpoint: Checkpoint, bundle: Bundle) -> None:
    wider = replace(checkpoint.config.flow.encoder, ff_size=64)
    with pytest.raises(BundleError, match="only a bundle of the recipe's dimensions"):
        read_flow(bundle, MaskedDiffWithXvec(replace(checkpoint.config.flow, encoder=wider)))
    deeper = replace(checkpoint.config.flow.encoder, num_layers=2)
    with pytest.raises(BundleError, match="has no weight"):
        read_flow(bundle, MaskedDiffWithXvec(replace(checkpoint.config.flow, encoder=deeper)))


def test_plain_tables_are_split_into_their_factors() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        table, other = (FactoredTable(FACTORS, 6, 1.0) for _ in range(2))
        layer, another = (FactoredClassifier(FACTORS, 6) for _ in range(2))
        nn.init.normal_(layer.sound_bias)
        text, more = (TextTable(SYMBOLS, 9, 6, 1.0) for _ in range(2))
    other.assign(table.weight())
    torch.testing.assert_close(other.weight(), table.weight(), atol=1e-4, rtol=1e-4)
    another.assign(layer.weight(), layer.bias())
    torch.testing.assert_close(another.weight(), layer.weight(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(another.bias(), layer.bias(), atol=1e-4, rtol=1e-4)
    more.assign(text.weight())
    torch.testing.assert_close(more.weight(), text.weight())


def test_a_bundle_says_what_its_speech_tokens_stand_for(bundle: Bundle, tmp_path: Path) -> None:
    assert units_of(bundle).phones == UNITS.phones
    with pytest.raises(BundleError, match=r"has no units\.json"):
        units_of(Bundle(tmp_path, bundle.manifest))


def test_models_start_where_most_of_their_training_is_done(bundle: Bundle, tmp_path: Path, monkeypatch: Any) -> None:
    data = tmp_path / "corpus"
    data.mkdir()
    write_tokens(data, SYMBOLS)
    UNITS.save(data)

    def start(bundle: Bundle, data: Path, file: Path, num_steps: int) -> Trainer:
        return Trainer(nn.Linear(2, 2), Schedule(1e-3, num_steps), file)

    for part in ("vocoder", "flow", "lm"):
        monkeypatch.setattr(starts, f"_{part}", start)
    (tmp_path / "lm.pt").write_bytes(b"trained")
    write_starts(bundle, data, lambda part: tmp_path / f"{part}.pt", lambda _: 100)
    assert start(bundle, data, tmp_path / "flow.pt", 100).step == round(100 * SHARE)
    assert (tmp_path / "vocoder.pt").is_file()
    assert (tmp_path / "lm.pt").read_bytes() == b"trained", "what was trained here is kept"
    replace(UNITS, phones=("sil", "zh:b")).save(data)
    with pytest.raises(BundleError, match=rf"{UNITS_FILE} is not that of"):
        write_starts(bundle, data, lambda part: tmp_path / f"{part}.pt", lambda _: 100)

"""The folder that training leaves behind: the exporter reads it as it would an official release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import export
from pipeline.export.tokenizer_files import UNITS_FILE
from pipeline.model.config import FlowConfig, HiFTConfig, LMConfig, ModelConfig, read_config
from pipeline.model.hift import HiFTGenerator
from pipeline.training.voice.checkpoint import config_text, write_checkpoint
from pipeline.training.voice.dataset import write_tokens
from pipeline.training.voice.flow_model import VoiceFlow, flow_config
from pipeline.training.voice.lm_model import VoiceLM, lm_config
from pipeline.training.voice.speakers import SPEAKERS, speaker_vectors
from pipeline.training.voice.tables import FactoredTable
from pipeline.training.voice.vocoder import VOCODER

SYMBOLS = ["<pad>", "^", ".", "zh:a1", "zh:b"]
FACTORS = torch.tensor([(phone, 0, position) for phone in range(8) for position in range(3)])


def tiny_lm() -> LMConfig:
    config = lm_config()
    text = replace(config.text_encoder, input_size=16, hidden_size=16, ff_size=32, num_layers=1)
    decoder = replace(config.decoder, input_size=32, hidden_size=32, ff_size=32, num_layers=1)
    return replace(
        config,
        num_text_tokens=40,
        num_speech_tokens=len(FACTORS),
        text_embedding_size=16,
        input_size=32,
        output_size=32,
        text_encoder=text,
        decoder=decoder,
    )


def tiny_flow() -> FlowConfig:
    config = flow_config(num_tokens=len(FACTORS))
    encoder = replace(config.encoder, input_size=16, hidden_size=16, ff_size=32, num_layers=1)
    estimator = replace(
        config.estimator, in_channels=32, out_channels=8, channels=(48, 16), num_mid_blocks=1, num_heads=2, head_dim=8
    )
    regulator = replace(config.regulator, channels=8, out_channels=8)
    return replace(config, mel_bins=8, embedding_size=16, encoder=encoder, regulator=regulator, estimator=estimator)


def tiny_hift() -> HiFTConfig:
    return replace(VOCODER, mel_bins=8, base_channels=16, f0_channels=16)


@dataclass(frozen=True)
class Trained:
    lm: VoiceLM
    flow: VoiceFlow
    vocoder: HiFTGenerator
    folder: Path


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = VoiceLM(tiny_lm(), SYMBOLS, FACTORS, torch.from_numpy(speaker_vectors()))
        table = FactoredTable(FACTORS, 16, 0.5)
        flow = VoiceFlow(tiny_flow(), table, torch.full((8,), -6.0), torch.full((8,), 2.0), torch.zeros(4096))
        vocoder = HiFTGenerator(tiny_hift())
    write_tokens(tmp_path, SYMBOLS)
    (tmp_path / UNITS_FILE).write_text("{}", "utf-8")
    write_checkpoint(tmp_path, lm.eval(), flow.eval(), vocoder.eval(), tmp_path / "checkpoint")
    return Trained(lm, flow, vocoder, tmp_path / "checkpoint")


@pytest.mark.parametrize("hift", [VOCODER, tiny_hift(), replace(VOCODER, audio_limit=0.9, sine_amplitude=1e-3)])
@pytest.mark.parametrize("flow", [flow_config(), replace(tiny_flow(), schedule="linear", sigma_min=1e-4)])
@pytest.mark.parametrize("lm", [lm_config(), tiny_lm(), replace(lm_config(), label_smoothing=0.1)])
def test_the_yaml_says_every_dimension(lm: LMConfig, flow: FlowConfig, hift: HiFTConfig, tmp_path: Path) -> None:
    flow, hift = replace(flow, num_tokens=lm.num_speech_tokens), replace(hift, mel_bins=flow.mel_bins)
    config = ModelConfig(22050, 25.0, lm, flow, hift, None)
    file = tmp_path / "cosyvoice.yaml"
    file.write_text(config_text(config), "utf-8")
    assert read_config(file) == config


def test_the_exporter_loads_what_was_trained(trained: Trained) -> None:
    loaded = load_checkpoint(trained.folder)
    assert loaded.config.lm == trained.lm.config
    assert loaded.config.flow == trained.flow.flow.config
    assert loaded.config.hift == trained.vocoder.config
    for module, state in ((loaded.llm, trained.lm.checkpoint()), (loaded.flow, trained.flow.checkpoint())):
        for name, value in module.state_dict().items():
            torch.testing.assert_close(value, state[name], atol=1e-6, rtol=2**-11)
    stored = loaded.llm.llm_decoder.weight
    assert torch.equal(stored, stored.half().float())
    assert all(
        torch.equal(value, trained.vocoder.state_dict()[name]) for name, value in loaded.hift.state_dict().items()
    )


def test_the_voices_are_the_seven_of_the_official_set(trained: Trained) -> None:
    voices = load_checkpoint(trained.folder).voices
    assert [voice.name for voice in voices] == [speaker.name for speaker in SPEAKERS]
    np.testing.assert_array_equal(np.stack([voice.embedding for voice in voices]), speaker_vectors())


def test_the_folder_becomes_a_bundle(trained: Trained, tmp_path: Path) -> None:
    lines: list[str] = []
    report = export(trained.folder, tmp_path / "bundle", precisions=["fp32"], progress=lines.append)
    assert report.passed
    assert (tmp_path / "bundle" / "tokens.txt").read_text("utf-8").splitlines() == SYMBOLS
    assert (tmp_path / "bundle" / UNITS_FILE).is_file(), "training can go on from it"

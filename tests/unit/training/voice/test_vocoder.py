"""The vocoder's training: its start, its losses, its checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.audio.features import MelSpectrogram
from pipeline.errors import BundleError
from pipeline.export.export import vocoder_spec
from pipeline.model.hift import HiFTGenerator
from pipeline.training.voice.dataset import Dataset, Item, Shard
from pipeline.training.voice.loop import load_averaged
from pipeline.training.voice.vocoder import (
    VOCODER,
    Segments,
    VocoderLosses,
    new_vocoder,
    remake_mels,
    train_vocoder,
)
from pipeline.training.voice.vocoder_f0 import load_vocoder, train_f0
from pipeline.training.voice.vocoder_loss import SpectralLoss, melody_error, period_error
from pipeline.types import F32, I16

TINY = replace(VOCODER, base_channels=16, resblock_kernel_sizes=(3,), resblock_dilations=((1,),), f0_channels=8)
HOP = 256


def buzz(hz: float, num_samples: int) -> I16:
    time_s = np.arange(num_samples) / 22050
    return (3000 * sum(np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 8))).astype(np.int16)


def utterance(hz: float, num_frames: int) -> Item:
    audio = buzz(hz, num_frames * HOP + 100)
    mel = MelSpectrogram()((audio / 32768.0).astype(np.float32))
    nothing = np.zeros(1, np.int64)
    return Item(nothing, nothing, nothing, 0, 0, "a", mel, np.full(len(mel), hz, np.float32), audio)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    shard = Shard()
    for hz in (110.0, 150.0, 220.0):
        shard.add(utterance(hz, 120))
    shard.write(tmp_path / "train-00.npz")
    return tmp_path


def test_segments_keep_mel_f0_and_audio_together(data: Path) -> None:
    batch = Segments([Dataset.open(data, "train")], 16, HOP).draw(4, np.random.default_rng(0))
    assert batch.mel.shape == (4, 80, 16)
    assert batch.audio.shape == (4, 16 * HOP)
    for f0, audio in zip(batch.f0.numpy(), batch.audio.numpy(), strict=True):
        loudest = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))).argmax() * 22050 / len(audio)
        assert loudest == pytest.approx(f0[0], abs=4)


def test_an_utterance_shorter_than_a_segment_is_followed_by_silence(tmp_path: Path) -> None:
    shard = Shard()
    shard.add(utterance(110.0, 10))
    shard.write(tmp_path / "train-00.npz")
    batch = Segments([Dataset.open(tmp_path, "train")], 16, HOP).draw(1, np.random.default_rng(0))
    assert batch.audio[0, : 9 * HOP].abs().max() > 0.05
    assert batch.audio[0, 11 * HOP :].abs().max() == 0
    assert batch.f0[0, 11:].tolist() == [0.0] * 5


def test_a_text_only_dataset_is_refused(tmp_path: Path) -> None:
    nothing = np.zeros(1, np.int64)
    shard = Shard()
    shard.add(Item(nothing, nothing, nothing, 0, 0, "a"))
    shard.write(tmp_path / "train-00.npz")
    with pytest.raises(BundleError, match="text only"):
        Segments([Dataset.open(tmp_path, "train")], 16, HOP).draw(1, np.random.default_rng(0))


def test_the_source_passes_through_a_new_vocoder() -> None:
    """The first output is a buzz: most of its power is at the harmonics of F0."""
    vocoder = new_vocoder(replace(TINY, base_channels=64))
    f0 = torch.full((1, 60), 200.0)
    with torch.no_grad():
        wave = vocoder.decode(torch.full((1, 80, 60), -5.0), vocoder.source(f0))[0, 20 * HOP : 52 * HOP]
    power = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs() ** 2
    bins = torch.arange(len(power)) * 22050 / len(wave)
    low = (bins > 100) & (bins < 2000)
    is_harmonic = ((bins % 200 - 100).abs() > 90) & low
    assert power[is_harmonic].sum() > 2 * power[low & ~is_harmonic].sum()


def test_training_changes_nothing_about_inference() -> None:
    trained = new_vocoder(TINY)
    served = HiFTGenerator(TINY)
    served.load_state_dict(trained.state_dict())
    mel, source = torch.randn(1, 80, 12), 0.1 * torch.randn(1, 1, 12 * HOP)
    with torch.no_grad():
        torch.testing.assert_close(trained.decode(mel, source), served.decode(mel, source), rtol=1e-4, atol=1e-5)


def test_the_fast_snake_has_the_gradient_of_the_plain_one() -> None:
    vocoder, plain = new_vocoder(TINY), HiFTGenerator(TINY)
    plain.load_state_dict(vocoder.state_dict())
    mel, source = torch.randn(1, 80, 6), 0.1 * torch.randn(1, 1, 6 * HOP)
    for net in (vocoder, plain):
        net.decode(mel, source).square().mean().backward()
    for (name, fast), slow in zip(vocoder.named_parameters(), plain.parameters(), strict=True):
        if fast.requires_grad and fast.grad is not None:
            assert slow.grad is not None
            torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_the_loss_is_zero_for_the_same_wave_and_ignores_its_sign() -> None:
    wave = torch.from_numpy(buzz(140.0, 8192) / 32768.0).float()[None]
    loss = SpectralLoss()
    assert loss(wave, wave).item() == pytest.approx(0.0, abs=1e-5)
    assert loss(-wave, wave).item() == pytest.approx(0.0, abs=1e-3)
    assert loss(0.5 * wave, wave).item() > 1.0


def test_a_step_draws_the_same_when_it_is_repeated(data: Path) -> None:
    losses = VocoderLosses(new_vocoder(TINY), [Dataset.open(data, "train")], num_frames=8, batch_size=2)
    first, again, next_one = losses(3), losses(3), losses(4)
    assert first["spectral"].item() == again["spectral"].item() != next_one["spectral"].item()


def test_training_lowers_the_loss_and_resumes(data: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "ck" / "vocoder.pt"
    before = VocoderLosses(new_vocoder(TINY), [Dataset.open(data, "train")], num_frames=32, batch_size=8)(0)
    train_vocoder(data, checkpoint, num_steps=8, config=TINY)
    train_vocoder(data, checkpoint, num_steps=10, config=TINY)
    vocoder = new_vocoder(TINY)
    assert load_averaged(checkpoint, vocoder) == 10
    after = VocoderLosses(vocoder, [Dataset.open(data, "train")], num_frames=32, batch_size=8)(0)
    assert after["total"].item() < before["total"].item()


def test_the_merge_of_harmonics_stays_as_it_starts(data: Path, tmp_path: Path) -> None:
    fresh = new_vocoder(TINY)
    before = vocoder_spec(TINY, fresh.m_source.l_linear)
    train_vocoder(data, tmp_path / "vocoder.pt", num_steps=2, config=TINY)
    vocoder = new_vocoder(TINY)
    load_averaged(tmp_path / "vocoder.pt", vocoder)
    assert vocoder_spec(TINY, vocoder.m_source.l_linear) == before


def test_remade_mels_stand_in_for_the_teachers(data: Path, tmp_path: Path) -> None:
    def louder(item: Item) -> F32:
        assert item.mel is not None
        return item.mel[:-1] + 1.0

    assert remake_mels(data, tmp_path / "remade", louder, num_utterances=2) == 2
    taught, remade = Dataset.open(data, "train"), Dataset.open(tmp_path / "remade", "train")
    assert len(remade) == 2
    originals = [taught.item(k).mel for k in range(3)]
    mel = remade.item(0).mel
    assert mel is not None
    assert any(np.allclose(mel, original[:-1] + 1.0, atol=0.02) for original in originals if original is not None)
    train_vocoder(data, tmp_path / "vocoder.pt", num_steps=1, remade=tmp_path / "remade", config=TINY)


def test_the_f0_predictor_is_trained_alone_and_put_back(data: Path, tmp_path: Path) -> None:
    vocoder, f0 = tmp_path / "vocoder.pt", tmp_path / "f0.pt"
    train_vocoder(data, vocoder, num_steps=1, config=TINY)
    remake_mels(data, tmp_path / "remade", lambda item: np.asarray(item.mel), num_utterances=1)
    train_f0(data, vocoder, f0, num_steps=3, remade=tmp_path / "remade", config=TINY)
    before, after = load_vocoder(vocoder, config=TINY), load_vocoder(vocoder, f0, TINY)
    changed = {
        name
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert changed
    assert all(name.startswith("f0_predictor.") for name in changed)


def test_an_edge_of_voicing_may_be_a_frame_early_or_late_but_not_halfway() -> None:
    true = torch.tensor([[0.0, 0.0, 200.0, 200.0, 200.0, 0.0, 0.0]])
    early = torch.tensor([[0.0, 200.0, 200.0, 200.0, 0.0, 0.0, 0.0]])
    halfway = torch.tensor([[0.0, 100.0, 200.0, 200.0, 100.0, 0.0, 0.0]])
    assert melody_error(true, true, 2.0) == 0
    assert melody_error(early, true, 2.0) == 0
    assert melody_error(halfway, true, 2.0) > 20
    lost = torch.tensor([[0.0, 0.0, 200.0, 0.0, 200.0, 0.0, 0.0]])
    assert melody_error(lost, true, 2.0) > 20, "inside a voiced stretch nothing is free"


def test_noise_that_repeats_itself_is_far_from_fresh_noise() -> None:
    random = torch.Generator().manual_seed(0)
    fresh, other = 0.05 * torch.randn(2, 2, 8192, generator=random)
    repeated = other[:, :HOP].repeat(1, 32)
    assert float(period_error(fresh, fresh)) == 0.0
    assert float(period_error(repeated, fresh)) > 10 * float(period_error(other, fresh))
    assert float(period_error(1e-4 * repeated, 1e-4 * fresh)) < 0.1 * float(period_error(repeated, fresh)), "unheard"

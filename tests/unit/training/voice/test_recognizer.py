"""The phone recogniser: its decisions, its training, its teachers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.training.voice import recognizer
from pipeline.training.voice.dataset import Item, Shard
from pipeline.training.voice.recognizer import (
    SPLIT,
    Listener,
    PhoneRecognizer,
    best_path,
    disturbed,
    frame_labels,
    intended_phones,
    load_recognizer,
    train_recognizer,
    without_repeats,
)
from pipeline.training.voice.recognizer_corpus import other_speakers
from pipeline.training.voice.speakers import SPEAKERS
from pipeline.training.voice.units import Grid, Units
from pipeline.types import F32, I64

PHONES = ("a", "i", "sil")
BANDS = {0: slice(0, 20), 1: slice(40, 60)}  # where the phones of the toy language are loud


@pytest.fixture
def units() -> Units:
    table = np.array([[phone, 0, position] for phone in range(3) for position in range(2)], np.int64)
    return Units(PHONES, (True, True, False), Grid(), {}, table)


def mel_of(phones: I64) -> F32:
    """Of one phone per mel frame."""
    mel = np.full((len(phones), 80), -10.0, np.float32)
    for phone, band in BANDS.items():
        mel[phones == phone, band] = -2.0
    return mel


def spoken(tokens: list[int], units: Units) -> Item:
    speech = np.array([int(np.flatnonzero(units.table[:, 0] == phone)[0]) for phone in tokens], np.int64)
    num_frames = len(tokens) * 882 // 256
    frames = np.array(tokens)[np.minimum((np.arange(num_frames) * 256 / 882).astype(int), len(tokens) - 1)]
    return Item(
        np.zeros(1, np.int64),
        speech,
        np.zeros_like(speech),
        0,
        0,
        "a",
        mel_of(frames),
        np.zeros(num_frames, np.float32),
        np.zeros(len(tokens) * 882, np.int16),
    )


def test_a_repeated_phone_counts_once_unless_silence_parts_it() -> None:
    assert without_repeats([0, 0, 1, 1, 0, 2, 0], silence=2) == [0, 1, 0, 0]


def test_the_penalty_decides_whether_a_short_blip_is_heard() -> None:
    scores = np.log(np.array([[0.9, 0.1]] * 4 + [[0.2, 0.8]] + [[0.9, 0.1]] * 4, np.float32))
    assert best_path(scores, 0.0).tolist() == [0] * 4 + [1] + [0] * 4
    assert best_path(scores, 3.0).tolist() == [0] * 9


def test_intended_phones_are_those_of_the_speech_tokens(units: Units) -> None:
    assert intended_phones(spoken([2, 0, 0, 1, 2, 1, 2], units), units) == [0, 1, 1]


def test_labels_are_the_phones_in_the_middle_of_the_decisions(units: Units) -> None:
    item = spoken([0] * 10 + [1] * 10, units)
    labels = frame_labels(item.speech, 34, units)
    change_s = 10 * 882 / 22050
    assert labels.tolist() == [int((2 * k + 0.5) * 256 / 22050 > change_s) for k in range(34)]


def test_disturbance_changes_a_mel_and_keeps_its_shape_and_type() -> None:
    mel = mel_of(np.array([0, 1, 2]))
    noisy = disturbed(mel, np.random.default_rng(0))
    assert noisy.shape == mel.shape
    assert noisy.dtype == np.float32
    assert not np.allclose(noisy, mel)


def test_the_listener_hears_only_phones_that_the_language_has(units: Units) -> None:
    torch.manual_seed(0)
    listener = Listener(PhoneRecognizer(3, channels=8), units)
    heard = listener(np.random.default_rng(0).standard_normal((60, 80)).astype(np.float32), [1])
    assert set(heard) <= {1}


def test_training_teaches_the_phones(tmp_path: Path, units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizer, "NUM_FRAMES", 64)
    monkeypatch.setattr(recognizer, "BATCH_SIZE", 4)
    random = np.random.default_rng(0)
    shard = Shard()
    for _ in range(8):
        runs = random.integers(0, 3, 8)
        shard.add(spoken(np.repeat(runs, 4).tolist(), units))
    shard.write(tmp_path / f"{SPLIT}-00.npz")
    units.save(tmp_path)
    train_recognizer(tmp_path, tmp_path / "recognizer.pt", num_steps=80, channels=16)
    listener = load_recognizer(tmp_path / "recognizer.pt", tmp_path, channels=16)
    sentence = spoken(np.repeat([2, 0, 1, 2, 1, 0, 2], 8).tolist(), units)
    assert sentence.mel is not None
    assert listener(sentence.mel, [0, 1]) == intended_phones(sentence, units)


def test_the_other_speakers_are_none_of_the_voices() -> None:
    others = other_speakers()
    assert {speaker.variant for speaker in others}.isdisjoint(speaker.variant for speaker in SPEAKERS)
    assert {(s.pitch_hz, s.formants) for s in others}.isdisjoint((s.pitch_hz, s.formants) for s in SPEAKERS)
    assert others[0].pitch_hz < 80
    assert others[-1].pitch_hz > 200

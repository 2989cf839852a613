"""Hears phones in a mel spectrogram: the judge of the voice, taught by speakers that are not among the seven.

A frame classifier of a few convolutions, trained on the teacher with other vocal tracts, pitches and rates, and on mels
that are noisy, tilted and louder or softer than they were; then the best phone string with a penalty for each change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.voice.dataset import Dataset, Item
from pipeline.training.voice.loop import Losses, Schedule, Trainer, load_averaged
from pipeline.training.voice.teacher import SILENCE
from pipeline.training.voice.units import Units
from pipeline.types import F32, I64

SPLIT = "other"  # speakers who are none of the seven
LEARNING_RATE = 3e-3
FRAMES_PER_TOKEN = 882 / 256
STRIDE = 2  # mel frames to one decision: 23 ms
NUM_FRAMES, BATCH_SIZE = 192, 8

CHANNELS = 192
_DILATIONS = (1, 2, 4, 1)
_MEL_MEAN, _MEL_SCALE = -5.0, 3.0
_QUIET = -9.0  # below it, mels of silence differ for no reason
_SWITCH_PENALTY = 0.8  # natural log; of a change of phone: fewest errors on the voices' teacher, train split
_NO_PHONE = -100  # cross entropy's "ignore"


class PhoneRecognizer(nn.Module):
    """Log mel f32 [B, T, 80] -> phone logits f32 [B, T / 2, num_phones]."""

    def __init__(self, num_phones: int, channels: int = CHANNELS) -> None:
        super().__init__()
        self.first = nn.Conv1d(80, channels, 5, stride=STRIDE, padding=2)
        self.first_norm = nn.BatchNorm1d(channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation) for dilation in _DILATIONS
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in _DILATIONS)
        self.last = nn.Conv1d(channels, num_phones, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x = (mel.clamp(min=_QUIET) - _MEL_MEAN) / _MEL_SCALE
        x = F.relu(self.first_norm(self.first(x.transpose(1, 2))))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + F.relu(norm(conv(x)))
        logits: Tensor = self.last(x).transpose(1, 2)
        return logits


class Listener:
    """A trained recogniser."""

    def __init__(self, net: PhoneRecognizer, units: Units) -> None:
        self._net = net.eval()
        self._silence = units.phones.index(SILENCE)

    @torch.no_grad()
    def __call__(self, mel: F32, phones: Sequence[int]) -> list[int]:
        """Phones heard in a log mel f32 [T, 80], without silences.

        Args:
            phones: those that the language has.
        """
        logits = self._net(torch.from_numpy(np.ascontiguousarray(mel))[None])[0]
        allowed = np.unique([*phones, self._silence])
        best = best_path(logits[:, allowed].log_softmax(-1).numpy(), _SWITCH_PENALTY)
        return without_repeats(allowed[best], self._silence)


def best_path(scores: F32, switch_penalty: float) -> I64:
    """The class of each frame, f32 [T, N] -> i64 [T], when every change costs the penalty (Viterbi)."""
    total = scores[0].astype(np.float64)
    came_from = np.zeros(scores.shape, np.int64)
    own = np.arange(scores.shape[1])
    for frame in range(1, len(scores)):
        leader = int(total.argmax())
        changed = total[leader] - switch_penalty
        came_from[frame] = np.where(changed > total, leader, own)
        total = np.maximum(total, changed) + scores[frame]
    path = [int(total.argmax())]
    for frame in range(len(scores) - 1, 0, -1):
        path.append(int(came_from[frame, path[-1]]))
    return np.array(path[::-1], np.int64)


def without_repeats(phones: Sequence[int] | I64, silence: int) -> list[int]:
    """Runs of a phone as one; silence parts runs and is dropped."""
    array = np.asarray(phones)
    starts = np.append(True, array[1:] != array[:-1])
    return [int(phone) for phone in array[starts] if phone != silence]


def intended_phones(item: Item, units: Units) -> list[int]:
    """What the teacher was told to say, as a perfect listener would hear it."""
    return without_repeats(units.factors[item.speech, 0], units.phones.index(SILENCE))


def frame_labels(speech: I64, num_labels: int, units: Units) -> I64:
    """The phone in the middle of each decision of the recogniser: i64 [num_labels]."""
    middle = (np.arange(num_labels) * STRIDE + 0.5) / FRAMES_PER_TOKEN
    labels: I64 = units.factors[speech[np.minimum(middle.astype(np.int64), len(speech) - 1)], 0]
    return labels


class RecognizerLosses:
    """What a step draws depends on its number alone."""

    def __init__(self, net: PhoneRecognizer, dataset: Dataset, units: Units) -> None:
        self._net = net
        self._dataset = dataset
        self._units = units

    def __call__(self, step: int) -> Losses:
        random = np.random.default_rng((step, 1))
        examples = [self._example(random) for _ in range(BATCH_SIZE)]
        mel, labels = (torch.from_numpy(np.stack(parts)) for parts in zip(*examples, strict=True))
        logits = self._net(mel)
        loss = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=_NO_PHONE)
        known = labels != _NO_PHONE
        wrong = (logits.argmax(-1) != labels)[known].float().mean()
        return {"total": loss, "wrong": wrong}

    def _example(self, random: np.random.Generator) -> tuple[F32, I64]:
        """mel f32 [NUM_FRAMES, 80], labels i64 [NUM_FRAMES / 2], cut anywhere."""
        item = self._dataset.item(int(random.integers(len(self._dataset))))
        assert item.mel is not None  # the corpus step writes this split with audio
        labels = frame_labels(item.speech, -(-len(item.mel) // STRIDE), self._units)
        start = int(random.integers(max(1, len(labels) - NUM_FRAMES // STRIDE + 1)))
        mel = item.mel[start * STRIDE : start * STRIDE + NUM_FRAMES]
        labels = labels[start : start + NUM_FRAMES // STRIDE]
        padding = NUM_FRAMES - len(mel)
        labels = np.pad(labels, (0, NUM_FRAMES // STRIDE - len(labels)), constant_values=_NO_PHONE)
        return disturbed(np.pad(mel, ((0, padding), (0, 0)), constant_values=_QUIET), random), labels


def disturbed(mel: F32, random: np.random.Generator) -> F32:
    """Noise, loudness, a random walk over the bands: the recogniser must not mind a voice's blemishes."""
    noise = random.choice([0.0, 0.2, 0.5]) * random.standard_normal(mel.shape, np.float32)
    loudness = 0.5 * random.standard_normal()
    colour = np.cumsum(random.standard_normal(mel.shape[1], np.float32)) * 0.08
    heard: F32 = (np.maximum(mel, _QUIET) + noise + loudness + colour).astype(np.float32)
    return heard


def train_recognizer(
    data: Path, checkpoint: Path, *, num_steps: int, max_seconds: float = math.inf, channels: int = CHANNELS
) -> None:
    """Trains until `num_steps`, from the checkpoint if there is one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    units = Units.open(data)
    net = PhoneRecognizer(units.num_phones, channels)
    trainer = Trainer(net, Schedule(LEARNING_RATE, num_steps), checkpoint)
    trainer.run(RecognizerLosses(net, Dataset.open(data, SPLIT), units), max_seconds)


def load_recognizer(checkpoint: Path, data: Path, *, channels: int = CHANNELS) -> Listener:
    units = Units.open(data)
    net = PhoneRecognizer(units.num_phones, channels)
    load_averaged(checkpoint, net)
    return Listener(net, units)

"""Trains the HiFT vocoder and its F0 predictor on the teacher's audio, without adversaries.

Without a discriminator the source must bring the fine structure: it is driven by the teacher's own F0, and starts wired
straight through to the output, so that training begins with a buzz and a hiss that only want filtering.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import BundleError
from pipeline.export.export import vocoder_spec
from pipeline.model.config import HiFTConfig
from pipeline.model.hift import HiFTGenerator
from pipeline.token2wav.source import HarmonicSource
from pipeline.training.voice.dataset import Dataset, Item, Shard
from pipeline.training.voice.loop import Losses, Schedule, Trainer
from pipeline.training.voice.snake import fix_snakes
from pipeline.training.voice.vocoder_loss import SpectralLoss, melody_error, period_error
from pipeline.training.voice.vocoder_start import start_vocoder
from pipeline.types import F32

VOCODER = HiFTConfig(
    mel_bins=80,
    sample_rate=22050,
    base_channels=320,
    num_harmonics=33,
    sine_amplitude=0.1,
    noise_std=0.003,
    voiced_threshold_hz=40.0,
    upsample_rates=(4, 4),
    upsample_kernel_sizes=(8, 8),
    n_fft=64,
    stft_hop=16,
    resblock_kernel_sizes=(3, 7),
    resblock_dilations=((1, 3), (1, 3)),
    source_resblock_kernel_sizes=(7, 7),
    source_resblock_dilations=((1,), (1,)),
    lrelu_slope=0.1,
    audio_limit=0.99,
    f0_channels=128,
)
LEARNING_RATE = 1.5e-3

_NUM_FRAMES, _BATCH_SIZE = 32, 8
_F0_NUM_FRAMES = 96
_F0_SHARE = 0.02  # of the smooth L1 distance in Hz
_F0_ELBOW_HZ = 5.0
_PERIOD_SHARE = 8.0  # of the distance of autocorrelations
_MEL_NOISE = 0.15


@dataclass(frozen=True, slots=True)
class Batch:
    mel: Tensor  # f32 [B, mel_bins, T]
    f0: Tensor  # f32 [B, T], Hz
    audio: Tensor  # f32 [B, T * hop] in [-1, 1]


class Segments:
    """Random cuts of the same length of utterances from all datasets, which are equally likely."""

    def __init__(self, datasets: Sequence[Dataset], num_frames: int, hop_length: int) -> None:
        self._datasets = datasets
        self._num_frames = num_frames
        self._hop_length = hop_length
        if not all(map(len, datasets)):
            raise BundleError("a dataset to train the vocoder on has no utterances: make a larger corpus.")

    def draw(self, size: int, random: np.random.Generator) -> Batch:
        mels, f0s, audios = zip(*(self._cut(random) for _ in range(size)), strict=True)
        mel, f0, audio = (torch.from_numpy(np.stack(parts)) for parts in (mels, f0s, audios))
        return Batch(mel.transpose(1, 2), f0, audio)

    def _cut(self, random: np.random.Generator) -> tuple[F32, F32, F32]:
        """mel f32 [T, mel_bins], F0 f32 [T], audio f32 [T * hop]; silence after an utterance that is too short."""
        dataset = self._datasets[int(random.integers(len(self._datasets)))]
        item = dataset.item(int(random.integers(len(dataset))))
        if item.mel is None or item.f0 is None or item.audio is None:
            raise BundleError("the vocoder is trained on audio, and this dataset has text only.")
        start = int(random.integers(max(1, len(item.mel) - self._num_frames)))
        end, hop = start + self._num_frames, self._hop_length
        audio = (item.audio[start * hop : end * hop] / 32768.0).astype(np.float32)
        floor = float(item.mel.min())
        return (
            _extended(item.mel[start:end], self._num_frames, floor),
            _extended(item.f0[start:end], self._num_frames, 0.0),
            _extended(audio, self._num_frames * hop, 0.0),
        )


def _extended(values: F32, length: int, fill: float) -> F32:
    missing = [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, missing, constant_values=fill)


class VocoderLosses:
    """The losses of a step. What it draws depends on its number alone, so a resumed run goes on as if never stopped."""

    def __init__(
        self, vocoder: HiFTGenerator, datasets: Sequence[Dataset], *, num_frames: int, batch_size: int
    ) -> None:
        hop_length = vocoder.config.samples_per_frame
        self._vocoder = vocoder
        self._batch_size = batch_size
        self._waves = Segments(datasets, num_frames, hop_length)
        self._melodies = Segments(datasets, max(num_frames, _F0_NUM_FRAMES), hop_length)
        self._source = HarmonicSource(
            vocoder_spec(vocoder.config, vocoder.m_source.l_linear), vocoder.config.sample_rate
        )
        self._spectral = SpectralLoss()

    def __call__(self, step: int) -> Losses:
        random = np.random.default_rng((step, 0))
        batch = self._waves.draw(self._batch_size, random)
        wave = self._vocoder.decode(batch.mel, self._excitation(batch, random))
        spectral, period = self._spectral(wave, batch.audio), period_error(wave, batch.audio)
        error_hz = self._f0_error(self._melodies.draw(self._batch_size, random), random)
        total = spectral + _PERIOD_SHARE * period + _F0_SHARE * error_hz
        return {"total": total, "spectral": spectral, "period": period, "f0": error_hz}

    def _excitation(self, batch: Batch, random: np.random.Generator) -> Tensor:
        """f32 [B, 1, T * hop] as it is served, but with the teacher's F0.

        A predicted one is wrong here and there, and would teach the vocoder to listen to the mel for its pitch.
        """
        sources = [self._make_source(row, int(random.integers(1 << 31))) for row in batch.f0.numpy()]
        return torch.from_numpy(np.stack(sources))[:, None]

    def _make_source(self, f0: F32, seed: int) -> F32:
        return self._source.make(f0, self._source.phases(f0, 0.0)[:-1], seed, 0)

    def _f0_error(self, batch: Batch, random: np.random.Generator) -> Tensor:
        return melody_error(self._vocoder.f0_predictor(noisy(batch.mel, random)), batch.f0, _F0_ELBOW_HZ)


def noisy(mel: Tensor, random: np.random.Generator) -> Tensor:
    """Half of the time: the F0 predictor must bear the flow's mels."""
    if random.random() < 0.5:
        return mel
    return mel + _MEL_NOISE * torch.from_numpy(random.standard_normal(mel.shape, np.float32))


def train_vocoder(
    data: Path,
    checkpoint: Path,
    *,
    num_steps: int,
    max_seconds: float = math.inf,
    remade: Path | None = None,
    config: HiFTConfig = VOCODER,
) -> None:
    """Trains until `num_steps`, from the checkpoint if there is one.

    Args:
        data: a dataset with audio.
        remade: another whose mels the flow made (`remake_mels`); half of the examples then come from there,
            and the vocoder learns to live with the flow's habits.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    vocoder = new_vocoder(config)
    trainer = vocoder_trainer(vocoder, checkpoint, num_steps)
    datasets = [Dataset.open(folder, "train") for folder in (data, remade) if folder is not None]
    trainer.run(
        VocoderLosses(vocoder, datasets, num_frames=_NUM_FRAMES, batch_size=_BATCH_SIZE), max_seconds=max_seconds
    )


def vocoder_trainer(vocoder: HiFTGenerator, checkpoint: Path, num_steps: int) -> Trainer:
    return Trainer(vocoder, Schedule(LEARNING_RATE, num_steps), checkpoint, betas=(0.8, 0.99), clip=10.0)


def remake_mels(data: Path, folder: Path, mel_of: Callable[[Item], F32], *, num_utterances: int) -> int:
    """A dataset to fine-tune on: random utterances with other mels, f32 [T, mel_bins], T within a frame or two of the
    teacher's. Returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(data, "train")
    shard = Shard()
    for index in np.random.default_rng(0).permutation(len(dataset))[:num_utterances]:
        shard.add(_with_mel(dataset.item(int(index)), mel_of))
    shard.write(folder / "train-00.npz")
    return len(shard)


def _with_mel(item: Item, mel_of: Callable[[Item], F32]) -> Item:
    if item.f0 is None or item.audio is None:
        raise BundleError("the vocoder is trained on audio, and this dataset has text only.")
    mel = mel_of(item)
    num_frames = min(len(mel), len(item.f0))
    return replace(item, mel=mel[:num_frames], f0=item.f0[:num_frames])


def new_vocoder(config: HiFTConfig = VOCODER) -> HiFTGenerator:
    """Ready to train. The merge of the harmonics stays as it starts, so that the source need not be differentiated."""
    torch.manual_seed(0)
    vocoder = HiFTGenerator(config)
    start_vocoder(vocoder)
    fix_snakes(vocoder)
    vocoder.m_source.requires_grad_(False)
    return vocoder

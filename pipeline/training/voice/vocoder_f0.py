"""Trains the vocoder's F0 predictor alone, which costs a tenth of a step of the whole and is what tones hang on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.model.config import HiFTConfig
from pipeline.model.hift import F0Predictor, HiFTGenerator
from pipeline.training.voice.dataset import Dataset
from pipeline.training.voice.loop import Losses, Schedule, Trainer, load_averaged
from pipeline.training.voice.vocoder import VOCODER, Segments, new_vocoder, noisy
from pipeline.training.voice.vocoder_loss import melody_error

LEARNING_RATE = 1e-3

_NUM_FRAMES, _BATCH_SIZE = 96, 16
_ELBOW_HZ = 2.0
_VOICED_HZ = 10.0


class F0Losses:
    """What a step draws depends on its number alone."""

    def __init__(self, predictor: F0Predictor, segments: Segments, batch_size: int) -> None:
        self._predictor = predictor
        self._segments = segments
        self._batch_size = batch_size

    def __call__(self, step: int) -> Losses:
        random = np.random.default_rng((step, 2))
        batch = self._segments.draw(self._batch_size, random)
        f0: Tensor = self._predictor(noisy(batch.mel, random))
        is_voiced = batch.f0 > 0
        with torch.no_grad():
            voiced_hz = (f0 - batch.f0).abs()[is_voiced].mean()
            voicing = ((f0 > _VOICED_HZ) != is_voiced).float().mean()
        return {"total": melody_error(f0, batch.f0, _ELBOW_HZ), "voiced_hz": voiced_hz, "voicing": voicing}


def train_f0(
    data: Path,
    vocoder: Path,
    checkpoint: Path,
    *,
    num_steps: int,
    max_seconds: float = math.inf,
    remade: Path | None = None,
    config: HiFTConfig = VOCODER,
) -> None:
    """From the averaged predictor of a vocoder's checkpoint to a checkpoint of the predictor alone; resumes.

    Args:
        remade: a dataset whose mels the flow made (`remake_mels`); half of the examples then come from there, because
            it is in the flow's mels that the melody must be found again.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    net = new_vocoder(config)
    load_averaged(vocoder, net)
    predictor = net.f0_predictor
    datasets = [Dataset.open(folder, "train") for folder in (data, remade) if folder is not None]
    segments = Segments(datasets, _NUM_FRAMES, config.samples_per_frame)
    trainer = Trainer(predictor, Schedule(LEARNING_RATE, num_steps), checkpoint, clip=100.0)
    trainer.run(F0Losses(predictor, segments, _BATCH_SIZE), max_seconds)


def load_vocoder(vocoder: Path, f0: Path | None = None, config: HiFTConfig = VOCODER) -> HiFTGenerator:
    """The averaged weights of a vocoder's checkpoint, with the F0 predictor of another if there is one, to export."""
    net = HiFTGenerator(config)
    load_averaged(vocoder, net)
    if f0 is not None:
        load_averaged(f0, net.f0_predictor)
    return net.eval()

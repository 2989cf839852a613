"""Trains the flow: conditional flow matching (arXiv 2210.02747) with classifier-free guidance, from noise to mel.

The encoder is trained alone first, to estimate the mel spectrogram without knowing the speaker, which is cheap; then
everything together with the flow's own loss. The encoder's estimate is standardised: mu = 0 stands for the mean mel,
so that the guidance's zeroed condition means "no idea" from the start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import BundleError
from pipeline.model.config import FlowConfig
from pipeline.model.hift import F0Predictor
from pipeline.training.voice.dataset import Dataset, Item
from pipeline.training.voice.flow_batches import Batch, Segments, draw, whole
from pipeline.training.voice.flow_model import VoiceFlow, flow_config
from pipeline.training.voice.loop import Losses, Schedule, Trainer, load_averaged
from pipeline.training.voice.speakers import speaker_vectors
from pipeline.training.voice.tables import FactoredTable
from pipeline.training.voice.units import Units
from pipeline.types import F32

FRAMES_PER_STEP = 1000
ENCODER_STEPS, ENCODER_FRAMES_PER_STEP = 250, 2600  # the encoder alone
MU_WEIGHT, PITCH_WEIGHT, MELODY_WEIGHT = 0.05, 1.0, 3.0
LEARNING_RATE, ENCODER_LEARNING_RATE = 1e-3, 2e-3
TABLE_SCALE = 0.5
EVALUATE_EVERY_S, NUM_JUDGED = 900.0, 3


class EncoderLosses:
    """Of the encoder and the length regulator, without the estimator."""

    def __init__(self, model: VoiceFlow, segments: Segments) -> None:
        self._model = model
        self._segments = segments

    def __call__(self, step: int) -> Losses:
        batch = self._segments.batch(ENCODER_FRAMES_PER_STEP)
        mu = self._model.mu(batch)
        mel, pitch = self._model.mu_loss(mu, batch.mel), self._model.pitch_loss(mu, batch)
        return {"mel": mel, "pitch": pitch, "total": mel + PITCH_WEIGHT * pitch}


class FlowLosses:
    """Of everything together.

    Args:
        predictor: the vocoder's, frozen, which reads the melody from the flow's mels; without it the melody is left to
            the matching loss.
    """

    def __init__(self, model: VoiceFlow, segments: Segments, predictor: F0Predictor | None = None) -> None:
        self._model = model
        self._segments = segments
        self._predictor = predictor

    def __call__(self, step: int) -> Losses:
        batch = self._segments.batch(FRAMES_PER_STEP)
        mu = self._model.mu(batch)
        draws = draw(batch, self._model.flow.config.training_guidance_drop)
        guess, mu_loss = self._model.guess(batch, mu, draws), self._model.mu_loss(mu, batch.mel)
        pitch = self._model.pitch_loss(mu, batch)
        losses = {"matching": guess.matching_loss, "mu": mu_loss, "pitch": pitch}
        total = guess.matching_loss + MU_WEIGHT * mu_loss + PITCH_WEIGHT * pitch
        if self._predictor is not None:
            losses["melody"] = guess.melody_loss(self._predictor, batch.f0)
            total = total + MELODY_WEIGHT * losses["melody"]
        return {**losses, "total": total}


def train_flow(
    data: Path,
    checkpoint: Path,
    *,
    num_steps: int,
    max_seconds: float = math.inf,
    predictor: F0Predictor | None = None,
) -> None:
    """Trains on the dataset in `data` until the schedule ends or time is up, and resumes from the checkpoint.

    More steps than before stretch the schedule, so a finished run may go on. The encoder alone is trained first, with
    a checkpoint of its own beside the other.

    Args:
        predictor: the vocoder's, so that the flow learns the melody as it will be heard.
    """
    torch.manual_seed(0)
    model = build_flow(data)
    spent = 0.0 if checkpoint.is_file() else _train_encoder(model, data, checkpoint, max_seconds)
    trainer = flow_trainer(model, checkpoint, num_steps)
    torch.manual_seed(trainer.step)
    segments = Segments(Dataset.open(data, "train"), speaker_vectors(), seed=trainer.step)
    losses = FlowLosses(model, segments, None if predictor is None else predictor.eval().requires_grad_(False))
    held_out = Segments(Dataset.open(data, "held-out"), speaker_vectors(), seed=0)
    judged = [held_out.batch(FRAMES_PER_STEP) for _ in range(NUM_JUDGED)]
    remaining = max_seconds - spent
    while trainer.step < num_steps and remaining > 0:
        before = trainer.seconds
        trainer.run(losses, min(remaining, EVALUATE_EVERY_S))
        remaining -= trainer.seconds - before
        print(f"held-out {evaluate(load_flow(data, checkpoint), judged)}", flush=True)


def flow_trainer(model: VoiceFlow, checkpoint: Path, num_steps: int) -> Trainer:
    return Trainer(model, Schedule(LEARNING_RATE, num_steps), checkpoint)


def _train_encoder(model: VoiceFlow, data: Path, checkpoint: Path, max_seconds: float) -> float:
    """Leaves the averaged weights in the model; returns the seconds that it took."""
    file = checkpoint.with_suffix(".encoder.pt")
    trainer = Trainer(model, Schedule(ENCODER_LEARNING_RATE, ENCODER_STEPS, num_warm_up=50), file)
    before = trainer.seconds
    segments = Segments(Dataset.open(data, "train"), speaker_vectors(), seed=trainer.step)
    trainer.run(EncoderLosses(model, segments), max_seconds)
    model.load_state_dict(trainer.averaged())
    return trainer.seconds - before


def build_flow(data: Path, config: FlowConfig | None = None) -> VoiceFlow:
    """A new model for the units and the mel spectrograms in `data`."""
    config, units = config or flow_config(), Units.open(data)
    table = FactoredTable(torch.from_numpy(units.factors), config.embedding_size, TABLE_SCALE)
    return VoiceFlow(config, table, *mel_statistics(Dataset.open(data, "train")), melody_of(units))


def melody_of(units: Units) -> Tensor:
    """f32 [num_tokens]: semitones above the speaker's base that each token stands for; NaN where unvoiced."""
    levels = units.factors[:, 1]
    return torch.tensor([units.grid.semitones(level) if level else math.nan for level in levels.tolist()])


def load_flow(data: Path, checkpoint: Path) -> VoiceFlow:
    """The averaged weights of a training run."""
    model = build_flow(data)
    load_averaged(checkpoint, model)
    return model.eval()


@torch.inference_mode()
def flow_mel(model: VoiceFlow, item: Item, seed: int) -> F32:
    """What ten guided steps make of the teacher's tokens: log mel f32 [T, 80], frame for frame beside the teacher's.

    Raises:
        BundleError: the utterance has no mel of the teacher's.
    """
    if item.mel is None:
        raise BundleError("the flow is compared with a mel spectrogram, and this dataset has text only.")
    batch = whole(item, torch.from_numpy(speaker_vectors()))
    mu = model.mu(batch)
    noise = torch.randn(batch.mel.shape, generator=torch.Generator().manual_seed(seed))
    mel = model.flow.solve(noise, mu, model.flow.speaker(batch.speaker), model.flow.condition(mu))
    made: F32 = mel[0].T.contiguous().numpy()
    return made


@dataclass(frozen=True, slots=True)
class FlowScore:
    """On segments: the flow's loss with and without condition, and what ten guided steps make of noise."""

    matching: float
    matching_unguided: float
    distance: float  # mean absolute difference from the teacher's log mel
    liveliness: float  # standard deviation of the change from frame to frame, over the teacher's; < 1: smoothed

    def __str__(self) -> str:
        return (
            f"matching {self.matching:.3f} unguided {self.matching_unguided:.3f} "
            f"distance {self.distance:.3f} liveliness {self.liveliness:.3f}"
        )


@torch.inference_mode()
def evaluate(model: VoiceFlow, batches: Sequence[Batch]) -> FlowScore:
    """Repeatable: the same noise and times every time."""
    random = torch.Generator().manual_seed(0)
    rows = []
    for batch in batches:
        mu = model.mu(batch)
        matching = [float(model.matching_loss(batch, mu, draw(batch, drop, random))) for drop in (0.0, 1.0)]
        noise = torch.randn(batch.mel.shape, generator=random)
        mel = model.flow.solve(noise, mu, model.flow.speaker(batch.speaker), model.flow.condition(mu))
        distance = float((mel - batch.mel).abs().mean())
        rows.append((*matching, distance, float(mel.diff(dim=2).std() / batch.mel.diff(dim=2).std())))
    return FlowScore(*np.mean(rows, axis=0).tolist())


def mel_statistics(data: Dataset, num_utterances: int = 500) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every bin, f32 [mel_bins] each."""
    chosen = np.random.default_rng(0).permutation(len(data))[:num_utterances]
    frames = torch.cat([torch.from_numpy(data.item(int(index)).mel) for index in chosen])
    return frames.mean(dim=0), frames.std(dim=0)

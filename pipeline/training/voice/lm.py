"""Trains the speech-token language model: durations and pitch contours, with the teacher's alignment as a guide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.model.config import LMConfig
from pipeline.training.voice.dataset import read_tokens
from pipeline.training.voice.lm_batches import Batch, Curriculum, Script, buckets, make_batch, read_scripts
from pipeline.training.voice.lm_model import NUM_FIRST_LAYERS, VoiceLM, lm_config
from pipeline.training.voice.loop import Losses, Schedule, Trainer, load_averaged
from pipeline.training.voice.speakers import speaker_vectors
from pipeline.training.voice.tables import neighbours
from pipeline.training.voice.units import Units

POSITIONS_PER_STEP = 1200
EVALUATE_EVERY_S = 600.0
LEARNING_RATE = 2e-3
INPUT_NOISE = 0.08  # of the input tokens become a neighbour, because sampling makes such errors too
END_WEIGHT = 4.0  # an utterance has one end, and a missed one is heard most
NUM_SHALLOW_STEPS = 6000  # the first ones go without the upper layers, in two thirds of the time
STRONG_GUIDE, WEAK_GUIDE, NUM_STRONG_STEPS = 0.5, 0.15, 1500


def guide_loss(weights: Sequence[Tensor], batch: Batch) -> Tensor:
    """Mean cross entropy of the guided heads towards the current and the next text token."""
    losses: list[Tensor] = []
    for layer in weights:
        for head, target in enumerate((batch.current, batch.following)):
            chosen = layer[head].flatten(0, 1)[batch.predicting, target]
            losses.append(-chosen.clamp_min(1e-9).log().mean())
    return torch.stack(losses).mean()


@dataclass(frozen=True, slots=True)
class Noise:
    """Replaces a share of the tokens by neighbours: where the model's own drawing would most likely go astray."""

    table: Tensor  # i64 [V, 4]
    rate: float = INPUT_NOISE

    def __call__(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        is_noisy = torch.rand(len(tokens), generator=generator) < self.rate
        column = torch.randint(self.table.shape[1], (len(tokens),), generator=generator)
        return torch.where(is_noisy, self.table[tokens, column], tokens)


class Objective:
    """The losses of one step."""

    def __init__(self, model: VoiceLM, curriculum: Curriculum, noise: Noise) -> None:
        self._model = model
        self._curriculum = curriculum
        self._noise = noise

    def __call__(self, step: int) -> Losses:
        batch = self._curriculum.batch(step)
        speech = self._noise(batch.speech, torch.Generator().manual_seed(step))
        likelihood, weights = self._model(batch, speech, None if step >= NUM_SHALLOW_STEPS else NUM_FIRST_LAYERS)
        guide = guide_loss(weights, batch)
        strength = STRONG_GUIDE if step < NUM_STRONG_STEPS else WEAK_GUIDE
        is_end = batch.target == self._model.outputs.end_token
        emphasis = torch.where(is_end, END_WEIGHT, 1.0)
        weighted = -(likelihood * emphasis).sum() / len(likelihood)
        return {
            "total": weighted + strength * guide,
            "ce": -likelihood.mean(),
            "end": -likelihood[is_end].mean(),
            "guide": guide,
        }


def train_lm(data: Path, checkpoint: Path, *, num_steps: int, max_seconds: float = math.inf) -> None:
    """Trains on one thread on the tokens of all utterances in `data`, with and without audio; resumes `checkpoint`.

    More steps than before stretch the schedule, so a finished run may go on.
    """
    torch.set_num_threads(1)  # at these sizes a second thread waits more than it works
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = build_lm(data)
    trainer = lm_trainer(model, checkpoint, num_steps)
    end_token = model.outputs.end_token
    splits = [split for split in ("train", "text") if any(data.glob(f"{split}-*.npz"))]
    scripts = [script for split in splits for script in read_scripts(data, split)]
    print(f"{len(scripts)} utterances of {sum(len(script.speech) for script in scripts)} tokens", flush=True)
    curriculum = Curriculum(scripts, end_token, POSITIONS_PER_STEP, seed=trainer.step)
    objective = Objective(model, curriculum, Noise(neighbours(read_factors(data))))
    held_out = read_scripts(data, "held-out")[::2]
    remaining = max_seconds
    while trainer.step < num_steps and remaining > 0:
        before = trainer.seconds
        trainer.run(objective, min(remaining, EVALUATE_EVERY_S))
        remaining -= trainer.seconds - before
        print(f"held-out {evaluate(load_lm(data, checkpoint), held_out)}", flush=True)


def lm_trainer(model: VoiceLM, checkpoint: Path, num_steps: int) -> Trainer:
    return Trainer(model, Schedule(LEARNING_RATE, num_steps), checkpoint)


def build_lm(data: Path, config: LMConfig | None = None) -> VoiceLM:
    """A new model for the units and symbols in `data`."""
    speakers = torch.from_numpy(speaker_vectors())
    return VoiceLM(config or lm_config(), read_tokens(data), read_factors(data), speakers)


def load_lm(data: Path, checkpoint: Path) -> VoiceLM:
    """The averaged weights of a training run."""
    model = build_lm(data)
    load_averaged(checkpoint, model)
    return model.eval()


def read_factors(data: Path) -> Tensor:
    return torch.from_numpy(Units.open(data).factors)


@dataclass(frozen=True, slots=True)
class LMScore:
    """Over all predictions of a set: nats per token, share of exactly right tokens and of well-guided heads."""

    cross_entropy: float
    accuracy: float
    guided: float

    def __str__(self) -> str:
        return f"ce {self.cross_entropy:.3f} accuracy {self.accuracy:.3f} guided {self.guided:.3f}"


@torch.inference_mode()
def evaluate(model: VoiceLM, scripts: Sequence[Script]) -> LMScore:
    sums = torch.zeros(4)
    weight, bias = model.outputs.weight(), model.outputs.bias()
    for bucket in buckets(scripts, POSITIONS_PER_STEP, np.random.default_rng(0)):
        batch = make_batch(bucket, model.outputs.end_token)
        hidden, weights = model.decode(model.assemble(batch, batch.speech), batch.predicting)
        logits = F.linear(hidden, weight, bias)
        right = (logits.argmax(dim=1) == batch.target).sum()
        sums += torch.stack(
            [
                F.cross_entropy(logits, batch.target, reduction="sum"),
                right,
                _well_guided(weights, batch) * len(batch.target),
                torch.tensor(len(batch.target)),
            ]
        )
    ce, accuracy, guided = (sums[:3] / sums[3]).tolist()
    return LMScore(ce, accuracy, guided)


def _well_guided(weights: Sequence[Tensor], batch: Batch) -> Tensor:
    """Share of the predictions whose guided heads look at the right text token most."""
    shares = [
        (layer[head].flatten(0, 1)[batch.predicting].argmax(dim=1) == target).float().mean()
        for layer in weights
        for head, target in enumerate((batch.current, batch.following))
    ]
    return torch.stack(shares).mean()

"""Checkpoints to go on from: the models of a bundle, as if they had been trained for most of their steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.errors import BundleError
from pipeline.export.tokenizer_files import UNITS_FILE
from pipeline.model.lm import TransformerLM
from pipeline.runtime.bundle import Bundle
from pipeline.training.voice.dataset import TOKENS_FILE, Dataset
from pipeline.training.voice.flow import FRAMES_PER_STEP, build_flow, flow_trainer
from pipeline.training.voice.flow_batches import Segments
from pipeline.training.voice.from_bundle import read_flow, read_lm, read_vocoder
from pipeline.training.voice.lm import build_lm, lm_trainer
from pipeline.training.voice.loop import Trainer
from pipeline.training.voice.speakers import speaker_vectors
from pipeline.training.voice.units import Units
from pipeline.training.voice.vocoder import new_vocoder, vocoder_trainer

SHARE = 0.75  # of the steps that a bundle counts for: what is left of the learning rate does not undo it
_NUM_FITTED = 20  # batches


def units_of(bundle: Bundle) -> Units:
    """What the bundle's speech tokens stand for.

    Raises:
        BundleError: the bundle does not say.
    """
    if not (bundle.path / UNITS_FILE).is_file():
        raise BundleError(f"{bundle.path} has no {UNITS_FILE}: only a bundle that the recipe made can go on.")
    return Units.open(bundle.path)


def write_starts(
    bundle: Bundle, data: Path, checkpoint_of: Callable[[str], Path], num_steps_of: Callable[[str], int]
) -> None:
    """A checkpoint of each model that has none yet.

    Args:
        data: a dataset with the bundle's units.
        checkpoint_of: where each part's checkpoint lies.
        num_steps_of: how many steps each part is trained for in all.

    Raises:
        BundleError: the bundle has other text symbols or speech tokens than the dataset, or models of another size.
    """
    for name in (TOKENS_FILE, UNITS_FILE):
        if (bundle.path / name).read_text("utf-8").split() != (data / name).read_text("utf-8").split():
            raise BundleError(f"{data / name} is not that of {bundle.path}: go on in a new folder.")
    for part, start in (("vocoder", _vocoder), ("flow", _flow), ("lm", _lm)):
        file, num_steps = checkpoint_of(part), num_steps_of(part)
        if not file.is_file():
            trainer = start(bundle, data, file, num_steps)
            trainer.step = round(SHARE * num_steps)
            trainer.save()


def _vocoder(bundle: Bundle, data: Path, file: Path, num_steps: int) -> Trainer:
    vocoder = new_vocoder()
    vocoder.load_state_dict(read_vocoder(bundle, vocoder))
    return vocoder_trainer(vocoder, file, num_steps)


def _flow(bundle: Bundle, data: Path, file: Path, num_steps: int) -> Trainer:
    model = build_flow(data)
    model.assign(read_flow(bundle, model.flow))
    segments = Segments(Dataset.open(data, "train"), speaker_vectors(), seed=0)
    model.fit_pitch([segments.batch(FRAMES_PER_STEP) for _ in range(_NUM_FITTED)])
    return flow_trainer(model, file, num_steps)


def _lm(bundle: Bundle, data: Path, file: Path, num_steps: int) -> Trainer:
    model = build_lm(data)
    with torch.device("meta"):
        like = TransformerLM(model.config)
    model.assign(read_lm(bundle, like))
    return lm_trainer(model, file, num_steps)

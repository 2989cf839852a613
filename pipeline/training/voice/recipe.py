"""`cosyvoice-serve train`: the bundled voice from nothing, step after step, each of which can be resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import copyfile
from types import MappingProxyType

from pipeline.export.export import export
from pipeline.runtime.bundle import Bundle
from pipeline.training.voice.checkpoint import write_checkpoint
from pipeline.training.voice.corpus import Plan, build_corpus, report
from pipeline.training.voice.evaluate import NUM_ORDERS, evaluate
from pipeline.training.voice.evaluate_report import Evaluation
from pipeline.training.voice.flow import flow_mel, load_flow, train_flow
from pipeline.training.voice.lm import load_lm, train_lm
from pipeline.training.voice.recognizer import SPLIT, train_recognizer
from pipeline.training.voice.recognizer_corpus import make_recognizer_corpus
from pipeline.training.voice.start import units_of, write_starts
from pipeline.training.voice.vocoder import remake_mels, train_vocoder
from pipeline.training.voice.vocoder_f0 import load_vocoder, train_f0
from pipeline.types import Profile

NAME = "cosyvoice-small"
PROFILE: Profile = "fast"  # judged by the evaluation as it is exported
NUM_REMADE = 400  # utterances
DESCRIPTION = "A small synthetic voice in CosyVoice's architecture, taught by espeak-ng; not CosyVoice-300M."


@dataclass(frozen=True)
class Recipe:
    """Where everything lies, and for how long each model is trained.

    Args:
        scale: of every model's number of steps; a larger one makes a finished run go on.
        max_seconds: of one step of the recipe; a checkpoint is left behind.
        plan: how much text and audio.
        start: a bundle whose models go on; None: new ones.
    """

    folder: Path
    scale: float = 1.0
    max_seconds: float = math.inf
    plan: Plan = field(default_factory=Plan)
    start: Path | None = None

    @property
    def data(self) -> Path:
        return self.folder / "corpus"

    @property
    def remade(self) -> Path:
        """Training utterances with the flow's mels in place of the teacher's."""
        return self.folder / "remade"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    def checkpoint(self, part: str) -> Path:
        return self.folder / "checkpoints" / f"{part}.pt"

    def num_steps(self, part: str) -> int:
        return max(1, round(NUM_STEPS[part] * self.scale))


NUM_STEPS: Mapping[str, int] = MappingProxyType(
    {"recognizer": 1600, "vocoder": 8000, "flow": 12_000, "polish": 2000, "f0": 5000, "lm": 9000}
)


def _corpus(recipe: Recipe) -> None:
    start = None if recipe.start is None else Bundle.open(recipe.start)
    build_corpus(recipe.data, recipe.plan, None if start is None else units_of(start))
    print(report(recipe.data, "train"))
    if start is not None:
        write_starts(start, recipe.data, recipe.checkpoint, recipe.num_steps)


def _recognizer(recipe: Recipe) -> None:
    if not any(recipe.data.glob(f"{SPLIT}-*.npz")):
        make_recognizer_corpus(recipe.data, num_sentences=recipe.plan.num_recognizer)
    _train(recipe, "recognizer", train_recognizer)


def _vocoder(recipe: Recipe) -> None:
    _train(recipe, "vocoder", train_vocoder)


def _polish(recipe: Recipe) -> None:
    """The vocoder goes on with mels that the flow made; the flow was taught by the vocoder as it was before."""
    _remake(recipe)
    polished = recipe.checkpoint("polish")
    if not polished.is_file():
        copyfile(recipe.checkpoint("vocoder"), polished)
    train_vocoder(
        recipe.data,
        polished,
        num_steps=recipe.num_steps("vocoder") + recipe.num_steps("polish"),
        max_seconds=recipe.max_seconds,
        remade=recipe.remade,
    )


def _f0(recipe: Recipe) -> None:
    """The vocoder's F0 predictor once more, alone, on the flow's mels too: it is cheap, and tones hang on it."""
    _remake(recipe)
    train_f0(
        recipe.data,
        recipe.checkpoint("polish"),
        recipe.checkpoint("f0"),
        num_steps=recipe.num_steps("f0"),
        max_seconds=recipe.max_seconds,
        remade=recipe.remade,
    )


def _remake(recipe: Recipe) -> None:
    if not any(recipe.remade.glob("train-*.npz")):
        flow = load_flow(recipe.data, recipe.checkpoint("flow"))
        remake_mels(recipe.data, recipe.remade, partial(flow_mel, flow, seed=0), num_utterances=NUM_REMADE)


def _flow(recipe: Recipe) -> None:
    predictor = load_vocoder(recipe.checkpoint("vocoder")).f0_predictor
    _train(recipe, "flow", partial(train_flow, predictor=predictor))


def _lm(recipe: Recipe) -> None:
    _train(recipe, "lm", train_lm)


def _train(recipe: Recipe, part: str, train: Callable[..., None]) -> None:
    train(recipe.data, recipe.checkpoint(part), num_steps=recipe.num_steps(part), max_seconds=recipe.max_seconds)


def _export(recipe: Recipe) -> None:
    """The official-format checkpoint folder, and the int8 bundle that serving loads."""
    vocoder = load_vocoder(recipe.checkpoint("polish"), recipe.checkpoint("f0"))
    lm, flow = load_lm(recipe.data, recipe.checkpoint("lm")), load_flow(recipe.data, recipe.checkpoint("flow"))
    folder = recipe.folder / "checkpoint"
    write_checkpoint(recipe.data, lm, flow, vocoder, folder)
    parity = export(folder, recipe.bundle, precisions=["int8"], name=NAME, description=DESCRIPTION, profile=PROFILE)
    print(parity.table())


STEPS: Mapping[str, Callable[[Recipe], None]] = MappingProxyType(
    {
        "corpus": _corpus,
        "recognizer": _recognizer,
        "vocoder": _vocoder,
        "flow": _flow,
        "polish": _polish,
        "f0": _f0,
        "lm": _lm,
        "export": _export,
    }
)


def run_recipe(recipe: Recipe, steps: Sequence[str] = tuple(STEPS)) -> None:
    """The named steps in the recipe's order."""
    for name, step in STEPS.items():
        if name in steps:
            print(f"== {name}", flush=True)
            step(recipe)


def evaluate_voice(recipe: Recipe, bundle: str | None, output: Path, num_per_language: int) -> Evaluation:
    """Judges the bundle that the recipe made, or another one, on its held-out sentences."""
    judge = recipe.checkpoint("recognizer")
    return evaluate(
        bundle or str(recipe.bundle),
        recipe.data,
        judge,
        output,
        num_per_language=num_per_language,
        num_orders=min(NUM_ORDERS, num_per_language),
    )

"""Command line: `python -m pipeline.training.text tables`, `... english` and `... train`; see their --help."""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.text.phrases import DATA, PhraseTable, read_table
from pipeline.text.polyphone import Vocabulary
from pipeline.text.segment import load_segmenter
from pipeline.training.text.corpus import Example, Sentence, read_labelled, read_plain
from pipeline.training.text.english_letters import write_letters
from pipeline.training.text.english_words import read_cmudict, write_words
from pipeline.training.text.evaluate import evaluate
from pipeline.training.text.export import export
from pipeline.training.text.network import ReadingNetwork
from pipeline.training.text.tables import write_tables
from pipeline.training.text.teacher import Teacher
from pipeline.training.text.train import (
    Trainer,
    averaged,
    build_vocabulary,
    load_checkpoint,
    make_examples,
    new_network,
    save_checkpoint,
)

NUM_HELD_OUT = 1000
FIRST_PEAK, SECOND_PEAK = 2e-3, 1e-3  # highest learning rates of the two stages


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.text", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tables = commands.add_parser("tables", help="phrase and character tables from the installed pypinyin")
    tables.add_argument("--output", type=Path, default=Path(str(DATA)))
    tables.set_defaults(run=lambda options: write_tables(options.output))
    english = commands.add_parser("english", help="the dictionary of English words and how unknown ones are read")
    english.add_argument("--cmudict", type=Path, required=True, help="cmudict.dict of Carnegie Mellon University")
    english.add_argument("--output", type=Path, default=Path(str(DATA)))
    english.set_defaults(run=run_english)
    training = commands.add_parser("train", help="the polyphone and pause network, exported as ONNX")
    training.add_argument("--labelled", type=Path, required=True, help="CPP .sent file with its .lb file beside it")
    training.add_argument("--plain", type=Path, nargs="+", required=True, help="text files, one paragraph a line")
    training.add_argument("--g2pm", type=Path, required=True, help="the folder of the unpacked g2pM 0.1.2.5 wheel")
    training.add_argument("--output", type=Path, default=Path(str(DATA)))
    training.add_argument("--checkpoint", type=Path, default=Path("polyphone.pt"))
    training.add_argument("--initial", type=Path, help="a checkpoint to go on from; needs no first stage")
    training.add_argument("--held-out", type=int, default=NUM_HELD_OUT, help="labelled sentences kept for the report")
    training.add_argument("--epochs", type=int, nargs=2, default=(3, 2), help="on automatic labels, then on both")
    training.add_argument("--runs", type=int, default=1, help="second stages whose weights are averaged")
    training.add_argument("--seed", type=int, default=1)
    training.set_defaults(run=run_training)
    options = parser.parse_args(arguments)
    options.run(options)


def run_english(options: argparse.Namespace) -> None:
    print(f"{write_words(options.cmudict, options.output)} words", flush=True)
    print(write_letters(read_cmudict(options.cmudict), options.output))


@dataclass(frozen=True, slots=True)
class Split:
    trained: list[Sentence]
    held_out: list[Sentence]


def split(sentences: list[Sentence], num_held_out: int, rng: random.Random) -> Split:
    shuffled = rng.sample(sentences, len(sentences))
    return Split(shuffled[num_held_out:], shuffled[:num_held_out])


def run_training(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    labels = split(read_labelled(options.labelled), options.held_out, rng)
    plain = split(unique(s for path in options.plain for s in read_plain(path)), NUM_HELD_OUT, rng)
    phrases, segmenter, teacher = read_phrases(), load_segmenter(), Teacher.load(options.g2pm)
    network, vocabulary = start(options.initial, teacher, [*labels.trained, *labels.held_out], plain.trained)
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {len(vocabulary.candidates)} polyphones")

    def examples(sentences: list[Sentence]) -> list[Example]:
        return make_examples(sentences, teacher, vocabulary, segmenter, phrases, rng)

    num_first, num_second = options.epochs
    if num_first:
        Trainer(network, vocabulary).fit(examples(plain.trained), num_first, FIRST_PEAK, rng)
        save_checkpoint(options.checkpoint.with_suffix(".first.pt"), network, vocabulary)
    if num_second:
        mixed = examples(labels.trained + rng.sample(plain.trained, len(labels.trained) // 2))
        states = [second_stage(network, vocabulary, mixed, num_second, options.seed + k) for k in range(options.runs)]
        network.load_state_dict(averaged(states))
        save_checkpoint(options.checkpoint, network, vocabulary)
    texts = [s.text for s in [*labels.held_out, *plain.held_out]]
    print(evaluate(network, vocabulary, segmenter, phrases, labels.held_out, texts))
    export(network, vocabulary, options.output)


def unique(sentences: Iterable[Sentence]) -> list[Sentence]:
    return list({sentence.text: sentence for sentence in sentences}.values())


def read_phrases() -> PhraseTable:
    return PhraseTable(read_table(DATA / "phrases.tsv.gz"))


def start(
    initial: Path | None, teacher: Teacher, labelled: list[Sentence], plain: list[Sentence]
) -> tuple[ReadingNetwork, Vocabulary]:
    if initial is not None:
        return load_checkpoint(initial)
    vocabulary = build_vocabulary(teacher, read_table(DATA / "characters.tsv.gz"), labelled, plain)
    return new_network(vocabulary, teacher), vocabulary


def second_stage(
    network: ReadingNetwork, vocabulary: Vocabulary, examples: list[Example], num_epochs: int, seed: int
) -> dict[str, Tensor]:
    """The weights after one run from `network`, which stays as it is."""
    torch.manual_seed(seed)
    run = copy.deepcopy(network)
    Trainer(run, vocabulary).fit(examples, num_epochs, SECOND_PEAK, random.Random(seed))
    return run.state_dict()


if __name__ == "__main__":
    main()

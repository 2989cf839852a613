"""Command line: `python -m pipeline.training.text tables` and `... train`; see each command's --help."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.text.phrases import DATA, PhraseTable, read_table
from pipeline.text.segment import load_segmenter
from pipeline.training.text.corpus import Example, Sentence, read_labelled, read_plain
from pipeline.training.text.evaluate import evaluate
from pipeline.training.text.export import export
from pipeline.training.text.tables import write_tables
from pipeline.training.text.teacher import Teacher
from pipeline.training.text.train import build_vocabulary, make_examples, new_network, train

NUM_HELD_OUT = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.text", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tables = commands.add_parser("tables", help="phrase and character tables from the installed pypinyin")
    tables.add_argument("--output", type=Path, default=Path(str(DATA)))
    tables.set_defaults(run=lambda options: write_tables(options.output))
    training = commands.add_parser("train", help="the polyphone and pause network, exported as ONNX")
    training.add_argument("--labelled", type=Path, required=True, help="CPP .sent file with its .lb file beside it")
    training.add_argument("--plain", type=Path, nargs="+", required=True, help="text files, one paragraph a line")
    training.add_argument("--g2pm", type=Path, required=True, help="the folder of the unpacked g2pM 0.1.2.5 wheel")
    training.add_argument("--output", type=Path, default=Path(str(DATA)))
    training.add_argument("--checkpoint", type=Path, default=Path("polyphone.pt"))
    training.add_argument("--initial", type=Path, help="a checkpoint to go on from, of the same texts")
    training.add_argument("--held-out", type=int, default=NUM_HELD_OUT, help="labelled sentences kept for the report")
    training.add_argument(
        "--final", action="store_true", help="train on the held-out sentences too: the report is void"
    )
    training.add_argument("--epochs", type=int, nargs=2, default=(5, 3), help="on everything, then mostly on labels")
    training.add_argument("--seed", type=int, default=1)
    training.set_defaults(run=run_training)
    options = parser.parse_args(arguments)
    options.run(options)


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
    labelled = read_labelled(options.labelled)
    labels = split(labelled, options.held_out, rng)
    plain = split([s for path in options.plain for s in read_plain(path)], options.held_out, rng)
    characters, phrases = read_table(DATA / "characters.tsv.gz"), PhraseTable(read_table(DATA / "phrases.tsv.gz"))
    teacher, segmenter = Teacher.load(options.g2pm), load_segmenter()
    vocabulary = build_vocabulary(teacher, characters, labelled, plain.trained)
    network = new_network(vocabulary, teacher)
    if options.initial:
        network.load_state_dict(torch.load(options.initial, weights_only=True))
    print(
        f"{sum(p.numel() for p in network.parameters())} parameters, {len(vocabulary.candidates)} polyphones",
        flush=True,
    )

    def examples(sentences: list[Sentence]) -> list[Example]:
        return make_examples(sentences, teacher, vocabulary, segmenter, phrases, rng)

    gold = examples((labels.trained + labels.held_out if options.final else labels.trained) * 3)
    automatic = examples(plain.trained)
    print(f"{len(gold)} labelled and {len(automatic)} automatic examples", flush=True)
    texts = [s.text for s in [*labels.held_out, *plain.held_out]]

    def report(epoch: int) -> str:
        return str(evaluate(network, vocabulary, segmenter, phrases, labels.held_out, texts))

    stages = (
        (lambda: automatic + gold, options.epochs[0], 2e-3),
        (lambda: rng.sample(automatic, len(gold)) + gold, options.epochs[1], 5e-4),
    )
    train(network, stages, report, options.checkpoint, options.seed)
    export(network, vocabulary, options.output)


if __name__ == "__main__":
    main()

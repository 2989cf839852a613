"""Trains the polyphone and pause network on the CPU: first on automatic labels, then on human ones too."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.text.phrases import PhraseTable
from pipeline.text.polyphone import FIRST_ROW, Vocabulary
from pipeline.text.segment import Segmenter
from pipeline.training.text.batches import Batch, batches
from pipeline.training.text.corpus import Example, Labeller, Sentence, crop
from pipeline.training.text.network import NetworkSize, ReadingNetwork
from pipeline.training.text.teacher import Teacher

MIN_COUNT = 5  # a character seen less often shares the row of the unknown
WIDTH = 128
IMPOSSIBLE = -30.0  # logit of a reading that the character never has
PAUSE_WEIGHT = 0.5  # of the pause loss against the reading loss
SLOW = 0.1  # learning rate of what the teacher knows already, relative to the rest
TEACHER_BATCH = 64


def build_vocabulary(
    teacher: Teacher, characters: dict[str, str], labelled: Sequence[Sentence], plain: Sequence[Sentence]
) -> Vocabulary:
    """The teacher's rows and classes first, then what the texts add. Polyphones are the labelled characters."""
    counts = Counter(char for sentence in [*labelled, *plain] for char in sentence.text)
    rows = {char: row for char, row in teacher.vocabulary.items() if row >= FIRST_ROW}
    for char, count in sorted(counts.items()):
        if count >= MIN_COUNT and char in characters and char not in rows:
            rows[char] = FIRST_ROW + len(rows)
    candidates = {s.text[s.index]: set(characters[s.text[s.index]].split()) for s in labelled}
    for sentence in labelled:
        candidates[sentence.text[sentence.index]].add(sentence.syllable)
    known = set(teacher.classes) | {sentence.syllable for sentence in labelled}
    readings = {char: sorted(known & found) for char, found in candidates.items() if len(known & found) > 1}
    added = sorted({s for found in readings.values() for s in found} - set(teacher.classes))
    return Vocabulary.build(rows, [*teacher.classes, *added], readings)


def make_examples(
    sentences: Sequence[Sentence],
    teacher: Teacher,
    vocabulary: Vocabulary,
    segmenter: Segmenter,
    phrases: PhraseTable,
    rng: random.Random,
) -> list[Example]:
    labeller = Labeller(vocabulary, segmenter, phrases)
    examples = []
    ordered = sorted((crop(sentence) for sentence in sentences), key=lambda sentence: len(sentence.text))
    for start in range(0, len(ordered), TEACHER_BATCH):
        batch = ordered[start : start + TEACHER_BATCH]
        for sentence, logits in zip(batch, teacher.logits([s.text for s in batch]), strict=True):
            examples.append(labeller.example(sentence, logits, rng))
    return examples


class Trainer:
    """Fits a network to examples; keeps which readings each character may have, so that only those compete."""

    def __init__(self, network: ReadingNetwork, vocabulary: Vocabulary) -> None:
        self._network = network
        self._possible = possible_readings(vocabulary)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the readings and of the pauses, each a mean over its labels."""
        logits, pauses = self._network(batch.characters, batch.tags, batch.positions, batch.lengths)
        possible = self._possible[batch.characters.flatten()[batch.positions]]
        log_probs = torch.log_softmax(logits.masked_fill(~possible, IMPOSSIBLE), dim=-1).gather(1, batch.classes)
        reading_loss = -(log_probs * batch.weights).sum() / batch.weights.sum().clamp(min=1)
        known = batch.pauses >= 0
        pause_loss = nn.functional.binary_cross_entropy_with_logits(pauses[known], batch.pauses[known])
        return reading_loss, pause_loss

    def fit(self, examples: Sequence[Example], num_epochs: int, peak: float, rng: random.Random) -> None:
        """`peak` is the highest learning rate. A line is printed per epoch."""
        started = time.monotonic()
        optimizer = torch.optim.AdamW(parameter_groups(self._network, peak), weight_decay=0.01)
        num_steps = num_epochs * sum(1 for _ in batches(examples, random.Random(0)))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in optimizer.param_groups],
            total_steps=num_steps + num_epochs * 20,
            pct_start=0.1,
        )
        for epoch in range(num_epochs):
            self._network.train()
            losses = [self._step(batch, optimizer, schedule) for batch in batches(examples, rng)]
            readings, pauses = np.mean(losses, axis=0)
            print(
                f"epoch {epoch + 1} {time.monotonic() - started:.0f} s loss {readings:.4f} {pauses:.4f}",
                flush=True,
            )

    def _step(
        self, batch: Batch, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
    ) -> tuple[float, float]:
        reading_loss, pause_loss = self.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(reading_loss + PAUSE_WEIGHT * pause_loss)
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return reading_loss.item(), pause_loss.item()


def possible_readings(vocabulary: Vocabulary) -> Tensor:
    """bool [V, C]: which classes may follow from each row of the embedding; all of them where nothing is known."""
    possible = torch.ones(FIRST_ROW + len(vocabulary.characters), len(vocabulary.classes), dtype=torch.bool)
    for char, ids in vocabulary.candidates.items():
        if char in vocabulary.characters:
            row = vocabulary.characters[char]
            possible[row] = False
            possible[row, torch.from_numpy(ids)] = True
    return possible


def parameter_groups(network: ReadingNetwork, peak: float) -> list[dict[str, Any]]:
    """The recurrent branch begins with the teacher's weights and learns slowly, so that it does not forget them."""
    branch = [network.embedding, network.lstm, network.recurrent_head]
    slow = [parameter for module in branch for parameter in module.parameters()]
    names = {id(parameter) for parameter in slow}
    fast = [parameter for parameter in network.parameters() if id(parameter) not in names]
    return [{"params": slow, "lr": peak * SLOW}, {"params": fast, "lr": peak}]


def averaged(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several runs' weights; they must have begun at the same ones."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


def save_checkpoint(path: Path, network: ReadingNetwork, vocabulary: Vocabulary) -> None:
    torch.save({"vocabulary": vocabulary.to_json(), "weights": network.state_dict()}, path)


def load_checkpoint(path: Path) -> tuple[ReadingNetwork, Vocabulary]:
    parts = torch.load(path, weights_only=True)
    vocabulary = Vocabulary.from_json(parts["vocabulary"])
    network = empty_network(vocabulary)
    network.load_state_dict(parts["weights"])
    return network, vocabulary


def empty_network(vocabulary: Vocabulary) -> ReadingNetwork:
    rows, classes = FIRST_ROW + len(vocabulary.characters), len(vocabulary.classes)
    return ReadingNetwork(NetworkSize(rows, classes, wide_dim=WIDTH, channels=WIDTH, head_hidden=WIDTH))


def new_network(vocabulary: Vocabulary, teacher: Teacher) -> ReadingNetwork:
    network = empty_network(vocabulary)
    teacher.initialize(network)
    return network

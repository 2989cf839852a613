"""Examples of like length, padded to arrays for the polyphone network."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.training.text.corpus import Example

BATCH_CHARACTERS = 3000


@dataclass(frozen=True, slots=True)
class Batch:
    characters: Tensor  # i64 [B, T]
    tags: Tensor  # i64 [B, T]
    lengths: Tensor  # i64 [B]
    pauses: Tensor  # f32 [B, T]; -1 not known
    positions: Tensor  # i64 [K], into [B * T]
    classes: Tensor  # i64 [K, N]
    weights: Tensor  # f32 [K, N]


def collate(examples: Sequence[Example]) -> Batch:
    def pad(arrays: Sequence[np.ndarray], value: int) -> Tensor:
        tensors = [torch.from_numpy(array) for array in arrays]
        return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)

    lengths = [len(example.characters) for example in examples]
    offsets = [row * max(lengths) for row in range(len(examples))]
    return Batch(
        characters=pad([example.characters for example in examples], 0),
        tags=pad([example.tags for example in examples], 0),
        lengths=torch.tensor(lengths),
        pauses=pad([example.pauses for example in examples], -1).float(),
        positions=torch.from_numpy(
            np.concatenate([e.positions + offset for e, offset in zip(examples, offsets, strict=True)])
        ),
        classes=torch.from_numpy(np.concatenate([example.classes for example in examples])),
        weights=torch.from_numpy(np.concatenate([example.weights for example in examples])),
    )


def batches(examples: Sequence[Example], rng: random.Random) -> Iterator[Batch]:
    """Batches of sentences of like length, in random order."""
    ordered = sorted(examples, key=lambda example: len(example.characters) + rng.random() * 4)
    groups: list[list[Example]] = [[]]
    for example in ordered:
        if (len(groups[-1]) + 1) * len(example.characters) > BATCH_CHARACTERS:
            groups.append([])
        groups[-1].append(example)
    rng.shuffle(groups)
    return (collate(group) for group in groups if group)

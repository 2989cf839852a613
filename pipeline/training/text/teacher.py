"""g2pM's published weights (PyPI's g2pM 0.1.2.5, Apache-2.0): starting point and teacher of the network."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pipeline.text.polyphone import BEGIN_ROW, END_ROW, UNKNOWN_ROW
from pipeline.training.text.network import ReadingNetwork
from pipeline.types import F32


@dataclass(frozen=True, slots=True)
class Teacher:
    vocabulary: dict[str, int]  # character -> row of the embedding
    classes: tuple[str, ...]  # syllables with tone numbers, u-umlaut written v
    network: nn.ModuleDict

    @staticmethod
    def load(folder: Path) -> Teacher:
        """Reads the package's folder. The files are pickles: use only the published wheel."""
        parts = {
            name: pickle.loads((folder / f"{name}.pkl").read_bytes()) for name in ("char2idx", "class2idx", "np_ckpt")
        }
        ordered = sorted(parts["class2idx"], key=parts["class2idx"].__getitem__)
        weights = {name: torch.tensor(value) for name, value in parts["np_ckpt"].items()}
        rows, dim = weights["embedding.weight"].shape
        hidden, num_classes = weights["logit_layer.0.weight"].shape[0], len(ordered)
        network = nn.ModuleDict(
            {
                "embedding": nn.Embedding(rows, dim),
                "lstm": nn.LSTM(dim, hidden, bidirectional=True, batch_first=True),
                "logit_layer": nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)),
            }
        )
        network.load_state_dict(weights, strict=True)
        return Teacher(parts["char2idx"], tuple(s.replace("u:", "v") for s in ordered), network)

    @torch.no_grad()
    def logits(self, texts: Sequence[str]) -> list[F32]:
        """f32 [T, C] of each text, for every character."""
        rows = [torch.tensor([BEGIN_ROW, *(self._row(char) for char in text), END_ROW]) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        embedded = self.network["embedding"](nn.utils.rnn.pad_sequence(rows, batch_first=True))
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = nn.utils.rnn.pad_packed_sequence(self.network["lstm"](packed)[0], batch_first=True)
        logits = self.network["logit_layer"](hidden).numpy()
        return [logits[k, 1 : len(text) + 1] for k, text in enumerate(texts)]

    def _row(self, char: str) -> int:
        return self.vocabulary.get(char, UNKNOWN_ROW)

    @torch.no_grad()
    def initialize(self, network: ReadingNetwork) -> None:
        """Copies the weights into the recurrent branch; a class that the teacher lacks starts out unlikely."""
        weights = self.network.state_dict()
        network.embedding.weight[: len(self.vocabulary)] = weights["embedding.weight"]
        for name, parameter in network.lstm.named_parameters():
            parameter.copy_(weights[f"lstm.{name}"])
        head = network.recurrent_head.state_dict()
        for name, target in head.items():
            source = weights[f"logit_layer.{name}"]
            if name == "2.bias":
                target.fill_(float(source.min()))
            target[: len(source)] = source
        for parameter in network.reading_head[-1].parameters():
            nn.init.zeros_(parameter)

"""The network that reads polyphones and places pauses: a small recurrent branch beside dilated convolutions, two heads.

The recurrent branch has the layout of g2pM (Park and Lee, "A Neural Grapheme-to-Phoneme Conversion Package for
Mandarin Chinese", Interspeech 2020), so that its Apache-2.0 weights can be the starting point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.text.polyphone_batch import DILATIONS

NUM_WORD_TAGS = 4  # single, begin, middle, end


@dataclass(frozen=True, slots=True)
class NetworkSize:
    num_characters: int
    num_classes: int
    recurrent_dim: int = 64  # as g2pM: embedding, and both directions of the LSTM together
    recurrent_hidden: int = 32
    wide_dim: int = 96
    tag_dim: int = 16
    channels: int = 96
    dilations: tuple[int, ...] = DILATIONS
    head_hidden: int = 96
    dropout: float = 0.2


class ConvBlock(nn.Module):
    """Residual dilated convolution over time; f32 [B, C, T] in and out."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)  # folded into the convolution at inference
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        change: Tensor = self.dropout(torch.relu(self.norm(self.conv(x if mask is None else x * mask))))
        return x + change


class ReadingNetwork(nn.Module):
    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        features = size.channels + size.recurrent_dim
        self.embedding = nn.Embedding(size.num_characters, size.recurrent_dim)
        self.lstm = nn.LSTM(size.recurrent_dim, size.recurrent_hidden, bidirectional=True, batch_first=True)
        self.recurrent_head = nn.Sequential(
            nn.Linear(size.recurrent_dim, size.recurrent_hidden),
            nn.ReLU(),
            nn.Linear(size.recurrent_hidden, size.num_classes),
        )
        self.wide_embedding = nn.Embedding(size.num_characters, size.wide_dim)
        self.tag_embedding = nn.Embedding(NUM_WORD_TAGS, size.tag_dim)
        self.project = nn.Linear(size.wide_dim + size.tag_dim, size.channels)
        self.blocks = nn.ModuleList(ConvBlock(size.channels, d, size.dropout) for d in size.dilations)
        self.reading_head = nn.Sequential(
            nn.Dropout(size.dropout),
            nn.Linear(features, size.head_hidden),
            nn.ReLU(),
            nn.Linear(size.head_hidden, size.num_classes),
        )
        self.pause_head = nn.Linear(features, 1)
        self.dropout = nn.Dropout(size.dropout)

    def encode(self, characters: Tensor, tags: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """i64 [B, T] characters and word tags -> f32 [B, T, recurrent_dim] and [B, T, features]."""
        embedded = self.embedding(characters)
        if lengths is None:
            recurrent, _ = self.lstm(embedded)
            mask = None
        else:
            packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
            recurrent, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            mask = (torch.arange(characters.shape[1])[None] < lengths[:, None])[:, None].to(embedded.dtype)
        wide = torch.cat([self.wide_embedding(characters), self.tag_embedding(tags)], dim=-1)
        x = self.project(self.dropout(wide)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, mask)
        return recurrent, torch.cat([x.transpose(1, 2), recurrent], dim=-1)

    def forward(
        self, characters: Tensor, tags: Tensor, positions: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of the readings at `positions` and of a pause after each character.

        `positions` is i64 [K], into the flattened [B * T]. Returns f32 [K, num_classes] and f32 [B, T].
        """
        recurrent, features = self.encode(characters, tags, lengths)
        pauses = self.pause_head(features)[..., 0]
        recurrent, features = recurrent.flatten(0, 1)[positions], features.flatten(0, 1)[positions]
        return self.recurrent_head(recurrent) + self.reading_head(features), pauses

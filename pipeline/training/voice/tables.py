"""Token tables that share what tokens have in common, and fold into the plain matrices of the official format.

A speech token is a combination (phone, pitch level, position in the phone), and thousands of combinations are made of
a few hundred factors. A row is learned as sound[phone, position] + melody[position, pitch], so that every occurrence
of a phone teaches all its rows. `weight()` is the plain table: nothing of the factors is left in a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEVER = -30.0  # bias of ids that stand for no combination of their own; small enough for fp16
PHONE, PITCH, POSITION = 0, 1, 2  # columns of the factors

_NUM_SPLITS = 200  # rounds in which a plain table is split into factors

_SHARES = (0.3, 0.8, 0.5)  # of a text symbol's row: language, sound, tone
_SYMBOL = re.compile(r"(?:(?P<language>\w+):)?(?P<sound>.+?)(?P<tone>\d?)")


class FactoredTable(nn.Module):
    """Rows of speech tokens, f32 [V, size].

    Args:
        factors: i64 [V, 3], the phone, pitch level and position of each id.
        scale: standard deviation of a new row's elements.
    """

    def __init__(self, factors: Tensor, size: int, scale: float) -> None:
        super().__init__()
        self.sound = SoundTable(factors, size, 0.8 * scale)
        melodies, melody_of = _distinct(factors[:, [POSITION, PITCH]])
        self.melody = nn.Parameter(torch.randn(len(melodies), size) * 0.6 * scale)
        self.register_buffer("melodies", melodies, persistent=False)
        self.register_buffer("melody_of", melody_of, persistent=False)
        self.melodies: Tensor  # i64 [M, 2], the combinations (position, pitch level) that occur
        self.melody_of: Tensor  # i64 [V], each id's row of `melody`

    def forward(self, ids: Tensor) -> Tensor:
        """i64 [...] -> f32 [..., size]."""
        sound: Tensor = self.sound()
        return F.embedding(self.sound.sound_of[ids], sound) + F.embedding(self.melody_of[ids], self.melody)

    def weight(self) -> Tensor:
        sound: Tensor = self.sound()
        return sound[self.sound.sound_of] + self.melody[self.melody_of]

    @torch.no_grad()
    def assign(self, rows: Tensor) -> None:
        """Factors whose sums come nearest to rows f32 [V, size]: exactly, if such factors made the rows."""
        self.melody.copy_(_means(rows - rows.mean(dim=0), self.melody_of, len(self.melody)))
        for _ in range(_NUM_SPLITS):
            rest = _means(rows - self.melody[self.melody_of], self.sound.sound_of, len(self.sound.rest))
            self.melody.copy_(_means(rows - rest[self.sound.sound_of], self.melody_of, len(self.melody)))
        self.sound.assign(_means(rows - self.melody[self.melody_of], self.sound.sound_of, len(self.sound.rest)))


class SoundTable(nn.Module):
    """One row for each combination (phone, position) that occurs: phone + position + their product + a free rest."""

    def __init__(self, factors: Tensor, size: int, scale: float) -> None:
        super().__init__()
        sounds, sound_of = _distinct(factors[:, [PHONE, POSITION]])
        num_phones, num_positions = (int(column.max()) + 1 for column in sounds.T)
        self.phone = nn.Parameter(torch.randn(num_phones, size) * scale)
        self.position = nn.Parameter(torch.randn(num_positions, size) * 0.5 * scale)
        self.phone_gate = nn.Parameter(torch.randn(num_phones, size) * scale)
        self.position_gate = nn.Parameter(torch.randn(num_positions, size) * 0.3)
        self.rest = nn.Parameter(torch.zeros(len(sounds), size))
        self.register_buffer("sounds", sounds, persistent=False)
        self.register_buffer("sound_of", sound_of, persistent=False)
        self.sounds: Tensor  # i64 [S, 2], the combinations (phone, position) that occur
        self.sound_of: Tensor  # i64 [V], each id's row

    def forward(self) -> Tensor:
        """f32 [S, size]."""
        phone, position = self.sounds.unbind(1)
        gated = F.embedding(phone, self.phone_gate) * F.embedding(position, self.position_gate)
        return F.embedding(phone, self.phone) + F.embedding(position, self.position) + gated + self.rest

    @torch.no_grad()
    def assign(self, rows: Tensor) -> None:
        """Rows f32 [S, size], of which each phone's mean is what its positions have in common."""
        phone, _ = self.sounds.unbind(1)
        self.phone.copy_(_means(rows, phone, len(self.phone)))
        for unused in (self.position, self.phone_gate):
            unused.zero_()
        self.rest.copy_(rows - self.phone[phone])


class FactoredClassifier(nn.Module):
    """The output layer over all combinations and the end, without ever computing a logit per combination.

    The logit of a token is sound[phone, position] + melody[position, pitch], so the sum over all tokens of exp(logit)
    is the sum over sounds of exp(sound), each times the sum of exp(melody) over its existing pitch levels.
    The end token, with the id after the last, is a phone of its own.
    """

    def __init__(self, factors: Tensor, size: int) -> None:
        super().__init__()
        end = torch.tensor([[int(factors[:, PHONE].max()) + 1, 0, 0]])
        factors = torch.cat([factors, end])
        self.register_buffer("factors", factors, persistent=False)
        self.factors: Tensor  # i64 [V + 1, 3]
        self.table = FactoredTable(factors, size, 0.05)
        self.sound_bias = nn.Parameter(torch.zeros(len(self.table.sound.sounds)))
        self.melody_bias = nn.Parameter(torch.zeros(len(self.table.melodies)))
        is_first = torch.zeros(len(factors), dtype=torch.bool)
        is_first[list(_first_ids(factors).values())] = True
        self.register_buffer("is_first", is_first, persistent=False)
        exists = torch.zeros(len(self.table.melodies), len(self.table.sound.sounds))
        exists[self.table.melody_of, self.table.sound.sound_of] = 1
        self.register_buffer("exists", exists, persistent=False)
        self.is_first: Tensor  # bool [V + 1], False where an earlier id is the same combination
        self.exists: Tensor  # f32 [M, S], 1 where a token has this melody and this sound

    @property
    def end_token(self) -> int:
        return len(self.is_first) - 1

    def forward(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Log likelihood f32 [n] of the tokens i64 [n] behind hidden f32 [n, size]."""
        sound = F.linear(hidden, self.table.sound(), self.sound_bias)
        melody = F.linear(hidden, self.table.melody, self.melody_bias)
        sound = sound - sound.detach().amax(dim=1, keepdim=True)
        melody = melody - melody.detach().amax(dim=1, keepdim=True)
        total = (sound.exp() * (melody.exp() @ self.exists)).sum(dim=1)
        chosen_sound = sound.gather(1, self.table.sound.sound_of[target][:, None])
        chosen_melody = melody.gather(1, self.table.melody_of[target][:, None])
        return (chosen_sound + chosen_melody)[:, 0] - total.clamp_min(1e-30).log()

    def weight(self) -> Tensor:
        """f32 [V + 1, size] of an ordinary linear layer with the same distribution."""
        return self.table.weight() * self.is_first[:, None]

    def bias(self) -> Tensor:
        """f32 [V + 1]."""
        bias = self.sound_bias[self.table.sound.sound_of] + self.melody_bias[self.table.melody_of]
        return bias.masked_fill(~self.is_first, NEVER)

    @torch.no_grad()
    def assign(self, weight: Tensor, bias: Tensor) -> None:
        """From an ordinary linear layer, f32 [V + 1, size] and f32 [V + 1], of which only first ids are read."""
        joined = torch.cat([weight, bias[:, None]], dim=1)
        ids = _first_ids(self.factors)
        first = torch.tensor([ids[phone, pitch, position] for phone, pitch, position in self.factors.tolist()])
        whole = FactoredTable(self.factors, joined.shape[1], 0.0)
        whole.assign(joined[first])
        sound: Tensor = whole.sound()
        self.table.melody.copy_(whole.melody[:, :-1])
        self.table.sound.assign(sound[:, :-1])
        self.sound_bias.copy_(sound[:, -1])
        self.melody_bias.copy_(whole.melody[:, -1])


def _means(rows: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """The mean of the rows of each group, f32 [n, size], i64 [n] -> f32 [num_groups, size]; 0 where there is none."""
    sums = torch.zeros(num_groups, rows.shape[1]).index_add_(0, group, rows)
    return sums / torch.bincount(group, minlength=num_groups).clamp_min(1)[:, None]


def _distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of i64 [n, k], and which of them each row is: i64 [n]."""
    distinct, index = torch.unique(rows, dim=0, return_inverse=True)
    return distinct, index


def _first_ids(factors: Tensor) -> dict[tuple[int, int, int], int]:
    """The lowest id of each combination."""
    ids: dict[tuple[int, int, int], int] = {}
    for index, (phone, pitch, position) in enumerate(factors.tolist()):
        ids.setdefault((phone, pitch, position), index)
    return ids


def neighbours(factors: Tensor) -> Tensor:
    """For each id four that sound nearly alike, i64 [V, 4]: a pitch level or a position up or down, or itself."""
    ids = _first_ids(factors)
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1))
    return torch.tensor(
        [
            [ids.get((phone, pitch + up, position + on), index) for up, on in steps]
            for index, (phone, pitch, position) in enumerate(factors.tolist())
        ]
    )


class TextTable(nn.Module):
    """Rows of text symbols, f32 [num_rows, size]: language + sound + tone or stress + a free rest.

    A syllable's end that is rare in one tone is known from the others.
    """

    def __init__(self, symbols: Sequence[str], num_rows: int, size: int, scale: float) -> None:
        super().__init__()
        parts = [_symbol_parts(symbol) for symbol in symbols]
        columns = [_numbered(column) for column in zip(*parts, strict=True)]
        tables = (
            torch.randn(max(column) + 1, size) * share * scale for column, share in zip(columns, _SHARES, strict=True)
        )
        self.tables = nn.ParameterList(nn.Parameter(table) for table in tables)
        self.rest = nn.Parameter(torch.zeros(num_rows, size))
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.columns: Tensor  # i64 [3, symbols]

    def weight(self) -> Tensor:
        parts = [F.embedding(column, table) for column, table in zip(self.columns, self.tables, strict=True)]
        rows = torch.stack(parts).sum(dim=0)
        return F.pad(rows, (0, 0, 0, len(self.rest) - self.columns.shape[1])) + self.rest

    @torch.no_grad()
    def assign(self, rows: Tensor) -> None:
        """Rows f32 [num_rows, size], all of it as free rests."""
        for table in self.tables:
            table.zero_()
        self.rest.copy_(rows)


def _symbol_parts(symbol: str) -> tuple[Hashable, Hashable, Hashable]:
    """Its language, its sound in that language, its tone or stress in that language."""
    match = _SYMBOL.fullmatch(symbol)
    language, sound, tone = match.group("language", "sound", "tone") if match else (None, symbol, "")
    return language, (language, sound), (language, tone)


def _numbered(values: Sequence[Hashable]) -> list[int]:
    """Equal values get equal numbers, in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]

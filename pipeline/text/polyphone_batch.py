"""Parts of texts side by side, as the network for polyphones and pauses takes them in one run.

Rows of all windows follow each other without padding. The convolutions find a row's neighbours by index, where 0 is a
row of zeros outside of the window, and compute only rows that a place depends on, those of a repetitive text once for
all rows with the same neighbours; only the recurrent layer sees windows as columns of one length. So what a window
gives does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types import I64

DILATIONS = (1, 3, 9)  # of the network's convolutions, in order
_REACH = DILATIONS[-1]
_OFFSETS = {dilation: np.array([-dilation, 0, dilation]) for dilation in DILATIONS}
_MIN_ROWS = 64  # from which it is worth it to look for equal ones,
_MIN_REPEATS = 8  # and from which rows for each kind of them
_ID_BITS = 20  # of the number of a kind of row: a text has some thousands of them
_RUN_COST = 300  # rows of the recurrent layer that take as long as one more run


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a text.

    Attributes:
        tags: of each character, as `segment.tags_of`.
        places: positions in it of what is asked about, in order.
    """

    text: str
    tags: bytes
    places: Sequence[int]


def is_long(windows: Sequence[Window]) -> list[bool] | None:
    """Which windows to run apart from the others, whose columns would be mostly empty beside them; None for none."""
    lengths = [len(window.text) for window in windows]
    longest = max(lengths)
    short = [length for length in lengths if 2 * length < longest]
    if not short or (longest - max(short)) * len(short) < _RUN_COST:
        return None
    return [2 * length >= longest for length in lengths]


def shared(windows: Sequence[Window]) -> tuple[Sequence[Window], I64]:
    """The distinct windows with all their places, and where each place of `windows` is among theirs."""
    if len({(window.text, window.tags) for window in windows}) == len(windows):
        return windows, np.arange(sum(len(window.places) for window in windows))
    places_of: dict[tuple[str, bytes], set[int]] = {}
    for window in windows:
        places_of.setdefault((window.text, window.tags), set()).update(window.places)
    distinct = [Window(text, tags, sorted(places)) for (text, tags), places in places_of.items()]
    first_of = accumulate((len(window.places) for window in distinct), initial=0)
    ranks = {
        (window.text, window.tags): dict(zip(window.places, range(first, first + len(window.places)), strict=True))
        for window, first in zip(distinct, first_of, strict=False)
    }
    order = [ranks[window.text, window.tags][place] for window in windows for place in window.places]
    return distinct, np.array(order)


def packed(
    windows: Sequence[Window], encode: Callable[[Sequence[str]], I64], candidates: I64, asked: I64 | None = None
) -> dict[str, NDArray[Any]]:
    """Inputs of the graph for at least one window. `encode` as `Vocabulary.encode`.

    With N rows and K places in all, of B windows of up to T rows, they are characters and tags i64 [N], near_D i64
    [n, 3] for each dilation, grid i64 [T, B], lengths i32 [B], cells i64 [K, 2]. A convolution has the n rows that the
    next one needs, the last one K. `candidates` i64 [P, n] are the classes to score at the places `asked` i64 [P], the
    first ones if that is None.
    """
    lengths = [len(window.text) + 2 for window in windows]
    width = 2 * len(windows)
    cells = [(place + 1) * width + column for column, window in enumerate(windows) for place in window.places]
    characters = encode([window.text for window in windows])
    tags = rows_of_tags([window.tags for window in windows])
    return {
        "characters": characters,
        "tags": tags,
        **_near(lengths, [window.places for window in windows], _kinds(characters, tags)),
        "grid": _grid(characters, lengths),
        "lengths": np.array(lengths, np.int32),
        "cells": np.array(cells, np.int64)[:, None] + np.array([0, len(windows)]),  # in [T, 2, B]
        "asked": np.arange(len(candidates)) if asked is None else asked,
        "candidates": candidates,
    }


def _kinds(characters: I64, tags: I64) -> I64 | None:
    """i64 [N]: one more than the number of the first row that is equal; None where few rows are."""
    if len(characters) < _MIN_ROWS:
        return None
    rows = characters * 4 + tags
    if _MIN_REPEATS * len(set(rows.tolist())) >= len(rows):
        return None
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    kinds: I64 = first[inverse] + 1
    return kinds


def _grid(characters: I64, lengths: Sequence[int]) -> I64:
    """i64 [T, B]: each window a column, with zeros behind its end."""
    grid = np.zeros((max(lengths), len(lengths)), np.int64)
    for column, (start, length) in enumerate(zip(accumulate(lengths, initial=0), lengths, strict=False)):
        grid[:length, column] = characters[start : start + length]
    return grid


def rows_of_tags(tags: Sequence[bytes]) -> I64:
    """i64 [N] of texts one after the other, each between the tags of its begin and its end, which are words."""
    return np.frombuffer(b"\0" + b"\0\0".join(tags) + b"\0", np.uint8).astype(np.int64)


def _near(lengths: Sequence[int], places: Sequence[Sequence[int]], kinds: I64 | None) -> dict[str, I64]:
    """For each convolution, one more than the rows before, at and after each row that it has; 0 outside of the window.

    They are counted among the rows of the convolution before it. Meanwhile each row has a slot, and _REACH slots
    before and behind each window are free.
    """
    starts = list(accumulate((length + _REACH for length in lengths), initial=_REACH))
    is_row = np.zeros(starts[-1], np.bool_)
    for start, length in zip(starts, lengths, strict=False):
        is_row[start : start + length] = True
    slots = np.array([start + 1 + place for start, row in zip(starts, places, strict=False) for place in row], np.int64)
    needed = [slots]  # by each convolution, the last one first
    for dilation in DILATIONS[:0:-1]:
        is_needed = np.zeros(len(is_row), np.bool_)
        is_needed[needed[-1][:, None] + _OFFSETS[dilation]] = True
        needed.append((is_needed & is_row).nonzero()[0])
    ranks = np.zeros(len(is_row), np.int64)  # one more than the row in each slot
    ranks[is_row] = np.arange(1, sum(lengths) + 1) if kinds is None else kinds
    inputs: dict[str, I64] = {}
    for dilation, slots in zip(DILATIONS, reversed(needed), strict=True):
        near = ranks[slots[:, None] + _OFFSETS[dilation]]
        if dilation == DILATIONS[-1] or kinds is None:
            found = np.arange(len(slots))
        else:
            near, found = _distinct(near)
        inputs[f"near_{dilation}"] = near
        ranks = np.zeros(len(is_row), np.int64)
        ranks[slots] = found + 1
    return inputs


def _distinct(near: I64) -> tuple[I64, I64]:
    """The distinct rows, and which of them each row is."""
    keys = (near[:, 0] << 2 * _ID_BITS) + (near[:, 1] << _ID_BITS) + near[:, 2]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return near[first], inverse

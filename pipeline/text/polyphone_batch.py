"""Windows of texts side by side, as the network for polyphones and pauses takes them in one run.

Rows of all windows follow each other without padding. The convolutions find a row's neighbours by index, where 0 is a
row of zeros outside of the window; only the recurrent layer sees windows as columns of one length. So what a window
gives does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types import I64

DILATIONS = (1, 3, 9)  # of the network's convolutions, in order
_MAX_CACHED_LENGTHS = 256


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a text between its begin and end rows.

    Attributes:
        characters: rows of the embedding, begin and end included.
        tags: of each, as `polyphone.tags_of`.
        places: indices into `characters` of what is asked about, in order.
    """

    characters: list[int]
    tags: list[int]
    places: list[int]


def packed(windows: Sequence[Window], candidates: I64) -> dict[str, NDArray[Any]]:
    """Inputs of the graph for at least one window.

    With N rows and K places in all, of B windows of up to T rows, they are characters and tags i64 [N], near_D i64
    [N, 3] for each dilation but the last and [K, 3] for the last, places i64 [K], grid i64 [T, B], lengths i32 [B],
    cells i64 [K, 2]. `candidates` i64 [P, n] are the classes to score at the first P places.
    """
    lengths = [len(window.characters) for window in windows]
    starts = list(accumulate(lengths, initial=0))
    near = np.concatenate(list(map(_near, lengths, starts)), axis=1)
    places = [place + start for window, start in zip(windows, starts, strict=False) for place in window.places]
    width = 2 * len(windows)
    cells = [place * width + column for column, window in enumerate(windows) for place in window.places]
    characters = np.array([row for window in windows for row in window.characters], np.int64)
    return {
        "characters": characters,
        "tags": np.array([tag for window in windows for tag in window.tags], np.int64),
        **{f"near_{dilation}": rows for dilation, rows in zip(DILATIONS, near[:-1], strict=False)},
        f"near_{DILATIONS[-1]}": near[-1][places],
        "places": np.array(places, np.int64),
        "grid": _grid(characters, lengths, starts),
        "lengths": np.array(lengths, np.int32),
        "cells": np.array([cells, [cell + len(windows) for cell in cells]], np.int64).T,  # in [T, 2, B]
        "asked": np.arange(len(candidates)),
        "candidates": candidates,
    }


def _grid(characters: I64, lengths: Sequence[int], starts: Sequence[int]) -> I64:
    """i64 [T, B]: each window a column, with zeros behind its end."""
    grid = np.zeros((max(lengths), len(lengths)), np.int64)
    for column, (length, start) in enumerate(zip(lengths, starts, strict=False)):
        grid[:length, column] = characters[start : start + length]
    return grid


def _near(length: int, start: int) -> I64:
    """i64 [dilations, length, 3]: one more than the rows so far before, at and after each row; 0 outside of them."""
    rows = _near_alone(length)
    return rows + start * (rows > 0) if start else rows


@lru_cache(maxsize=_MAX_CACHED_LENGTHS)
def _near_alone(length: int) -> I64:
    offsets = np.array([[-dilation, 0, dilation] for dilation in DILATIONS])
    rows = np.arange(1, length + 1)[:, None] + offsets[:, None]
    near: I64 = rows * ((rows > 0) & (rows <= length))
    return near

"""The seeds of a request's pieces: independent streams from one number.

Piece k gets the first word of numpy's SeedSequence(seed, spawn_key=(k,)). The spawn key is the last of what such a
sequence mixes into its pool, so the pool of the seed alone is made once for a request, and each piece costs a few
multiplications instead of a dozen array calls (the constants are those of numpy/random/bit_generator.pyx).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_WORD = 0xFFFFFFFF
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = 0xCA01F9DD, 0x4973F715
_NUM_MIXED = 16  # words before the spawn key: the pool's four, then each into the other three
_KEY = _INIT_A * pow(_MULT_A, _NUM_MIXED, _WORD + 1) & _WORD
_NEXT_KEY = _KEY * _MULT_A & _WORD
_STATE = _INIT_B * _MULT_B & _WORD


def derive_seed(seed: int, index: int) -> int:
    """The seed of piece `index`, 32 bits."""
    key = _folded((index ^ _KEY) * _NEXT_KEY)
    mixed = _folded(_MIX_LEFT * _pool(seed) - _MIX_RIGHT * key)
    return _folded((mixed ^ _INIT_B) * _STATE)


def _folded(value: int) -> int:
    word = value & _WORD
    return word ^ word >> 16


@lru_cache(maxsize=256)
def _pool(seed: int) -> int:
    """The first word of the pool before the spawn key is mixed in."""
    entropy = np.array([seed & _WORD, seed >> 32 & _WORD, 0, 0], np.uint32)
    return int(np.random.SeedSequence(entropy).pool[0])

"""Pieces get the seeds that numpy would give them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.text.seeds import derive_seed


@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1, 2**32, 2**40 + 5, 2**63 - 1, 2**64 + 3])
@pytest.mark.parametrize("index", [0, 1, 2, 63])
def test_a_seed_is_the_first_word_of_the_pieces_own_sequence(seed: int, index: int) -> None:
    sequence = np.random.SeedSequence(seed % 2**64, spawn_key=(index,))
    assert derive_seed(seed, index) == sequence.generate_state(1, np.uint32)[0]

"""The steps of a KV cache of 8 bits follow how far each channel goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.lm_cache_scales import MARGIN, CacheScales, measure_cache_scales
from pipeline.model.lm import TransformerLM

REFERENCE = Path(__file__).parents[2] / "golden" / "reference-small"


@pytest.fixture
def model() -> TransformerLM:
    return load_checkpoint(REFERENCE).llm


def test_each_channel_has_the_step_that_it_needs(model: TransformerLM) -> None:
    config, values = model.config.decoder, model.llm.encoders[-1].self_attn.linear_v
    reach = torch.linspace(-3, 5, config.hidden_size)
    torch.nn.init.zeros_(values.weight)
    values.bias.data[:] = reach
    *_, last = measure_cache_scales(model, [np.ones(model.config.speaker_size, np.float32)])
    expected = np.abs(reach.numpy()).reshape(config.num_heads, config.head_dim) * MARGIN / 127
    np.testing.assert_allclose(last.value, expected, rtol=1e-6)
    assert last.key.shape == last.value.shape
    assert (last.key > 0).all()


def test_scales_are_the_same_each_time(model: TransformerLM) -> None:
    speakers = [np.ones(model.config.speaker_size, np.float32)]
    first, second = (measure_cache_scales(model, speakers) for _ in range(2))
    assert len(first) == model.config.decoder.num_layers
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.key, other.key)
        np.testing.assert_array_equal(one.value, other.value)


def test_added_channels_stand_behind_those_of_their_head() -> None:
    scales = CacheScales(np.array([[1, 2], [3, 4]], np.float32), np.array([[5, 6], [7, 8]], np.float32))
    key, value = scales.padded(3)
    np.testing.assert_array_equal(key[[0, 1, 3, 4]], [1, 2, 3, 4])
    np.testing.assert_array_equal(value[[0, 1, 3, 4]], [5, 6, 7, 8])
    assert len(key) == len(value) == 6

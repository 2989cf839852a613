"""The encoder: cached steps, padding, chunks and distances."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipeline.model.config import EncoderConfig
from pipeline.model.encoder import Encoder, RelativePositions, chunk_mask, shift_distances, sinusoids

CONFIG = EncoderConfig(
    kind="transformer",
    input_size=6,
    hidden_size=20,
    num_heads=4,
    ff_size=16,
    num_layers=2,
    input_layer="linear_legacy",
    activation="relu",
    normalize_before=True,
    static_chunk_size=1,
    has_key_bias=True,
    dropout=0.1,
    positional_dropout=0.1,
    attention_dropout=0.1,
)


def encoder(**changes: object) -> Encoder:
    torch.manual_seed(0)
    return Encoder(replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("normalize_before", [True, False])
@pytest.mark.parametrize("kind", ["transformer", "conformer"])
def test_steps_through_the_cache_equal_one_causal_pass(kind: str, normalize_before: bool) -> None:
    model = encoder(kind=kind, normalize_before=normalize_before)
    x = torch.randn(2, 11, 6)
    cache, outputs = None, []
    for piece in x.split([4, 1, 1, 3, 1, 1], dim=1):
        y, cache = model.step(piece, cache)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, dim=1), model(x, torch.tensor([11, 11])), atol=1e-5, rtol=0)


@pytest.mark.parametrize("chunk_size", [0, 1, 3])
def test_padding_changes_nothing(chunk_size: int) -> None:
    model = encoder(static_chunk_size=chunk_size)
    x = torch.randn(2, 9, 6)
    padded = model(x, torch.tensor([9, 5]))
    alone = model(x[1:, :5], torch.tensor([5]))
    torch.testing.assert_close(padded[1:, :5], alone, atol=1e-5, rtol=0)
    assert torch.isfinite(padded).all()


@pytest.mark.parametrize(("chunk_size", "num_changed"), [(0, 6), (1, 1), (4, 2), (5, 1)])
def test_a_position_is_seen_from_its_chunk_on(chunk_size: int, num_changed: int) -> None:
    model = encoder(static_chunk_size=chunk_size)
    x = torch.randn(1, 6, 6)
    changed = x.clone()
    changed[:, 5] += 1
    lengths = torch.tensor([6])
    differs = (model(x, lengths) - model(changed, lengths)).abs().amax(dim=(0, 2)) > 1e-6
    assert differs.sum() == num_changed


def test_chunks_see_their_own_end() -> None:
    assert chunk_mask(4, 2).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_scores_are_shifted_to_each_querys_distance() -> None:
    num_queries, num_keys = 3, 5
    distances = torch.arange(num_keys - 1, -num_keys, -1.0)
    shifted = shift_distances(distances.expand(1, 1, num_queries, -1), num_keys)
    position = torch.arange(num_keys)
    assert torch.equal(shifted[0, 0], (position[2:, None] - position).float())


def test_the_distance_table_grows_and_serves_training_after_inference() -> None:
    positions = RelativePositions(8, dropout=0.0)
    x = torch.zeros(1, 2000, 8)
    with torch.inference_mode():
        positions(x[:, :3], 3)
        _, distances = positions(x, 2000)
    assert torch.equal(distances, sinusoids(torch.arange(1999, -2000, -1), 8))
    projection = torch.nn.Linear(8, 1)
    projection(positions(x[:, :3], 3)[1]).sum().backward()
    assert projection.weight.grad is not None

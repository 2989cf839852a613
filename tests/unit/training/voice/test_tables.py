"""Factored tables: folding them gives plain ones with the same rows and the same distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.training.voice.tables import FactoredClassifier, FactoredTable, TextTable, neighbours

SILENCE = (2, 0, 0)


@pytest.fixture
def factors() -> Tensor:
    """Phone 0 is voiced with pitch levels 1 to 3, phone 1 is not; 2 is silence, also in the unused ids at the end."""
    voiced = [(0, pitch, position) for pitch in (1, 2, 3) for position in (0, 1)]
    return torch.tensor([*voiced, (1, 0, 0), (1, 0, 1), SILENCE, (2, 0, 1), SILENCE, SILENCE])


def shuffled(module: torch.nn.Module) -> None:
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.5)


def test_a_folded_table_has_the_rows_that_training_saw(factors: Tensor) -> None:
    table = FactoredTable(factors, size=6, scale=0.5)
    shuffled(table)
    ids = torch.tensor([[3, 0], [9, 6]])
    torch.testing.assert_close(table(ids), table.weight()[ids])


def test_tokens_that_share_a_sound_learn_from_each_other(factors: Tensor) -> None:
    table = FactoredTable(factors, size=6, scale=0.5)
    table(torch.tensor([0]))[0].sum().backward()
    assert table.sound.phone.grad is not None
    assert table.sound.phone.grad.abs().sum(dim=1).ne(0).tolist() == [True, False, False]


def test_the_classifier_is_an_ordinary_softmax_layer(factors: Tensor) -> None:
    classifier = FactoredClassifier(factors, size=6)
    shuffled(classifier)
    hidden = torch.randn(8, 6)
    target = torch.tensor([0, 1, 5, 6, 7, 8, 9, classifier.end_token])
    log_probs = F.linear(hidden, classifier.weight(), classifier.bias()).log_softmax(dim=-1)
    expected = log_probs[torch.arange(8), target]
    torch.testing.assert_close(classifier(hidden, target), expected, atol=1e-5, rtol=1e-5)


def test_unused_ids_are_never_likely(factors: Tensor) -> None:
    classifier = FactoredClassifier(factors, size=6)
    log_probs = F.linear(torch.randn(4, 6), classifier.weight(), classifier.bias()).log_softmax(dim=-1)
    assert classifier.end_token == len(factors)
    assert log_probs[:, 10:12].max() < -20
    assert log_probs[:, [*range(10), 12]].min() > -20


def test_the_classifier_stays_finite_for_hopeless_targets(factors: Tensor) -> None:
    classifier = FactoredClassifier(factors, size=6)
    hidden = (1e3 * torch.randn(4, 6)).requires_grad_()
    likelihood = classifier(hidden, torch.tensor([0, 6, 8, 12]))
    likelihood.sum().backward()
    assert hidden.grad is not None
    assert torch.isfinite(likelihood).all()
    assert torch.isfinite(hidden.grad).all()


def test_neighbours_are_one_step_away_or_the_token_itself(factors: Tensor) -> None:
    table = neighbours(factors)
    rows = {tuple(row): index for index, row in enumerate(factors[:10].tolist())}
    assert set(table[rows[0, 2, 0]].tolist()) == {rows[0, 1, 0], rows[0, 3, 0], rows[0, 2, 0], rows[0, 2, 1]}
    assert set(table[rows[1, 0, 0]].tolist()) == {rows[1, 0, 0], rows[1, 0, 1]}


def test_text_symbols_share_language_sound_and_tone() -> None:
    table = TextTable(["<pad>", "^", "zh:ang1", "zh:ang4", "zh:b", "en:AH1", "ja::"], num_rows=9, size=4, scale=0.5)
    torch.testing.assert_close(table.weight()[7:], torch.zeros(2, 4))
    table.weight()[2].sum().backward()
    touched = [weight.grad.abs().sum(dim=1).ne(0).tolist() for weight in table.tables if weight.grad is not None]
    language, sound, tone = touched
    assert language == [False, True, False, False]  # none, zh, en, ja
    assert sound == [False, False, True, False, False, False]  # pad ^ ang b AH :
    assert tone.count(True) == 1

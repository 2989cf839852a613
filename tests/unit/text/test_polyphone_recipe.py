from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from pipeline.runtime.session import make_session
from pipeline.text import polyphone_batch
from pipeline.text.phrases import PhraseTable
from pipeline.text.polyphone import PolyphoneModel, Question, Vocabulary
from pipeline.text.polyphone_batch import Window, is_long, packed, shared
from pipeline.text.segment import load_segmenter, tags_of
from pipeline.training.text.batches import collate
from pipeline.training.text.corpus import Labeller, Sentence, crop
from pipeline.training.text.evaluate import pause_f1, run, without_pauses
from pipeline.training.text.export import export
from pipeline.training.text.network import NetworkSize, ReadingNetwork
from pipeline.training.text.train import (
    Trainer,
    averaged,
    empty_network,
    load_checkpoint,
    possible_readings,
    save_checkpoint,
)

VOCABULARY = Vocabulary.build(
    {"重": 4, "庆": 5, "长": 6, "很": 7},
    ["chong2", "zhong4", "chang2", "zhang3"],
    {"重": ["chong2", "zhong4"], "长": ["chang2", "zhang3"]},
)


def small_network() -> ReadingNetwork:
    torch.manual_seed(0)
    size = NetworkSize(8, 4, recurrent_dim=8, recurrent_hidden=4, wide_dim=8, channels=8, head_hidden=8)
    return ReadingNetwork(size).eval()


def test_the_exported_graph_computes_what_the_network_does(tmp_path) -> None:
    network = small_network()
    export(network, VOCABULARY, tmp_path)
    model = PolyphoneModel(
        make_session(tmp_path / "polyphone.onnx", num_threads=1),
        Vocabulary.from_json((tmp_path / "polyphone.json").read_text("utf-8")),
    )
    text = "重庆很长"
    tags = tags_of(["重庆", "很", "长"])
    assert load_segmenter().cut(text) == ["重庆", "很", "长"]
    logits, pauses = run(network, VOCABULARY, load_segmenter(), text)
    (found,) = model.pauses([Question(text, tags, range(len(text)))])
    np.testing.assert_allclose(found, pauses, atol=1e-5)
    inputs = packed([Window(text, tags, [3])], VOCABULARY.encode, np.array([[3, 0, 2]]))
    inputs["bonus"] = np.array([[[0], [0], [0.5]]], np.float32)
    np.testing.assert_allclose(
        model._session.run(inputs, ["scores"])["scores"][0, :, 0], logits[3, [3, 0, 2]] + [0, 0, 0.5], atol=1e-5
    )
    expected = VOCABULARY.classes[2 + int(logits[3, 3] > logits[3, 2])]
    assert model.readings(text, tags, {3: None}) == {3: expected}


def test_company_changes_neither_pauses_nor_readings(tmp_path) -> None:
    export(small_network(), VOCABULARY, tmp_path)
    session = make_session(tmp_path / "polyphone.onnx", num_threads=1)
    model = PolyphoneModel(session, VOCABULARY)
    questions = [
        Question("重庆" * 20, bytes(40), [0, 3, 39]),
        Question("", b"", []),
        Question("长", b"\0", [0]),
        Question("很重" * 200, tags_of(["很重"] * 200), range(400)),
    ]
    together = model.pauses(questions)
    assert [len(found) for found in together] == [3, 0, 1, 400]
    for question, found in zip(questions, together, strict=True):
        np.testing.assert_allclose(model.pauses([question])[0], found, atol=1e-6)
    windows = [Window(text, bytes(len(text)), [0]) for text in ("重", "长很" * 30)]
    candidates = np.array([[0, 1], [2, 3]])
    bonus = np.zeros((2, 2, 1), np.float32)
    both = session.run({**packed(windows, VOCABULARY.encode, candidates), "bonus": bonus}, ["scores"])["scores"]
    for row, window in enumerate(windows):
        inputs = packed([window], VOCABULARY.encode, candidates[row : row + 1])
        alone = session.run({**inputs, "bonus": bonus[:1]}, ["scores"])["scores"]
        np.testing.assert_allclose(alone[0], both[row], atol=1e-5)


def test_short_windows_among_long_ones_run_apart(tmp_path) -> None:
    export(small_network(), VOCABULARY, tmp_path)
    model = PolyphoneModel(make_session(tmp_path / "polyphone.onnx", num_threads=1), VOCABULARY)
    text = "重很长很" * 60
    hints = {k: None for k, char in enumerate(text) if char in "重长"}
    questions = [Question("重长" * 5, bytes(10), [1, 4]) for _ in range(6)]
    readings, pauses = model.answer(text, bytes(240), hints, [*questions, Question(text, bytes(240), [7])])
    assert is_long([*(window for question in questions for window in question.windows()), Window(text, b"", [])])
    assert readings == model.readings(text, bytes(240), hints)
    for question, found in zip(questions, pauses[:-1], strict=True):
        np.testing.assert_allclose(found, model.pauses([question])[0], atol=1e-6)
    assert is_long([Window("很" * 20, bytes(20), [0]), Window("很", b"\0", [0])]) is None


def test_no_question_needs_no_run() -> None:
    model = PolyphoneModel(None, VOCABULARY)  # type: ignore[arg-type]
    assert model.pauses([]) == []
    assert [len(found) for found in model.pauses([Question("很", b"\0", [])] * 2)] == [0, 0]
    assert model.readings("很", b"\0", {}) == {}


def test_padding_changes_no_reading() -> None:
    network = small_network()
    characters, tags = torch.tensor([[2, 4, 5, 3]]), torch.zeros(1, 4, dtype=torch.int64)
    alone, _ = network(characters, tags, torch.tensor([1]))
    batch = torch.tensor([[2, 4, 5, 3, 0, 0, 0], [2, 6, 7, 4, 5, 6, 3]])
    padded, _ = network(batch, torch.zeros_like(batch), torch.tensor([1]), torch.tensor([4, 7]))
    torch.testing.assert_close(alone, padded, atol=1e-5, rtol=1e-5)


def test_the_human_label_and_the_removed_marks_are_what_is_learned() -> None:
    labeller = Labeller(VOCABULARY, load_segmenter(), PhraseTable({}))
    drop_all = random.Random(2)
    assert drop_all.choice((0.0, 0.3, 1.0)) == 0.0
    logits = np.zeros((4, 4), np.float32)
    kept = labeller.example(Sentence("重，很长", 0, "chong2"), logits, random.Random(2))
    assert kept.positions.tolist() == [1, 4]
    assert kept.classes[0, 0] == 0
    assert kept.weights[0, 0] == labeller.gold_weight
    assert kept.pauses.tolist() == [-1, -1, -1, 0, -1, -1]
    reading_loss, pause_loss = Trainer(small_network(), VOCABULARY).loss(collate([kept, kept]))
    assert reading_loss > 0
    assert pause_loss > 0


def test_a_long_sentence_is_cut_around_its_label() -> None:
    cut = crop(Sentence("很" * 100 + "重" + "很" * 100, 100, "zhong4"))
    assert len(cut.text) == 80
    assert cut.text[cut.index] == "重"


def test_pause_f1_counts_places_where_marks_stood() -> None:
    assert without_pauses("甲乙，丙。丁！") == ("甲乙丙丁", {1, 2})
    assert pause_f1(lambda text: {1}, ["甲乙，丙。丁！"]) == 2 / 3
    assert pause_f1(lambda text: set(), ["甲乙，丙"]) == 0


def test_only_the_readings_of_a_character_compete() -> None:
    possible = possible_readings(VOCABULARY)
    assert possible[4].tolist() == [True, True, False, False]
    assert possible[6].tolist() == [False, False, True, True]
    assert possible[5].all()


def test_training_lowers_the_loss() -> None:
    labeller = Labeller(VOCABULARY, load_segmenter(), PhraseTable({}))
    example = labeller.example(Sentence("重很长", 0, "chong2"), np.zeros((3, 4), np.float32), random.Random(2))
    network = small_network()
    trainer, batch = Trainer(network, VOCABULARY), collate([example])
    before = trainer.loss(batch)[0].item()
    trainer.fit([example], 5, 0.01, random.Random(0))
    network.eval()
    assert trainer.loss(batch)[0].item() < before


def test_averaged_weights_lie_between_those_of_the_runs() -> None:
    one, two = {"weight": torch.tensor([1.0]), "steps": torch.tensor(3)}, {"weight": torch.tensor([3.0])}
    assert averaged([one, {**one, **two}]) == {"weight": torch.tensor([2.0]), "steps": torch.tensor(3)}


def test_a_checkpoint_carries_its_vocabulary(tmp_path) -> None:
    network = empty_network(VOCABULARY).eval()
    save_checkpoint(tmp_path / "a.pt", network, VOCABULARY)
    loaded, vocabulary = load_checkpoint(tmp_path / "a.pt")
    assert vocabulary.to_json() == VOCABULARY.to_json()
    torch.testing.assert_close(loaded.state_dict(), network.state_dict())


def test_equal_windows_are_one_with_the_places_of_all() -> None:
    first, other = Window("重庆", b"\1\2", [1]), Window("很长", b"\1\2", [0, 1])
    again = Window("重庆", b"\1\2", [0, 1])
    distinct, order = shared([first, other, again])
    assert [(window.text, list(window.places)) for window in distinct] == [("重庆", [0, 1]), ("很长", [0, 1])]
    assert order.tolist() == [1, 2, 3, 0, 1]


def test_rows_with_equal_neighbours_are_computed_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(small_network(), VOCABULARY, tmp_path)
    session = make_session(tmp_path / "polyphone.onnx", num_threads=1)
    text = "重庆很长" * 24
    tags = tags_of(["重庆", "很", "长"] * 24)
    window, candidates = Window(text, tags, list(range(len(text)))), np.array([[3, 0, 2]] * len(text))

    def pauses() -> tuple[int, np.ndarray]:
        inputs = packed([window], VOCABULARY.encode, candidates)
        bonus = np.zeros((len(text), 3, 1), np.float32)
        return len(inputs["near_1"]), session.run({**inputs, "bonus": bonus}, ["pauses"])["pauses"]

    num_shared, found = pauses()
    monkeypatch.setattr(polyphone_batch, "_MIN_REPEATS", len(text))
    num_rows, expected = pauses()
    assert num_shared < num_rows / 4
    np.testing.assert_allclose(found, expected, atol=1e-6)

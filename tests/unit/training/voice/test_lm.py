"""The language model's training: the same model as the official one, fast; and it learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.model.config import LMConfig
from pipeline.model.lm import TransformerLM
from pipeline.training.voice import lm as lm_module
from pipeline.training.voice.dataset import Item, Shard, write_tokens
from pipeline.training.voice.lm import Noise, Objective, evaluate, guide_loss, load_lm, train_lm
from pipeline.training.voice.lm_batches import MAX_POSITIONS, Curriculum, Script, buckets, make_batch, read_scripts
from pipeline.training.voice.lm_model import GUIDED_LAYERS, NUM_FIRST_LAYERS, VoiceLM, lm_config
from pipeline.training.voice.tables import neighbours
from pipeline.training.voice.units import Grid, Units

SYMBOLS = ["<pad>", "^", ".", "zh:a1", "zh:b"]
FACTORS = torch.tensor([(phone, 0, position) for phone in range(4) for position in range(3)])


def tiny_config() -> LMConfig:
    config = lm_config()
    text = replace(config.text_encoder, input_size=8, hidden_size=8, num_heads=2, ff_size=8, num_layers=1)
    decoder = replace(config.decoder, input_size=16, hidden_size=16, num_heads=4, ff_size=16, num_layers=4)
    return replace(
        config,
        num_text_tokens=6,
        num_speech_tokens=len(FACTORS),
        text_embedding_size=8,
        input_size=16,
        output_size=16,
        speaker_size=4,
        text_encoder=text,
        decoder=decoder,
    )


@pytest.fixture(autouse=True)
def fixed_seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def model() -> VoiceLM:
    return VoiceLM(tiny_config(), SYMBOLS, FACTORS, torch.randn(7, 4))


def shuffled(module: torch.nn.Module) -> None:
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)


def script(sounds: str, speaker: int = 0) -> Script:
    """Each of the letters a and b is spoken as its phone, for two and three tokens; silence stands around them."""
    text, speech, align = [1], [0, 1], [0, 0]
    for index, letter in enumerate(sounds, 1):
        text.append(3 + "ab".index(letter))
        num_tokens = 2 + "ab".index(letter)
        speech += [3 * (1 + "ab".index(letter)) + position for position in range(num_tokens)]
        align += [index] * num_tokens
    return Script(
        np.array([*text, 2]), np.array([*speech, 0]), np.array([*align, len(text)]), speaker=speaker, language=0
    )


def folded(model: VoiceLM) -> TransformerLM:
    official = TransformerLM(model.config)
    official.load_state_dict(model.checkpoint())
    return official.eval()


def test_training_computes_what_the_official_model_does(model: VoiceLM) -> None:
    shuffled(model)
    scripts = [script("ab"), script("babab", speaker=3), script("b")]
    batch = make_batch(scripts, model.outputs.end_token)
    likelihood, _ = model(batch, batch.speech)
    official = folded(model)
    expected: list[Tensor] = []
    for one in scripts:
        speaker = model.speakers[one.speaker][None]
        prefix = official.prefill_input(torch.from_numpy(one.text)[None], speaker, torch.from_numpy(one.speech)[None])
        log_probs = official(prefix, torch.tensor([prefix.shape[1]])).log_softmax(dim=-1)
        target = np.append(one.speech, official.end_token)
        expected.append(log_probs[0, -len(target) :][torch.arange(len(target)), torch.from_numpy(target)])
    torch.testing.assert_close(likelihood, torch.cat(expected), atol=2e-5, rtol=1e-4)


def test_layers_that_join_later_change_nothing_at_first(model: VoiceLM) -> None:
    batch = make_batch([script("ab")], model.outputs.end_token)
    shallow, _ = model(batch, batch.speech, num_layers=NUM_FIRST_LAYERS)
    likelihood, _ = model(batch, batch.speech)
    torch.testing.assert_close(shallow, likelihood)


def test_a_batch_says_which_text_each_prediction_stands_at() -> None:
    batch = make_batch([script("ab")], end_token=12)
    # 0 sos, 1 speaker, 2 ^, 3 a, 4 b, 5 full stop, 6 task, then speech
    assert batch.target.tolist() == [0, 1, 3, 4, 6, 7, 8, 0, 12]
    assert batch.predicting.tolist() == [6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert batch.current.tolist() == [2, 2, 2, 3, 3, 4, 4, 4, 5]
    assert batch.following.tolist() == [3, 3, 3, 4, 4, 5, 5, 5, 5]


def test_text_that_is_not_heard_is_followed_by_what_is() -> None:
    silent = Script(np.array([1, 3, 2, 4]), np.array([0, 3, 6]), np.array([0, 1, 3]), 0, 0)
    batch = make_batch([silent], end_token=12)
    assert batch.following.tolist() == [3, 3, 5, 5]


def test_guided_heads_are_pulled_towards_their_text(model: VoiceLM) -> None:
    batch = make_batch([script("ab"), script("ba")], model.outputs.end_token)
    width = batch.source.shape[1]
    perfect = torch.full((4, 2, width, width), 1e-3)
    for head, target in enumerate((batch.current, batch.following)):
        perfect[head].flatten(0, 1)[batch.predicting, target] = 1.0
    assert guide_loss([perfect], batch) < 1e-5
    _, weights = model(batch, batch.speech)
    assert len(weights) == len(GUIDED_LAYERS)
    assert guide_loss(weights, batch) > 1


def test_glued_utterances_keep_text_speech_and_alignment_together() -> None:
    glued = script("a").followed_by(script("b"))
    assert glued.text.tolist() == [1, 3, 2, 4, 2]
    assert glued.speech.tolist() == [0, 1, 3, 4, 0, 6, 7, 8, 0]
    assert glued.align.tolist() == [0, 0, 1, 1, 2, 3, 3, 3, 4]


def test_batches_hold_every_script_once_within_their_size() -> None:
    scripts = [script("ab" * n) for n in (1, 2, 3, 4, 5, 6)] * 3
    grouped = list(buckets(scripts, 60, np.random.default_rng(0)))
    assert sorted(len(one) for group in grouped for one in group) == sorted(map(len, scripts))
    assert all(len(group) * max(map(len, group)) <= 60 for group in grouped)


def test_utterances_grow_longer_and_are_glued_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.voice.lm_batches.MIN_ALLOWED", 1)
    scripts = [script("ab" * n) for n in (2, 16, 60) for _ in range(20)]
    short, middle, long = sorted({len(one) for one in scripts})
    assert short < 100 < middle < long
    early, later, late, last = (
        {Curriculum(scripts, 12, 400, seed).batch(step).source.shape[1] for seed in range(30)}
        for step in (0, 200, 1000, 5000)
    )
    assert max(early) == short
    assert max(later) == middle
    assert max(late) == long
    assert long < max(last) <= MAX_POSITIONS


def test_some_pairs_say_the_same_twice() -> None:
    scripts = [script("".join(letters)) for letters in product("ab", repeat=5)]
    curriculum = Curriculum(scripts, 12, 400, seed=0)
    glued = [row.tolist() for _ in range(100) for row in curriculum.batch(5000).text if len(row) == 13]
    twice = [text for text in glued if text[1:7] == text[7:13]]
    assert 0.2 < len(twice) / len(glued) < 0.7


def test_noise_changes_its_share_of_the_tokens_and_no_phone() -> None:
    tokens = torch.arange(12).repeat(500)
    noisy = Noise(neighbours(FACTORS), rate=0.5)(tokens, torch.Generator().manual_seed(0))
    assert 0.1 < (noisy != tokens).float().mean() < 0.5
    assert torch.equal(FACTORS[noisy, 0], FACTORS[tokens, 0])


def test_the_end_weighs_more(model: VoiceLM) -> None:
    curriculum = Curriculum([script("ab")], model.outputs.end_token, 100, seed=0)
    losses = Objective(model, curriculum, Noise(neighbours(FACTORS), rate=0.0))(0)
    n = len(script("ab").speech) + 1
    weighted = losses["ce"] + (lm_module.END_WEIGHT - 1) * losses["end"] / n
    torch.testing.assert_close(losses["total"], weighted + lm_module.STRONG_GUIDE * losses["guide"])


def write_corpus(folder: Path) -> None:
    """Random words of two letters, whose tokens are certain."""
    phones = ("sil", "a", "b", "c")
    Units(phones, (False,) * 4, Grid(), {}, FACTORS.numpy()).save(folder)
    write_tokens(folder, SYMBOLS)
    generator = np.random.default_rng(0)
    for split in ("text-00", "held-out"):
        shard = Shard()
        for _ in range(40):
            one = script("".join(generator.choice(["a", "b"], size=generator.integers(1, 6))))
            shard.add(Item(one.text, one.speech, one.align, one.speaker, one.language, "sentence"))
        shard.write(folder / f"{split}.npz")


def test_training_learns_resumes_and_leaves_a_model_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path)
    config = replace(tiny_config(), num_speech_tokens=4096, speaker_size=192)
    monkeypatch.setattr(lm_module, "lm_config", lambda: config)
    monkeypatch.setattr(lm_module, "LEARNING_RATE", 0.02)
    checkpoint = tmp_path / "lm.pt"
    held_out = read_scripts(tmp_path, "held-out")
    untrained = evaluate(lm_module.build_lm(tmp_path), held_out)
    train_lm(tmp_path, checkpoint, num_steps=40)
    train_lm(tmp_path, checkpoint, num_steps=55)
    assert "step 50/55" in capsys.readouterr().out
    trained = evaluate(load_lm(tmp_path, checkpoint), held_out)
    assert trained.cross_entropy < 0.5 * untrained.cross_entropy
    assert trained.accuracy > untrained.accuracy
    official = folded(load_lm(tmp_path, checkpoint))
    assert official.llm_decoder.weight.shape == (4097, 16)

"""The flow's training: where it starts, what it draws, its loss, and a run that is resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from pipeline.bench import renderings
from pipeline.export.checkpoint import load_checkpoint
from pipeline.export.export import write_graphs
from pipeline.model.config import FlowConfig
from pipeline.model.estimator import ConditionalDecoder
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import F0Predictor
from pipeline.runtime.bundle import Bundle, new_bundle
from pipeline.training.voice import flow as training
from pipeline.training.voice.dataset import Dataset, Item, Shard
from pipeline.training.voice.flow import evaluate
from pipeline.training.voice.flow_batches import FRAMES_PER_TOKEN, Batch, Segments, draw
from pipeline.training.voice.flow_distance import solver_distances
from pipeline.training.voice.flow_init import start_straight
from pipeline.training.voice.flow_model import VoiceFlow, flow_config
from pipeline.training.voice.speakers import speaker_vectors
from pipeline.training.voice.tables import FactoredTable
from pipeline.training.voice.units import SILENCE, Grid, Units

REFERENCE = Path(__file__).parents[3] / "golden" / "reference-small"
BINS = 8
MELODY = torch.linspace(-6, 6, 90).where(torch.arange(90) % 3 > 0, torch.nan)


def tiny_config() -> FlowConfig:
    config = flow_config()
    return replace(
        config,
        embedding_size=16,
        mel_bins=BINS,
        encoder=replace(config.encoder, input_size=16, hidden_size=16, num_heads=2, ff_size=32, num_layers=1),
        regulator=replace(config.regulator, channels=BINS, out_channels=BINS, num_convs=1),
        estimator=replace(
            config.estimator,
            in_channels=4 * BINS,
            out_channels=BINS,
            channels=(48, 16),
            num_mid_blocks=1,
            num_heads=2,
            head_dim=8,
        ),
    )


def item(num_tokens: int, seed: int) -> Item:
    """Every bin of the mel says where the frame lies, in tokens from the first token's centre."""
    num_frames = num_tokens * 882 // 256
    positions = (np.arange(num_frames) + 0.5) / FRAMES_PER_TOKEN - 0.5
    tokens = np.arange(num_tokens)
    mel = np.repeat(positions[:, None], BINS, axis=1).astype(np.float32)
    return Item(tokens, tokens, tokens, seed % 7, 0, "a", mel, positions.astype(np.float32), np.zeros(882, np.int16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    for name in ("train-00", "held-out-00"):
        shard = Shard()
        for seed, length in enumerate((5, 12, 30, 31, 40, 90)):
            shard.add(item(length, seed))
        shard.write(path / f"{name}.npz")
    table = np.stack([np.arange(90) // 6, np.arange(90) % 3, np.arange(90) % 6], axis=1)
    Units((SILENCE, *"abcdefghijklmn"), (False, *[True] * 14), Grid(), {}, table).save(path)
    return path


@pytest.fixture
def segments(folder: Path) -> Segments:
    return Segments(Dataset.open(folder, "train"), speaker_vectors(), seed=0)


@pytest.fixture
def model() -> VoiceFlow:
    torch.manual_seed(0)
    factors = torch.stack([torch.arange(4096) // 50, torch.arange(4096) % 5, torch.arange(4096) % 3], dim=1)
    return VoiceFlow(
        tiny_config(), FactoredTable(factors, 16, 0.5), torch.full((BINS,), -6.0), torch.ones(BINS), MELODY
    )


def batch_of(num_segments: int, num_tokens: int) -> Batch:
    random = torch.Generator().manual_seed(1)
    num_frames = int((num_tokens - 1) * FRAMES_PER_TOKEN)
    return Batch(
        torch.randint(0, 4096, (num_segments, num_tokens), generator=random),
        torch.linspace(0, num_tokens - 1, num_frames).repeat(num_segments, 1),
        torch.randn(num_segments, BINS, num_frames, generator=random) - 6,
        torch.from_numpy(speaker_vectors()[:num_segments]),
        torch.full((num_segments, num_frames), 200.0),
    )


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_the_start_is_the_straight_line(t: float) -> None:
    torch.manual_seed(0)
    estimator = ConditionalDecoder(tiny_config().estimator)
    mean, std = torch.linspace(-8, -4, BINS), torch.linspace(2, 3, BINS)
    start_straight(estimator, mean, std)
    mu = torch.randn(2, BINS, 60)
    x = (1 - t) * torch.randn(2, BINS, 60) + t * (mean[:, None] + std[:, None] * mu)
    zeros = torch.zeros_like(x)
    with torch.inference_mode():
        velocity = estimator(x, torch.ones(2, 1, 60), mu, torch.full((2,), t), torch.zeros(2, BINS), zeros)
    straight = (1 + t) * mean[:, None] + 1.36 * std[:, None] * mu - x
    assert float((velocity * straight).sum() / straight.square().sum()) == pytest.approx(1.0, abs=0.05)
    assert (velocity - straight).std() < 0.6  # what the softened branches add


def test_a_narrow_estimator_cannot_start_straight() -> None:
    config = replace(tiny_config().estimator, channels=(16, 16))
    with pytest.raises(ValueError, match="16 channels"):
        start_straight(ConditionalDecoder(config), torch.zeros(BINS), torch.ones(BINS))


@pytest.mark.parametrize("lengths", [(8,), (24, 60)])
def test_segments_know_where_their_frames_lie(segments: Segments, lengths: tuple[int, ...]) -> None:
    for _ in range(4):
        batch = segments.batch(400, lengths)
        num_tokens = batch.tokens.shape[1]
        assert num_tokens <= max(lengths)
        assert batch.mel.shape == (len(batch.tokens), BINS, int((num_tokens - 1) * FRAMES_PER_TOKEN))
        where = (batch.mel[:, 0] - batch.tokens[:, :1]).clamp(0, num_tokens - 1)
        torch.testing.assert_close(batch.positions, where, atol=4e-2, rtol=0)  # of float16


def test_a_batch_has_about_the_frames_that_were_asked_for(segments: Segments) -> None:
    assert segments.batch(2000, (24,)).mel[:, 0].numel() == pytest.approx(2000, rel=0.1)


def test_times_are_spread_over_the_batch_and_bent() -> None:
    draws = draw(batch_of(7, 4), drop=0.0)
    u = torch.arccos(1 - draws.t).sort().values * 2 / np.pi
    assert ((u * 7).long() == torch.arange(7)).all()
    assert draws.is_guided.all()


def test_some_segments_know_their_beginning() -> None:
    batch = batch_of(7, 30)
    known = torch.cat([draw(batch, 0.0, torch.Generator().manual_seed(seed)).is_known for seed in range(30)])
    assert 0.1 < known.any(dim=1).float().mean() < 0.5
    assert known.float().mean(dim=1).max() <= 0.3
    assert (known.long().diff(dim=1) <= 0).all()


def test_what_is_not_guided_sees_no_condition(model: VoiceFlow) -> None:
    batch = batch_of(3, 6)
    other = replace(batch, tokens=batch.tokens.flip(1), speaker=batch.speaker.flip(0))

    def losses(drop: float) -> list[float]:
        generator = torch.Generator().manual_seed(0)
        draws = draw(batch, drop, generator)
        return [model.matching_loss(each, model.mu(each), draws).item() for each in (batch, other)]

    hidden, seen = losses(1.0), losses(0.0)
    assert hidden[0] == hidden[1]
    assert seen[0] != seen[1]


def test_the_loss_is_that_of_conditional_flow_matching(model: VoiceFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(5, 6)
    draws, mu = draw(batch, 0.0), model.mu(batch).detach()

    def velocity(x: torch.Tensor, mu: torch.Tensor, t: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return (batch.mel - x) / (1 - t[:, None, None]) + 0.5  # off by 0.5 from where x has to go

    monkeypatch.setattr(model.flow, "velocity", velocity)
    assert model.matching_loss(batch, mu, draws).item() == pytest.approx(0.25, rel=1e-3)


class _LoudnessPredictor(torch.nn.Module):
    """Stands in for F0: 200 Hz more for each unit of the lowest bin."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return 200 + 200 * mel[:, 0]


def test_the_melody_is_read_where_the_flow_is_going(model: VoiceFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a velocity that is right the mel is the teacher's whatever the time, and then F0 decides alone."""
    batch = batch_of(4, 12)
    batch.mel[:, 0] = 0.1
    draws = replace(draw(batch, drop=0.0), t=torch.tensor([0.0, 0.3, 0.9, 1.0]))
    target = batch.mel - (1 - model.flow.config.sigma_min) * draws.noise
    monkeypatch.setattr(model.flow, "velocity", lambda *_: target)
    guess = model.guess(batch, model.mu(batch), draws)
    torch.testing.assert_close(guess.mel, batch.mel, atol=1e-4, rtol=0)
    predictor = cast(F0Predictor, _LoudnessPredictor())
    assert float(guess.melody_loss(predictor, batch.f0).detach()) == pytest.approx(0.1, abs=1e-3)
    half_voiced = batch.f0.clone()
    half_voiced[:, ::2] = 0
    assert float(guess.melody_loss(predictor, half_voiced).detach()) == pytest.approx(0.1, abs=1e-3)


def test_the_melody_counts_only_with_its_condition(model: VoiceFlow) -> None:
    batch = batch_of(2, 12)
    guess = model.guess(batch, model.mu(batch), draw(batch, drop=1.0))
    assert guess.melody_loss(cast(F0Predictor, _LoudnessPredictor()), batch.f0).detach() == 0


def test_the_folded_checkpoint_encodes_alike(model: VoiceFlow) -> None:
    flow = MaskedDiffWithXvec(tiny_config())
    flow.load_state_dict(model.checkpoint())
    batch = batch_of(2, 20)
    num_frames = flow.config.num_mel_frames(20)
    whole = replace(batch, positions=((torch.arange(num_frames) + 0.5) * 20 / num_frames - 0.5).clamp(0).repeat(2, 1))
    torch.testing.assert_close(flow.mu(batch.tokens), model.mu(whole), atol=1e-4, rtol=1e-3)


def test_the_flow_makes_a_frame_for_each_of_the_teachers(model: VoiceFlow) -> None:
    made = training.flow_mel(model, item(30, 0), seed=5)
    assert made.shape == (30 * 882 // 256, BINS)
    assert np.array_equal(made, training.flow_mel(model, item(30, 0), seed=5))
    assert not np.array_equal(made, training.flow_mel(model, item(30, 0), seed=6))


def test_training_learns_stops_and_resumes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("ENCODER_STEPS", 3), ("FRAMES_PER_STEP", 150), ("ENCODER_FRAMES_PER_STEP", 150)):
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training, "flow_config", tiny_config)
    checkpoint = tmp_path / "flow.pt"
    training.train_flow(folder, checkpoint, num_steps=2)
    before = training.load_flow(folder, checkpoint)
    training.train_flow(folder, checkpoint, num_steps=30)
    after = training.load_flow(folder, checkpoint)
    assert torch.load(checkpoint, weights_only=True)["step"] == 30
    judged = [Segments(Dataset.open(folder, "held-out"), speaker_vectors(), seed=0).batch(200)]
    assert evaluate(after, judged).matching < evaluate(before, judged).matching
    assert capsys.readouterr().out.count("held-out matching") == 2


def test_solvers_are_measured_against_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings, "REFERENCE_STEPS", 20)
    with new_bundle(tmp_path / "small") as path:
        write_graphs(load_checkpoint(REFERENCE), path, ["fp32", "int8"], "small", lambda line: None)
    bundle = Bundle.open(tmp_path / "small")
    random = np.random.default_rng(0)
    tokens = random.integers(0, 64, 12)
    mel = random.standard_normal((41, 80)).astype(np.float32)
    voices = list(bundle.voices.values())
    rows = {row.name: row for row in solver_distances(bundle, voices, [Item(tokens, tokens, tokens, 0, 0, "a", mel)])}
    assert list(rows) == ["reference", "fp32 exact", "fp32 fast", "int8 exact", "int8 fast"]
    assert rows["reference"].to_reference == 0
    assert rows["fp32 exact"].to_reference > 0
    assert rows["int8 exact"].to_reference == pytest.approx(rows["fp32 exact"].to_reference, abs=0.05)

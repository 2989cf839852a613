"""The flow in the form that is trained: a factored token table, a standardised estimate, and its two losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import EstimatorConfig, FlowConfig, RegulatorConfig
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import F0Predictor
from pipeline.training.voice.encoders import conformer
from pipeline.training.voice.flow_batches import Batch, Draws
from pipeline.training.voice.flow_init import start_straight
from pipeline.training.voice.tables import FactoredTable

MEL_BINS = 80
SEMITONES_PER_OCTAVE = 12
MAX_MELODY_ERROR = 0.5  # a frame taken for unvoiced is no matter of melody


def flow_config(num_tokens: int = 4096) -> FlowConfig:
    """Dimensions of the bundled voice's flow: 7.0 million parameters, 2.8 million products for a frame."""
    encoder = conformer(input_size=128, num_layers=2)
    estimator = EstimatorConfig(
        in_channels=4 * MEL_BINS,
        out_channels=MEL_BINS,
        channels=(192, 128),
        num_blocks=1,
        num_mid_blocks=2,
        num_heads=4,
        head_dim=32,
        dropout=0.0,
    )
    return FlowConfig(
        num_tokens=num_tokens,
        token_rate=25.0,
        embedding_size=encoder.input_size,
        mel_bins=MEL_BINS,
        speaker_size=192,
        encoder=encoder,
        regulator=RegulatorConfig(MEL_BINS, MEL_BINS, num_convs=4, num_groups=1),
        estimator=estimator,
        schedule="cosine",
        guidance=0.7,
        training_guidance_drop=0.2,
        sigma_min=1e-6,
    )


@dataclass(frozen=True, slots=True)
class Guess:
    """What the flow says of a batch on its way from noise."""

    matching_loss: Tensor
    mel: Tensor  # f32 [B, mel_bins, T], where a straight line from here would end
    trust: Tensor  # f32 [B] in [0, 1]: near the end it is what will be heard; 0 without condition

    def melody_loss(self, predictor: F0Predictor, f0: Tensor) -> Tensor:
        """How far the F0 that the vocoder reads from these mels is from the teacher's, f32 [B, T] Hz, as a share of it.

        The velocity's square error hardly feels a few Hz, which are a tone to the ear.
        """
        weight = (f0 > 0) * self.trust[:, None]
        error = (predictor(self.mel) - f0).abs() / f0.clamp_min(1.0)
        total: Tensor = (error.clamp_max(MAX_MELODY_ERROR) * weight).sum() / weight.sum().clamp_min(1.0)
        return total


class VoiceFlow(nn.Module):
    """The flow with its token table as a sum of factors, and the statistics of the mel that it was started with."""

    mel_mean: Tensor  # f32 [mel_bins]
    mel_std: Tensor  # f32 [mel_bins]
    melody: Tensor  # f32 [num_tokens], semitones above the speaker's base; NaN where unvoiced

    def __init__(
        self, config: FlowConfig, table: FactoredTable, mel_mean: Tensor, mel_std: Tensor, melody: Tensor
    ) -> None:
        super().__init__()
        self.flow = MaskedDiffWithXvec(config)
        self.flow.input_embedding.requires_grad_(False)
        self.table = table
        self.register_buffer("mel_mean", mel_mean)
        self.register_buffer("mel_std", mel_std)
        nn.init.normal_(self.flow.spk_embed_affine_layer.weight)
        # times sqrt(hidden size), a gain of 1 would drown the layers' own results
        nn.init.constant_(cast(nn.LayerNorm, self.flow.encoder.embed.out[1]).weight, 0.1)
        start_straight(self.flow.estimator, mel_mean, mel_std)
        self.register_buffer("melody", melody, persistent=False)
        self.pitch = nn.Conv1d(config.mel_bins, 1, 1)

    def mu(self, batch: Batch) -> Tensor:
        """The standardised mel estimate: f32 [B, mel_bins, T]."""
        flow = self.flow
        lengths = torch.full((len(batch.tokens),), batch.tokens.shape[1])
        encoded = flow.encoder_proj(flow.encoder(self.table(batch.tokens), lengths)).transpose(1, 2)
        lower = batch.positions.long()
        upper = (lower + 1).clamp_max(encoded.shape[2] - 1)
        stretched = torch.lerp(_at(encoded, lower), _at(encoded, upper), (batch.positions - lower)[:, None])
        mu: Tensor = flow.length_regulator.model(stretched)
        return mu

    def mu_loss(self, mu: Tensor, mel: Tensor) -> Tensor:
        return F.l1_loss(mu, (mel - self.mel_mean[:, None]) / self.mel_std[:, None])

    def pitch_loss(self, mu: Tensor, batch: Batch) -> Tensor:
        """How badly the melody can be read from mu, in octaves.

        The mean mel of all speakers hardly shows the melody, so nothing else would bring it to the estimator.
        """
        semitones = self.melody[batch.tokens.gather(1, batch.positions.round().long())]
        is_voiced = ~semitones.isnan()
        error = self.pitch(mu)[:, 0] - semitones.nan_to_num() / SEMITONES_PER_OCTAVE
        total: Tensor = (error.abs() * is_voiced).sum() / is_voiced.sum().clamp_min(1)
        return total

    def matching_loss(self, batch: Batch, mu: Tensor, draws: Draws) -> Tensor:
        """Mean square of the velocity's error at one time for each segment."""
        return self.guess(batch, mu, draws).matching_loss

    def guess(self, batch: Batch, mu: Tensor, draws: Draws) -> Guess:
        """At one time for each segment."""
        sigma, mel, t = self.flow.config.sigma_min, batch.mel, draws.t[:, None, None]
        x = (1 - (1 - sigma) * t) * draws.noise + t * mel
        target = mel - (1 - sigma) * draws.noise
        keep = draws.is_guided.float()
        known = mel * draws.is_known[:, None] * keep[:, None, None]
        speaker = self.flow.speaker(batch.speaker) * keep[:, None]
        velocity = self.flow.velocity(x, mu * keep[:, None, None], draws.t, speaker, known)
        return Guess(F.mse_loss(velocity, target), x + (1 - t) * velocity, draws.t * keep)

    def checkpoint(self) -> dict[str, Tensor]:
        """What flow.pt holds: the state under the official names, the table folded into one row for each token."""
        state = {name: value.detach().clone() for name, value in self.flow.state_dict().items()}
        state["input_embedding.weight"] = self.table.weight().detach().clone()
        return state

    def assign(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what flow.pt holds. The layer that reads the melody is not in it: see `fit_pitch`."""
        self.flow.load_state_dict(state)
        self.table.assign(state["input_embedding.weight"])

    @torch.no_grad()
    def fit_pitch(self, batches: Sequence[Batch]) -> None:
        """The layer that reads the melody from mu, by least squares."""
        pairs = [self._melody_of(self.mu(batch), batch) for batch in batches]
        mu, octaves = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        solution = torch.linalg.lstsq(F.pad(mu, (0, 1), value=1.0), octaves[:, None]).solution[:, 0]
        self.pitch.weight.copy_(solution[None, :-1, None])
        cast(Tensor, self.pitch.bias).copy_(solution[-1:])

    def _melody_of(self, mu: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """mu f32 [n, mel_bins] of all voiced frames, and the octaves that their tokens ask for, f32 [n]."""
        semitones = self.melody[batch.tokens.gather(1, batch.positions.round().long())]
        is_voiced = ~semitones.isnan()
        return mu.transpose(1, 2)[is_voiced], semitones[is_voiced] / SEMITONES_PER_OCTAVE


def _at(x: Tensor, index: Tensor) -> Tensor:
    """x f32 [B, C, N], index i64 [B, T] -> f32 [B, C, T]."""
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))

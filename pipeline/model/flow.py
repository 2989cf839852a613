"""From speech tokens to a mel spectrogram: encoder, length regulator, and an ODE solved along the flow.

Conditional flow matching as in Matcha-TTS (arXiv 2309.03199) with classifier-free guidance as in Voicebox
(arXiv 2306.15687).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import FlowConfig, RegulatorConfig
from pipeline.model.encoder import Encoder, padding_mask
from pipeline.model.estimator import ConditionalDecoder

EDGE_TOKENS = 20  # tokens at each end that are interpolated apart, so that streamed chunks meet at whole frames


class InterpolateRegulator(nn.Module):
    """Stretches encoder states to mel frames and smooths them with convolutions."""

    def __init__(self, config: RegulatorConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(config.num_convs):
            layers += [
                nn.Conv1d(config.channels, config.channels, 3, padding=1),
                nn.GroupNorm(config.num_groups, config.channels),
                nn.Mish(),
            ]
        self.model = nn.Sequential(*layers, nn.Conv1d(config.channels, config.out_channels, 1))

    def forward(self, x: Tensor, mel_lengths: Tensor) -> Tensor:
        """Training form, stretched as one piece: x f32 [B, C, N], mel_lengths i64 [B] -> f32 [B, out, T]."""
        size = int(mel_lengths.max())
        y: Tensor = self.model(F.interpolate(x, size=size, mode="linear"))
        return y * padding_mask(mel_lengths, size)[:, None]


def stretch(x: Tensor, num_frames: int, num_edge_frames: int) -> Tensor:
    """x f32 [B, C, N] -> f32 [B, C, num_frames]; above 40 tokens the first and last 20 are stretched apart."""
    if x.shape[2] <= 2 * EDGE_TOKENS:
        return F.interpolate(x, size=num_frames, mode="linear")
    pieces = x.tensor_split([EDGE_TOKENS, x.shape[2] - EDGE_TOKENS], dim=2)
    sizes = (num_edge_frames, num_frames - 2 * num_edge_frames, num_edge_frames)
    return torch.cat(
        [F.interpolate(piece, size=size, mode="linear") for piece, size in zip(pieces, sizes, strict=True)], dim=2
    )


class ConditionalCFM(nn.Module):
    """Holds the estimator under its official name, `decoder.estimator`."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.estimator = ConditionalDecoder(config.estimator)


class MaskedDiffWithXvec(nn.Module):
    """Parameter names are those of the official flow.pt."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        self.input_embedding = nn.Embedding(config.num_tokens, config.embedding_size)
        self.spk_embed_affine_layer = nn.Linear(config.speaker_size, config.mel_bins)
        self.encoder = Encoder(config.encoder)
        self.encoder_proj = nn.Linear(config.encoder.hidden_size, config.mel_bins)
        self.decoder = ConditionalCFM(config)
        self.length_regulator = InterpolateRegulator(config.regulator)

    @property
    def estimator(self) -> ConditionalDecoder:
        return self.decoder.estimator

    def encode(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens i64 [B, N], lengths i64 [B] -> f32 [B, mel, N]."""
        x = self.input_embedding(tokens) * padding_mask(lengths, tokens.shape[1])[..., None]
        encoded: Tensor = self.encoder_proj(self.encoder(x, lengths)).transpose(1, 2)
        return encoded

    def mu(self, tokens: Tensor, prompt_tokens: Tensor | None = None, num_prompt_frames: int = 0) -> Tensor:
        """Inference form of the length regulator: f32 [B, mel, num_prompt_frames + frames of `tokens`].

        tokens i64 [B, N]; prompt_tokens i64 [B, P] are encoded in front and stretched apart, to the frames of the
        prompt's mel spectrogram.
        """
        num_prompt = 0 if prompt_tokens is None else prompt_tokens.shape[1]
        joined = tokens if prompt_tokens is None else torch.cat([prompt_tokens, tokens], dim=1)
        encoded = self.encode(joined, torch.full((len(joined),), joined.shape[1], device=joined.device))
        num_frames = self.config.num_mel_frames(tokens.shape[1])
        x = stretch(encoded[..., num_prompt:], num_frames, self.config.num_mel_frames(EDGE_TOKENS))
        if num_prompt:
            prompt = F.interpolate(encoded[..., :num_prompt], size=num_prompt_frames, mode="linear")
            x = torch.cat([prompt, x], dim=2)
        mu: Tensor = self.length_regulator.model(x)
        return mu

    def speaker(self, embedding: Tensor) -> Tensor:
        """f32 [B, speaker_size] as stored -> f32 [B, mel], the estimator's speaker condition."""
        projected: Tensor = self.spk_embed_affine_layer(F.normalize(embedding, dim=1))
        return projected

    def condition(self, mu: Tensor, prompt_mel: Tensor | None = None) -> Tensor:
        """The known mel frames: prompt_mel f32 [B, T, mel] at the start, zeros after it; f32 like mu."""
        cond = torch.zeros_like(mu)
        if prompt_mel is not None:
            cond[..., : prompt_mel.shape[1]] = prompt_mel.transpose(1, 2)
        return cond

    def times(self, num_steps: int) -> Tensor:
        """f32 [num_steps + 1] from 0 to 1; the cosine schedule takes small steps near the noise."""
        times = torch.linspace(0, 1, num_steps + 1)
        return 1 - torch.cos(times * 0.5 * math.pi) if self.config.schedule == "cosine" else times

    def velocity(self, x: Tensor, mu: Tensor, t: float | Tensor, speaker: Tensor, cond: Tensor) -> Tensor:
        """One evaluation without guidance on whole sequences: f32 [B, mel, T]."""
        mask = torch.ones_like(x[:, :1])
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(len(x))
        velocity: Tensor = self.estimator(x, mask, mu, t, speaker, cond)
        return velocity

    def guided_velocity(self, x: Tensor, mu: Tensor, t: Tensor, speaker: Tensor, cond: Tensor) -> Tensor:
        """(1 + g) * conditional - g * unconditional, the latter with mu, speaker and condition set to zero."""
        guidance = self.config.guidance
        if guidance == 0:
            return self.velocity(x, mu, t, speaker, cond)
        mu, speaker, cond = (torch.cat([value, torch.zeros_like(value)]) for value in (mu, speaker, cond))
        conditional, unconditional = self.velocity(x.repeat(2, 1, 1), mu, t, speaker, cond).chunk(2)
        return (1.0 + guidance) * conditional - guidance * unconditional

    @torch.inference_mode()
    def solve(self, z: Tensor, mu: Tensor, speaker: Tensor, cond: Tensor, num_steps: int = 10) -> Tensor:
        """Euler's method from noise z f32 [B, mel, T] at t = 0 to a mel spectrogram at t = 1, prompt part included."""
        times = self.times(num_steps).to(z)
        x, t = z, times[0]
        for end in times[1:]:
            dt = end - t
            x = x + dt * self.guided_velocity(x, mu, t, speaker, cond)
            t = t + dt
        return x

"""The HiFT vocoder (HiFTNet, arXiv 2309.09493): F0 predictor, harmonic source, and an inverse-STFT generator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from pipeline.model.config import HiFTConfig

MAX_MAGNITUDE = 100.0
NUM_F0_CONVS = 5
FINAL_LRELU_SLOPE = 0.01  # the last activation has torch's default, not the configured slope
SNAKE_EPS = 1e-9


def _conv(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    padding = (kernel_size - 1) * dilation // 2
    conv: nn.Module = weight_norm(nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, padding=padding))
    return conv


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha, per channel (arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        return x + (1.0 / (alpha + SNAKE_EPS)) * torch.sin(x * alpha) ** 2


class ResBlock(nn.Module):
    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, channels, kernel_size, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, channels, kernel_size) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for activation1, conv1, activation2, conv2 in layers:
            x = x + conv2(activation2(conv1(activation1(x))))
        return x


class F0Predictor(nn.Module):
    def __init__(self, mel_bins: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(NUM_F0_CONVS):
            layers += [_conv(channels if index else mel_bins, channels, 3), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """mel f32 [B, mel, T] -> F0 in Hz, f32 [B, T]."""
        return torch.abs(self.classifier(self.condnet(mel).transpose(1, 2))[..., 0])


class HarmonicSource(nn.Module):
    """Sines at F0 and its multiples where voiced, noise everywhere, merged into one signal (NSF, arXiv 1904.12088)."""

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        self.l_linear = nn.Linear(config.num_harmonics, 1)

    def forward(self, f0: Tensor, phases: Tensor, noise: Tensor) -> Tensor:
        """f0 Hz f32 [B, L] per sample, phases f32 [B, H] radians, noise f32 [B, H, L] normal -> f32 [B, 1, L]."""
        config = self.config
        with torch.no_grad():
            harmonic = torch.arange(1, config.num_harmonics + 1, device=f0.device)[:, None]
            # float64: after minutes of audio the sum of cycles outgrows the precision of float32
            cycles = torch.cumsum(f0.double() / config.sample_rate, dim=-1)[:, None] * harmonic % 1
            sines = config.sine_amplitude * torch.sin(2 * math.pi * cycles.float() + phases[..., None])
            voiced = (f0 > config.voiced_threshold_hz).float()[:, None]
            noise_level = voiced * config.noise_std + (1 - voiced) * config.sine_amplitude / 3
            waves = sines * voiced + noise_level * noise
        return torch.tanh(self.l_linear(waves.transpose(1, 2))).transpose(1, 2)


class HiFTGenerator(nn.Module):
    """Parameter names are those of the official hift.pt."""

    window: Tensor

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        num_bins = config.n_fft + 2  # real and imaginary halves of n_fft / 2 + 1 bins
        widths = [config.base_channels >> index for index in range(len(config.upsample_rates) + 1)]
        self.m_source = HarmonicSource(config)
        self.conv_pre = _conv(config.mel_bins, config.base_channels, 7)
        self.ups = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(into, out, kernel, rate, padding=(kernel - rate) // 2))
            for (into, out), kernel, rate in zip(
                pairwise(widths), config.upsample_kernel_sizes, config.upsample_rates, strict=True
            )
        )
        self.source_downs = nn.ModuleList(
            _source_conv(num_bins, width, math.prod(config.upsample_rates[index + 1 :]))
            for index, width in enumerate(widths[1:])
        )
        self.source_resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations)
            for width, kernel, dilations in zip(
                widths[1:], config.source_resblock_kernel_sizes, config.source_resblock_dilations, strict=True
            )
        )
        self.resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilations, strict=True)
        )
        self.conv_post = _conv(widths[-1], num_bins, 7)
        self.f0_predictor = F0Predictor(config.mel_bins, config.f0_channels)
        window = torch.hann_window(config.n_fft, dtype=torch.float64).float()
        self.register_buffer("window", window, persistent=False)

    def source(self, f0: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The excitation of F0 in Hz, f32 [B, T] per mel frame -> f32 [B, 1, T * samples_per_frame]."""
        samples = f0.repeat_interleave(self.config.samples_per_frame, dim=1)
        shape = (len(f0), self.config.num_harmonics)
        phases = (torch.rand(shape, generator=generator, device=f0.device) * 2 - 1) * math.pi
        phases[:, 0] = 0
        noise = torch.randn((*shape, samples.shape[1]), generator=generator, device=f0.device)
        source: Tensor = self.m_source(samples, phases, noise)
        return source

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """mel f32 [B, mel, T], source f32 [B, 1, T * samples_per_frame] -> f32 [B, T * samples_per_frame]."""
        spectrum = self._stft(source[:, 0])
        num_kernels = len(self.config.resblock_kernel_sizes)
        x = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, self.config.lrelu_slope))
            if stage == len(self.ups) - 1:
                x = F.pad(x, (1, 0), mode="reflect")  # the STFT has one frame more than its hops
            x = x + self.source_resblocks[stage](self.source_downs[stage](spectrum))
            blocks = self.resblocks[stage * num_kernels : (stage + 1) * num_kernels]
            x = reduce(torch.add, [block(x) for block in blocks]) / num_kernels
        x = self.conv_post(F.leaky_relu(x, FINAL_LRELU_SLOPE))
        magnitude, phase = x.chunk(2, dim=1)
        return self._inverse_stft(magnitude.exp(), phase.sin()).clamp(-self.config.audio_limit, self.config.audio_limit)

    def forward(self, mel: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """mel f32 [B, mel, T] -> audio f32 [B, T * samples_per_frame] in [-1, 1], F0 in Hz f32 [B, T]."""
        f0 = self.f0_predictor(mel)
        return self.decode(mel, self.source(f0, generator)), f0

    def _stft(self, signal: Tensor) -> Tensor:
        config = self.config
        spectrum = torch.stft(signal, config.n_fft, config.stft_hop, window=self.window, return_complex=True)
        return torch.cat([spectrum.real, spectrum.imag], dim=1)

    def _inverse_stft(self, magnitude: Tensor, phase: Tensor) -> Tensor:
        config = self.config
        spectrum = torch.polar(magnitude.clamp(max=MAX_MAGNITUDE), phase)
        return torch.istft(spectrum, config.n_fft, config.stft_hop, window=self.window)


def _source_conv(in_channels: int, out_channels: int, rate: int) -> nn.Conv1d:
    """Brings the source's STFT frames down to the rate of one upsampling stage."""
    if rate == 1:
        return nn.Conv1d(in_channels, out_channels, 1)
    return nn.Conv1d(in_channels, out_channels, 2 * rate, stride=rate, padding=rate // 2)

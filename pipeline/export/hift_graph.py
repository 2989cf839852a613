"""The graphs of HiFT (arXiv 2309.09493): the F0 predictor, and the vocoder from mel and source signal to the wave.

Convolutions are 2-D over a dummy height, [B, C, 1, T], because ONNX Runtime blocks channels in that form only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import State
from pipeline.export.graph import GraphBuilder
from pipeline.export.kept_frames import KeptFrames
from pipeline.export.receptive_field import StageSpan, stage_spans
from pipeline.model.config import HiFTConfig
from pipeline.runtime.bundle import GraphName
from pipeline.types import F32, F64

FINAL_SLOPE = 0.01  # the leaky ReLU in front of conv_post has torch's default slope
MAX_MAGNITUDE = 100.0  # of one bin of the inverse STFT
GAIN, DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"


def build_hift_graphs(state: State, config: HiFTConfig) -> dict[GraphName, ModelProto]:
    """Graphs by name, from hift.pt's arrays by their official names.

    f0_predictor: mel f32 [B, T, mel_bins] -> f0 f32 [B, T], Hz.
    vocoder: mel f32 [B, T, mel_bins], source f32 [B, T * hop], context i64 [2] -> wave f32 [B, N * hop] in [-1, 1].
    Of the T frames, context[0] at the start and context[1] at the end are context only: N others get samples.
    """
    weights = fold_weight_norm(state)
    return {"f0_predictor": _f0_predictor(weights), "vocoder": Vocoder(weights, config).build()}


def fold_weight_norm(state: State) -> dict[str, F32]:
    """Every `weight = g * v / |v|` as one array."""
    folded = {name: np.asarray(array, np.float32) for name, array in state.items()}
    for name in [name for name in folded if name.endswith(GAIN)]:
        stem = name.removesuffix(GAIN)
        g, v = folded.pop(name), folded.pop(stem + DIRECTION).astype(np.float64)
        norm = np.sqrt((v * v).sum(axis=tuple(range(1, v.ndim)), keepdims=True))
        folded[f"{stem}.weight"] = (g * v / norm).astype(np.float32)
    return folded


def _f0_predictor(weights: Mapping[str, F32]) -> ModelProto:
    net = _ConvNet("f0_predictor", weights)
    x = net.channel_first(
        net.graph.input("mel", TensorProto.FLOAT, ["B", "T", net.in_channels("f0_predictor.condnet.0")])
    )
    for name in convolutions(weights, "f0_predictor.condnet"):
        x = net.graph.op("Elu", net.conv(x, name))
    weight = weights["f0_predictor.classifier.weight"][:, :, None]
    f0 = net.conv_with(x, "f0_predictor.classifier", weight, weights["f0_predictor.classifier.bias"])
    f0 = net.graph.op("Abs", net.graph.op("Squeeze", f0, net.graph.const([1, 2], np.int64)))
    net.graph.output("f0", f0, TensorProto.FLOAT, ["B", "T"])
    return net.graph.model()


def convolutions(weights: Mapping[str, F32], prefix: str) -> list[str]:
    """Names of the convolutions `prefix.N`, in order."""
    indices = {int(name[len(prefix) + 1 :].split(".")[0]) for name in weights if name.startswith(f"{prefix}.")}
    return [f"{prefix}.{index}" for index in sorted(indices)]


class _ConvNet:
    """1-D convolutions written as 2-D ones over values [B, C, 1, T]."""

    def __init__(self, name: str, weights: Mapping[str, F32]) -> None:
        self.graph = GraphBuilder(name)
        self.weights = weights

    def in_channels(self, name: str) -> int:
        return int(self.weights[f"{name}.weight"].shape[1])

    def channel_first(self, x: str) -> str:
        """[B, T, C] -> [B, C, 1, T]."""
        transposed = self.graph.op("Transpose", x, perm=[0, 2, 1])
        value: str = self.graph.op("Unsqueeze", transposed, self.graph.const([2], np.int64))
        return value

    def conv(self, x: str, name: str, *, stride: int = 1, dilation: int = 1, padding: int | None = None) -> str:
        """`padding` None keeps the length."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.conv_with(x, name, weight, bias, stride=stride, dilation=dilation, padding=padding)

    def conv_with(
        self,
        x: str,
        name: str,
        weight: F32,
        bias: F32 | None,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int | None = None,
    ) -> str:
        kernel = weight.shape[2]
        pad = (kernel - 1) * dilation // 2 if padding is None else padding
        inputs = [x, self.graph.weight(f"{name}.kernel", weight[:, :, None])]
        if bias is not None:
            inputs.append(self.graph.weight(f"{name}.bias", bias))
        value: str = self.graph.op(
            "Conv",
            *inputs,
            kernel_shape=[1, kernel],
            strides=[1, stride],
            dilations=[1, dilation],
            pads=[0, pad, 0, pad],
        )
        return value

    def conv_transpose(self, x: str, name: str, weight: F32, bias: F32 | None, *, stride: int, padding: int) -> str:
        inputs = [x, self.graph.weight(f"{name}.kernel", weight[:, :, None])]
        if bias is not None:
            inputs.append(self.graph.weight(f"{name}.bias", bias))
        value: str = self.graph.op(
            "ConvTranspose",
            *inputs,
            kernel_shape=[1, weight.shape[2]],
            strides=[1, stride],
            pads=[0, padding, 0, padding],
        )
        return value

    def leaky_relu(self, x: str, slope: float) -> str:
        value: str = self.graph.op("LeakyRelu", x, alpha=slope)
        return value

    def reflect(self, x: str, left: int, right: int) -> str:
        pads = self.graph.const([0, 0, 0, left, 0, 0, 0, right], np.int64)
        value: str = self.graph.op("Pad", x, pads, mode="reflect")
        return value


class Vocoder(_ConvNet):
    """The whole vocoder but its F0 predictor."""

    batch: int | str = "B"

    def __init__(self, weights: Mapping[str, F32], config: HiFTConfig) -> None:
        super().__init__("vocoder", weights)
        self.config = config
        self.n_fft = config.n_fft
        self.basis = fourier_basis(config.n_fft)  # f64 [n_fft // 2 + 1, n_fft], complex
        self.window = hann_window(config.n_fft)

    def build(self) -> ModelProto:
        config, graph = self.config, self.graph
        mel = graph.input("mel", TensorProto.FLOAT, [self.batch, "T", self.in_channels("conv_pre")])
        spectrum = self.stft(graph.input("source", TensorProto.FLOAT, [self.batch, "L"]))
        kept = KeptFrames(graph, mel)
        x, begin = self.conv(self.channel_first(mel), "conv_pre"), graph.const([0], np.int64)
        for stage, span in enumerate(stage_spans(config)):
            x, begin = self.stage(x, begin, spectrum, stage, span, kept)
        x = self.conv(self.leaky_relu(x, FINAL_SLOPE), "conv_post")
        limit = graph.const(np.float32(config.audio_limit)), graph.const(np.float32(-config.audio_limit))
        wave = graph.op("Clip", self.inverse_stft(x), limit[1], limit[0])
        start, stop = (kept.scaled(position, config.samples_per_frame) for position in (kept.first, kept.stop))
        wave = kept.cut(wave, kept.scaled(begin, config.stft_hop), start, stop, axis=1)
        graph.output("wave", wave, TensorProto.FLOAT, [self.batch, "N"])
        return graph.model()

    def stage(
        self, x: str, begin: str, spectrum: str, stage: int, span: StageSpan, kept: KeptFrames
    ) -> tuple[str, str]:
        """What stage number `stage` makes of x, and the positions where x and that begin in the window.

        Its convolutions see only what kept frames need of it.
        """
        config = self.config
        rate, num_before = config.upsample_rates[stage], math.prod(config.upsample_rates[:stage])
        if stage > 0:
            start, stop = kept.positions(span.inputs, num_before)
            x, begin = kept.cut(x, begin, start, stop), start
            bounds = kept.scaled(start, span.spectrum_rate), kept.scaled(stop, span.spectrum_rate, 1)
            spectrum = kept.cut(spectrum, self.graph.const([0], np.int64), *bounds)
        x = self.upsample(self.leaky_relu(x, config.lrelu_slope), stage, rate, config.upsample_kernel_sizes[stage])
        if stage == len(config.upsample_rates) - 1:
            x = self.reflect(x, 1, 0)
        x = self.graph.add(x, self.source_branch(spectrum, stage))
        start, stop = kept.positions(span.blocks, num_before * rate)
        return self.fuse_resblocks(kept.cut(x, kept.scaled(begin, rate), start, stop), stage), start

    def upsample(self, x: str, stage: int, rate: int, kernel: int) -> str:
        name = f"ups.{stage}"
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.conv_transpose(x, name, weight, bias, stride=rate, padding=(kernel - rate) // 2)

    def source_branch(self, spectrum: str, stage: int) -> str:
        rate = math.prod(self.config.upsample_rates[stage + 1 :])
        padding = 0 if rate == 1 else rate // 2
        x = self.conv(spectrum, f"source_downs.{stage}", stride=rate, padding=padding)
        return self.resblock(x, f"source_resblocks.{stage}", self.config.source_resblock_dilations[stage])

    def fuse_resblocks(self, x: str, stage: int) -> str:
        """The mean of the stage's resblocks."""
        num = len(self.config.resblock_kernel_sizes)
        blocks = [
            self.resblock(x, f"resblocks.{stage * num + index}", dilations)
            for index, dilations in enumerate(self.config.resblock_dilations)
        ]
        total = blocks[0] if num == 1 else self.graph.op("Sum", *blocks)
        return self.graph.mul(total, self.graph.const(np.float32(1 / num)))

    def resblock(self, x: str, name: str, dilations: Sequence[int]) -> str:
        for index, dilation in enumerate(dilations):
            y = self.snake(x, f"{name}.activations1.{index}")
            y = self.snake(self.resblock_conv(y, f"{name}.convs1.{index}", dilation), f"{name}.activations2.{index}")
            y = self.resblock_conv(y, f"{name}.convs2.{index}", 1)
            x = self.graph.add(y, x)
        return x

    def resblock_conv(self, x: str, name: str, dilation: int) -> str:
        return self.conv(x, name, dilation=dilation)

    def snake(self, x: str, name: str) -> str:
        """x + sin(alpha x)^2 / alpha, per channel (arXiv 2006.08195)."""
        alpha = self.weights[f"{name}.alpha"].reshape(1, -1, 1, 1)
        frequency = self.graph.weight(f"{name}.alpha", alpha)
        amplitude = self.graph.weight(f"{name}.inverse_alpha", (1.0 / (alpha + np.float32(1e-9))).astype(np.float32))
        sine = self.graph.op("Sin", self.graph.mul(x, frequency))
        return self.graph.add(x, self.graph.mul(self.graph.mul(sine, sine), amplitude))

    def stft(self, source: str) -> str:
        """[B, L] -> [B, n_fft + 2, 1, L / stft_hop + 1]: real parts, then imaginary parts, of centred frames."""
        x = self.graph.op("Unsqueeze", source, self.graph.const([1, 2], np.int64))
        x = self.reflect(x, self.n_fft // 2, self.n_fft // 2)
        basis = np.concatenate([self.basis.real, -self.basis.imag]) * self.window
        weight = basis.astype(np.float32)[:, None]
        return self.conv_with(x, "stft", weight, None, stride=self.config.stft_hop, padding=0)

    def inverse_stft(self, x: str) -> str:
        """[B, n_fft + 2, 1, F], log magnitude then phase, -> [B, (F - 1) * stft_hop]."""
        graph, num_bins = self.graph, self.n_fft // 2 + 1
        log_magnitude, phase = graph.op("Split", x, graph.const([num_bins] * 2, np.int64), num_outputs=2, axis=1)
        magnitude = graph.op("Min", graph.op("Exp", log_magnitude), graph.const(np.float32(MAX_MAGNITUDE)))
        phase = graph.op("Sin", phase)
        real = graph.mul(magnitude, graph.op("Cos", phase))
        imaginary = graph.mul(magnitude, graph.op("Sin", phase))
        spectrum = graph.op("Concat", real, imaginary, axis=1)
        wave = self.overlap_add(spectrum, "inverse_stft", inverse_basis(self.basis) * self.window)
        frames = graph.op("Shape", spectrum, start=3, end=4)
        ones = graph.op("Expand", graph.const(np.ones((1, 1, 1, 1), np.float32)), frames)
        envelope = self.overlap_add(ones, "window_envelope", self.window[None] ** 2)
        wave = graph.op("Div", wave, envelope)
        squeezed: str = graph.op("Squeeze", wave, graph.const([1, 2], np.int64))
        return squeezed

    def overlap_add(self, frames: str, name: str, basis: F64) -> str:
        weight = basis.astype(np.float32)[:, None]
        return self.conv_transpose(frames, name, weight, None, stride=self.config.stft_hop, padding=self.n_fft // 2)


def hann_window(size: int) -> F64:
    """Periodic."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def fourier_basis(n_fft: int) -> NDArray[np.complex128]:
    """exp(2 pi i k n / n_fft), complex [n_fft // 2 + 1, n_fft]."""
    phase = np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) * (2 * np.pi / n_fft)
    basis: NDArray[np.complex128] = np.cos(phase) + 1j * np.sin(phase)
    return basis


def inverse_basis(basis: NDArray[np.complex128]) -> F64:
    """What each real part, then each imaginary part, adds to a frame: f64 [n_fft + 2, n_fft]. n_fft is even."""
    fold = np.full((len(basis), 1), 2.0)  # a bin stands for its mirror image as well, except the first and the last
    fold[0] = fold[-1] = 1.0
    scaled = basis * fold / basis.shape[1]
    return np.concatenate([scaled.real, -scaled.imag])

"""The vocoder with its resblocks in 8 bits, with scales that are measured when it is exported.

A scale found at run time would depend on the chunk, and chunks joined would no longer be the whole; so the scales are
constants, from what the checkpoint's own flow makes of random tokens. On the first bundled voice that came within
0.2 dB of scales from its speech: 33 dB from the fp32 wave.

Convolutions read and write bytes, and a Snake between them is a table of 256 bytes for each channel: at the sizes of
300M that takes 1.5 ns a value, where ONNX Runtime's Sin alone takes 3.5. Values have a scale for each channel wherever
that costs nothing, so the tables lose no precision; only what a convolution reads needs one for all channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import State
from pipeline.export.checkpoint import Checkpoint
from pipeline.export.graph import MS
from pipeline.export.hift_graph import Vocoder, fold_weight_norm
from pipeline.export.quantize import quantize_weight
from pipeline.export.torch_engine import TorchEngine
from pipeline.model.config import HiFTConfig
from pipeline.runtime.bundle import VocoderSpec
from pipeline.runtime.session import Session, make_session
from pipeline.token2wav.source import HarmonicSource
from pipeline.types import F32

MIN_SIGNAL_TO_NOISE_DB = 25.0
MARGIN = 1.1  # of the measured ranges; 1.5 costs 3 dB
LEAST_PART = np.float32(0.25)  # of the widest channel's range; with 0.1 one voice of the bundled seven loses 2 dB
_NUM_EXAMPLES, _NUM_TOKENS = 3, 45
_MAX_BYTE = 255
_MIDDLE = 128  # of the bytes that a convolution writes
_MAX_BIAS = 1 << 30
_NO_CONTEXT = np.zeros(2, np.int64)
_ALL_BUT_CHANNELS, _ALL = (0, 2, 3), (0, 1, 2, 3)
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs of the vocoder."""

    mel: F32  # f32 [T, mel_bins]
    source: F32  # f32 [T * hop_length]


@dataclass(frozen=True, slots=True)
class Range:
    """Values that a tensor takes, or each of its channels; 0 is always one of them."""

    low: F32  # f32 [] or [C]
    high: F32  # of the same shape

    @property
    def scale(self) -> F32:
        scale: F32 = np.maximum((self.high - self.low) * np.float32(MARGIN / _MAX_BYTE), np.float32(_TINY))
        return scale

    @property
    def zero_point(self) -> NDArray[np.uint8]:
        level = np.rint(-self.low * np.float32(MARGIN) / self.scale)
        zero_point: NDArray[np.uint8] = np.clip(level, 0, _MAX_BYTE).astype(np.uint8)
        return zero_point

    def merge(self, other: Range) -> Range:
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def widened(self) -> Range:
        """No channel's far below the widest: examples may have left it silent."""
        return Range(
            np.minimum(self.low, LEAST_PART * self.low.min()), np.maximum(self.high, LEAST_PART * self.high.max())
        )


class _Probe(Vocoder):
    """The fp32 vocoder, with the extremes of what each Snake and each residual's last layer makes as outputs."""

    def snake(self, x: str, name: str) -> str:
        self.extremes(f"{name}.in", x, _ALL_BUT_CHANNELS)
        y = super().snake(x, name)
        self.extremes(f"{name}.out", y, _ALL)
        return y

    def resblock_conv(self, x: str, name: str, dilation: int) -> str:
        y = super().resblock_conv(x, name, dilation)
        self.extremes(f"{name}.out", y, _ALL_BUT_CHANNELS)
        return y

    def extremes(self, place: str, value: str, axes: Sequence[int]) -> None:
        for end, op in (("low", "ReduceMin"), ("high", "ReduceMax")):
            extreme = self.graph.op(op, value, self.graph.const(axes, np.int64), keepdims=0)
            self.graph.output(f"{place}.{end}", extreme, TensorProto.FLOAT, ["C"] if axes is _ALL_BUT_CHANNELS else [])


class _Int8Vocoder(Vocoder):
    """Resblocks add up in fp32 what their convolutions and tables make in bytes."""

    batch = 1  # a table that each row of a batch looks up would have to be there once for each

    def __init__(self, weights: Mapping[str, F32], config: HiFTConfig, ranges: Mapping[str, Range]) -> None:
        super().__init__(weights, config)
        self.graph.rounds_weights = True  # what is not in 8 bits needs no more than 16
        self.ranges = ranges

    def resblock(self, x: str, name: str, dilations: Sequence[int]) -> str:
        for index, dilation in enumerate(dilations):
            first, second = f"{name}.activations1.{index}", f"{name}.activations2.{index}"
            last = f"{name}.convs2.{index}"
            y = self.graph.op("QuantizeLinear", x, *self.channel_grid(f"{first}.in"), axis=1)
            y = self.byte_conv(self.table(y, first), f"{name}.convs1.{index}", dilation, f"{first}.out", f"{second}.in")
            y = self.byte_conv(self.table(y, second), last, 1, f"{second}.out", f"{last}.out")
            y = self.graph.op("DequantizeLinear", y, *self.channel_grid(f"{last}.out"), axis=1)
            x = self.graph.add(y, x)
        return x

    def channel_grid(self, place: str) -> tuple[str, str]:
        values = self.ranges[place]
        return self.graph.const(values.scale), self.graph.const(values.zero_point)

    def table(self, x: str, name: str) -> str:
        """Snake of bytes u8 [1, C, 1, T]."""
        table = snake_table(self.weights[f"{name}.alpha"], self.ranges[f"{name}.in"], self.ranges[f"{name}.out"])
        indices = self.graph.op("Cast", x, to=TensorProto.INT32)
        values = self.graph.weight(f"{name}.table", table[None, :, None])
        value: str = self.graph.op("GatherElements", values, indices, axis=3)
        return value

    def byte_conv(self, x: str, name: str, dilation: int, before: str, after: str) -> str:
        """Bytes of range `after` from bytes of range `before`, [1, C, 1, T]. Channels are last where it computes."""
        graph, kernel = self.graph, self.weights[f"{name}.weight"].shape[2]
        padding = (kernel - 1) * dilation // 2
        y = graph.op(
            "QLinearConv",
            graph.op("Transpose", x, perm=[0, 2, 3, 1]),
            *self.operands(name, self.ranges[before], self.ranges[after]),
            domain=MS,
            channels_last=1,
            kernel_shape=[1, kernel],
            strides=[1, 1],
            dilations=[1, dilation],
            pads=[0, padding, 0, padding],
        )
        value: str = graph.op("Transpose", y, perm=[0, 3, 1, 2])
        return value

    def operands(self, name: str, before: Range, after: Range) -> list[str]:
        """QLinearConv's inputs behind the first. Scale and zero point of each channel of its output are folded in."""
        graph, unit = self.graph, after.scale
        centred = after.zero_point.astype(np.float32) - np.float32(_MIDDLE)
        offset: F32 = self.weights[f"{name}.bias"] + centred * unit
        levels, scale = quantize_filter(self.weights[f"{name}.weight"], offset / before.scale)
        return [
            graph.const(before.scale),
            graph.const(before.zero_point),
            graph.weight(f"{name}.int8", levels[:, :, None]),
            graph.const(scale / unit),
            graph.const(np.zeros(len(scale), np.int8)),
            graph.const(np.float32(1)),
            graph.const(np.uint8(_MIDDLE)),
            graph.weight(f"{name}.bias_int32", np.rint(offset / before.scale / scale).astype(np.int32)),
        ]


def snake_table(alpha: F32, before: Range, after: Range) -> NDArray[np.uint8]:
    """Byte of range `after` for each byte of range `before` [C]: u8 [C, 256]. Alpha is f32 [C]."""
    frequency = alpha.astype(np.float64)[:, None]
    levels = np.arange(_MAX_BYTE + 1) - before.zero_point.astype(np.float64)[:, None]
    x = levels * before.scale[:, None]
    y = x + np.sin(frequency * x) ** 2 / (frequency + 1e-9)
    return np.clip(np.rint(y / after.scale) + after.zero_point, 0, _MAX_BYTE).astype(np.uint8)


def quantize_filter(weight: F32, bias: F32) -> tuple[NDArray[np.int8], F32]:
    """Levels of the weight f32 [out, ..] and its scale f32 [out], in which the bias f32 [out] is an int32, too."""
    levels, scale = quantize_weight(weight)
    enough = np.maximum(scale, np.abs(bias) / np.float32(_MAX_BIAS))  # more only for filters that are almost zero
    return np.rint(levels * (scale / enough).reshape(-1, 1, 1)).astype(np.int8), enough


def vocoder_examples(checkpoint: Checkpoint, spec: VocoderSpec) -> Iterator[Example]:
    """What the checkpoint's flow makes of seeded random tokens with its voices, and the source for it."""
    config, engine = checkpoint.config, TorchEngine(checkpoint)
    source = HarmonicSource(spec, config.sample_rate)
    for seed in range(_NUM_EXAMPLES):
        random = np.random.default_rng(seed)
        tokens = random.integers(0, config.flow.num_tokens, (1, _NUM_TOKENS))
        shape = 1, config.flow.mel_bins, config.flow.num_mel_frames(_NUM_TOKENS)
        voice = checkpoint.voices[seed % len(checkpoint.voices)]
        mel = engine.mel(random.standard_normal(shape, dtype=np.float32), tokens, voice.embedding[None], None)
        f0 = engine.f0(mel)[0]
        yield Example(np.ascontiguousarray(mel[0].T), source.make(f0, source.phases(f0, 0.0)[:-1], seed, 0))


def measure_ranges(state: State, config: HiFTConfig, examples: Iterable[Example]) -> dict[str, Range]:
    """Ranges by place: every Snake's input (`NAME.in`, by channel) and output (`NAME.out`), every convolution's output
    (`NAME.out`, by channel)."""
    session = _session(_Probe(fold_weight_norm(state), config).build())
    ranges: dict[str, Range] = {}
    for example in examples:
        outputs = _run(session, example)
        for place in (name.removesuffix(".low") for name in outputs if name.endswith(".low")):
            low, high = (outputs[f"{place}.{end}"] for end in ("low", "high"))
            values = Range(np.minimum(low, 0), np.maximum(high, 0))
            ranges[place] = values.merge(ranges.get(place, values))
    return {place: values.widened() for place, values in ranges.items()}


def build_int8_vocoder(state: State, config: HiFTConfig, ranges: Mapping[str, Range]) -> ModelProto:
    """Inputs and outputs are those of the fp32 vocoder, for a batch of 1."""
    return _Int8Vocoder(fold_weight_norm(state), config, ranges).build()


def signal_to_noise_db(exact: ModelProto, other: ModelProto, examples: Sequence[Example]) -> float:
    """Of the wave of one graph against that of another: the worst example's."""
    sessions = [_session(model) for model in (exact, other)]
    waves = [[_run(session, example)["wave"] for session in sessions] for example in examples]
    ratios = [np.mean(wave**2) / max(np.mean((wave - near) ** 2), 1e-20) for wave, near in waves]
    return float(10 * np.log10(max(min(ratios), 1e-20)))


def _session(model: ModelProto) -> Session:
    return make_session(model.SerializeToString(), num_threads=1)


def _run(session: Session, example: Example) -> dict[str, F32]:
    return session.run({"mel": example.mel[None], "source": example.source[None], "context": _NO_CONTEXT})

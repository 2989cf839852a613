"""The vocoder with the convolutions of its resblocks in 8 bits, with scales that are measured when it is exported.

A scale found at run time would depend on the chunk, and chunks joined would no longer be the whole; so the scales are
constants, from what the checkpoint's own flow makes of random tokens. On the first bundled voice that came within
0.2 dB of scales from its speech: 33 dB from the fp32 wave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto

from pipeline.export.channel_last import State
from pipeline.export.checkpoint import Checkpoint
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
_NUM_EXAMPLES, _NUM_TOKENS = 3, 45
_MAX_BYTE = 255
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs of the vocoder."""

    mel: F32  # f32 [T, mel_bins]
    source: F32  # f32 [T * hop_length]


@dataclass(frozen=True, slots=True)
class Range:
    """Values that a tensor takes; 0 is always one of them."""

    low: float
    high: float

    @property
    def scale(self) -> np.float32:
        return np.float32(max((self.high - self.low) * MARGIN / _MAX_BYTE, _TINY))

    @property
    def zero_point(self) -> np.uint8:
        return np.uint8(np.clip(np.rint(-self.low * MARGIN / self.scale), 0, _MAX_BYTE))


class _Probe(Vocoder):
    """The fp32 vocoder, with the extremes of what each convolution reads and writes as outputs."""

    def resblock_conv(self, x: str, name: str, dilation: int) -> str:
        y = super().resblock_conv(x, name, dilation)
        for place, value in ((f"{name}.in", x), (f"{name}.out", y)):
            for end, op in (("low", "ReduceMin"), ("high", "ReduceMax")):
                self.graph.output(f"{place}.{end}", self.graph.op(op, value, keepdims=0), TensorProto.FLOAT, [])
        return y


class _Int8Vocoder(Vocoder):
    """Convolutions stand between QuantizeLinear and DequantizeLinear, from which ONNX Runtime makes QLinearConv."""

    def __init__(self, weights: Mapping[str, F32], config: HiFTConfig, ranges: Mapping[str, Range]) -> None:
        super().__init__(weights, config)
        self.graph.rounds_weights = True  # what is not in 8 bits needs no more than 16
        self.ranges = ranges

    def resblock_conv(self, x: str, name: str, dilation: int) -> str:
        weight = self.weights[f"{name}.weight"][:, :, None]
        kernel, before, after = weight.shape[3], self.ranges[f"{name}.in"], self.ranges[f"{name}.out"]
        padding = (kernel - 1) * dilation // 2
        y = self.graph.op(
            "Conv",
            self.rounded(x, before),
            *self.parameters(name, weight, before.scale),
            kernel_shape=[1, kernel],
            strides=[1, 1],
            dilations=[1, dilation],
            pads=[0, padding, 0, padding],
        )
        return self.rounded(y, after)

    def rounded(self, x: str, values: Range) -> str:
        """To the nearest of 256 values."""
        grid = self.graph.const(values.scale), self.graph.const(values.zero_point)
        value: str = self.graph.op("DequantizeLinear", self.graph.op("QuantizeLinear", x, *grid), *grid)
        return value

    def parameters(self, name: str, weight: F32, input_scale: np.float32) -> tuple[str, str]:
        """The weight [out, in, 1, kernel] as int8, the bias as int32 in units of input and weight."""
        graph = self.graph
        levels, scale = quantize_weight(weight)
        bias_scale = scale * input_scale
        bias = np.rint(self.weights[f"{name}.bias"] / bias_scale).astype(np.int32)
        kernel_grid = graph.weight(f"{name}.scale", scale), graph.const(np.zeros(len(scale), np.int8))
        bias_grid = graph.weight(f"{name}.bias_scale", bias_scale), graph.const(np.zeros(len(scale), np.int32))
        return (
            graph.op("DequantizeLinear", graph.weight(f"{name}.int8", levels), *kernel_grid, axis=0),
            graph.op("DequantizeLinear", graph.weight(f"{name}.bias_int32", bias), *bias_grid, axis=0),
        )


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
    """The range of every resblock convolution's input (`NAME.in`) and output (`NAME.out`)."""
    session = _session(_Probe(fold_weight_norm(state), config).build())
    ranges: dict[str, Range] = {}
    for example in examples:
        outputs = _run(session, example)
        for place in (name.removesuffix(".low") for name in outputs if name.endswith(".low")):
            seen = ranges.get(place, Range(0.0, 0.0))
            low, high = (float(outputs[f"{place}.{end}"]) for end in ("low", "high"))
            ranges[place] = Range(min(seen.low, low), max(seen.high, high))
    return ranges


def build_int8_vocoder(state: State, config: HiFTConfig, ranges: Mapping[str, Range]) -> ModelProto:
    """Inputs and outputs are those of the fp32 vocoder."""
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
    return session.run({"mel": example.mel[None], "source": example.source[None]})

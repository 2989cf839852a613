"""What the machine could do: read bandwidth and matrix products, measured, and what each stage needs, counted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch.utils.flop_counter import FlopCounterMode

from pipeline.bench.memory import MemoryReader
from pipeline.bench.workload import Piece
from pipeline.export.checkpoint import CONFIG
from pipeline.export.graph import GraphBuilder
from pipeline.model.config import ModelConfig, read_config
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import HiFTGenerator
from pipeline.model.lm import TransformerLM
from pipeline.runtime.session import make_session

MATRIX_SIZE = 768
READ_MB = 64  # per thread, more than the caches hold
TRIALS_S = 1.0  # many short trials: the best of them was not interrupted
VOCODER_FRAMES = 16  # counted on a few frames: convolutions grow linearly
NUM_STEPS = 10


@dataclass(frozen=True, slots=True)
class Roofline:
    """The best of several trials, on `num_threads` threads."""

    num_threads: int
    read_gb_s: float
    fp32_gflop_s: float  # ONNX Runtime's MatMul
    int8_gop_s: float  # ONNX Runtime's MatMulInteger, u8 by s8


def measure(num_threads: int) -> dict[str, Any]:
    operations = 2 * MATRIX_SIZE**3 / 1e9
    return asdict(
        Roofline(
            num_threads=num_threads,
            read_gb_s=_read_gb_s(num_threads),
            fp32_gflop_s=operations / _product_s("MatMul", np.float32, np.float32, num_threads),
            int8_gop_s=operations / _product_s("MatMulInteger", np.uint8, np.int8, num_threads),
        )
    )


def _read_gb_s(num_threads: int) -> float:
    reader = MemoryReader((READ_MB << 20) * num_threads, num_threads)
    return reader.num_bytes / _best_s(reader.read) / 1e9


def _product_s(operator: str, a: type[np.generic], b: type[np.generic], num_threads: int) -> float:
    shape = (MATRIX_SIZE, MATRIX_SIZE)
    graph = GraphBuilder("product")
    is_integer = operator == "MatMulInteger"
    x = graph.input("x", TensorProto.UINT8 if is_integer else TensorProto.FLOAT, list(shape))
    y = graph.op(operator, x, graph.weight("w", np.ones(shape, b)))
    graph.output("y", y, TensorProto.INT32 if is_integer else TensorProto.FLOAT, list(shape))
    session = make_session(graph.model().SerializeToString(), num_threads=num_threads)
    inputs = {"x": np.ones(shape, a)}
    return _best_s(lambda: session.run(inputs))


def _best_s(compute: Callable[[], object]) -> float:
    best, end = math.inf, time.perf_counter() + TRIALS_S
    while (started := time.perf_counter()) < end or best == math.inf:
        compute()
        best = min(best, time.perf_counter() - started)
    return best


def count_gflop(checkpoint: str, pieces: list[Piece]) -> dict[str, float]:
    """Arithmetic of each stage in units of 10^9, 2 per multiply-add, by the field's name in StageTimes.

    Counted on tensors without data. `decode_s` is left out: it is bound by reading the weights.
    """
    config = read_config(Path(checkpoint) / CONFIG)
    counts = [_count(config, len(piece["text_ids"]), piece["num_tokens"]) for piece in pieces]
    return {stage: sum(count[stage] for count in counts) for stage in counts[0]}


def _count(config: ModelConfig, num_text: int, num_tokens: int) -> dict[str, float]:
    num_frames = config.flow.num_mel_frames(num_tokens)
    return {**_count_meta(config, num_text, num_tokens, num_frames), "vocoder_s": _count_vocoder(config, num_frames)}


@torch.no_grad()
def _count_meta(config: ModelConfig, num_text: int, num_tokens: int, num_frames: int) -> dict[str, float]:
    with torch.device("meta"):
        lm, flow = TransformerLM(config.lm).eval(), MaskedDiffWithXvec(config.flow).eval()
        prefix = lm.prefill_input(torch.zeros(1, num_text, dtype=torch.int64), torch.ones(1, config.lm.speaker_size))
        guided = torch.zeros(2, config.flow.mel_bins, num_frames)
        speaker = torch.zeros(2, config.flow.mel_bins)
        text = torch.zeros(1, num_text, dtype=torch.int64)
        tokens = torch.zeros(1, num_tokens, dtype=torch.int64)
        encode = _gflop(lambda: lm.text_encode(text, torch.ones(1, dtype=torch.int64)))
        return {
            "prefill_s": encode + _gflop(lambda: lm.step(prefix)),
            "flow_encoder_s": _gflop(lambda: flow.mu(tokens)),
            "estimator_s": NUM_STEPS * _gflop(lambda: flow.velocity(guided, guided, 0.0, speaker, guided)),
        }


@torch.no_grad()
def _count_vocoder(config: ModelConfig, num_frames: int) -> float:
    hift = HiFTGenerator(config.hift)
    mel = torch.zeros(1, config.hift.mel_bins, VOCODER_FRAMES)
    return _gflop(lambda: hift(mel)) * num_frames / VOCODER_FRAMES


def _gflop(compute: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops()) / 1e9

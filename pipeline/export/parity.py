"""Every array of a golden file against torch and against the exported graphs.

A golden file holds inputs and what the official code computed from them, either once (`lm.log_probs`, `flow.mu`, ...)
or for several utterances (`0.mu`, `1.mu`, ...). Both spellings are read into the same `Case`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BundleError, TTSError
from pipeline.export.distributions import divergence, draw_distance
from pipeline.export.report import Comparison, ParityReport, max_abs_error
from pipeline.runtime.bundle import Precision
from pipeline.types import F32, I64

Array = NDArray[Any]

TOLERANCE = 1e-4
SOLVER_TOLERANCE = 1e-3  # ten evaluations add up
F0_UNIT_HZ = 100.0  # F0 is in Hz: at 200 Hz neighbouring float32 numbers lie 1.5e-5 apart, so its bound is relative
# of a log probability; with random weights at 300M dimensions / the bundled voice on random text and speech
QUANTIZED_LOG_PROBS_TOLERANCE: dict[Precision, float] = {"int8": 2.5, "int4": 3.0}  # 0.08 / 1.6 and 0.5 / 1.6
DIVERGENCE_TOLERANCE: dict[Precision, float] = {"int8": 0.02, "int4": 0.1}  # nats; 0.0002 / 0.005 and 0.009 / 0.026
DRAW_TOLERANCE: dict[Precision, float] = {"int8": 0.06, "int4": 0.2}  # share; 0.008 / 0.023 and 0.052 / 0.069
QUANTIZED_LOG_PROBS_FLOOR = -7.0  # one in a thousand: what is rarer is as good as never drawn, however rare it is
QUANTIZED_TOLERANCE = 0.15  # of other arrays, relative to the largest value; 0.06 there
ESTIMATOR_TIME = 0.3

# the spelling of files with several utterances -> the spelling of files with one
_ALIASES = {
    "greedy_tokens": "lm.greedy_tokens",
    "first_log_probs": "lm.log_probs",
    "mu": "flow.mu",
    "z": "flow.z",
    "mel_10steps": "flow.mel_10steps",
    "f0": "hift.f0",
    "source": "hift.source",
    "wave": "hift.wave",
}
_INPUTS = {
    "text",
    "speech_tokens",
    "spk_embedding",
    "flow.z",
    "hift.mel",
    "hift.source",
    "flow.prompt.tokens",
    "flow.prompt.mel",
    "flow.prompt.z",
}


# arrays whose scale is the checkpoint's own business
_SCALED = {"lm.text_encoder_out", "lm.prefill_input", "flow.mu", "flow.estimator_t0.3", "flow.mel_10steps"}


class Engine(Protocol):
    """One way to compute the model. Arrays have the layout of golden files: mel [1, bins, T], tokens [1, N]."""

    name: str
    precision: Precision
    is_exact: bool  # computes in fp32, so the tolerances of fp32 hold

    def text_encoder_out(self, text: I64) -> F32: ...
    def prefill_input(self, text: I64, speaker: F32) -> F32: ...
    def log_probs(self, text: I64, speaker: F32, tokens: I64) -> F32: ...
    def greedy_tokens(self, text: I64, speaker: F32, num_tokens: int, min_tokens: int) -> I64: ...
    def mu(self, tokens: I64, prompt: FlowPrompt | None) -> F32: ...
    def estimator(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32: ...
    def mel(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32: ...
    def f0(self, mel: F32) -> F32: ...
    def wave(self, mel: F32, source: F32) -> F32: ...


@dataclass(frozen=True, slots=True)
class FlowPrompt:
    tokens: I64  # i64 [1, P]
    mel: F32  # f32 [1, T, bins]


class MissingInput(Exception):
    """A golden array cannot be computed because an input is not in the file."""


@dataclass(frozen=True)
class Case:
    """One utterance of a golden file; `arrays` has the names of files with one utterance."""

    prefix: str
    arrays: Mapping[str, Array]
    has_end: bool  # greedy tokens end where the model ends, instead of after a fixed number

    def __getitem__(self, name: str) -> Array:
        if name not in self.arrays:
            raise MissingInput(f"{self.prefix}{name} is not in the file")
        return self.arrays[name]

    @property
    def tokens(self) -> I64:
        if "speech_tokens" in self.arrays:
            return self["speech_tokens"].reshape(1, -1)
        return self["lm.greedy_tokens"].reshape(1, -1)

    @property
    def mel(self) -> F32:
        return self["hift.mel" if "hift.mel" in self.arrays else "flow.mel_10steps"]

    @property
    def prompt(self) -> FlowPrompt:
        tokens, mel = self["flow.prompt.tokens"].reshape(1, -1), self["flow.prompt.mel"]
        mel = mel.reshape(1, *mel.shape[-2:])
        num_bins = self["flow.prompt.z"].shape[-2]
        return FlowPrompt(tokens, mel if mel.shape[2] == num_bins else mel.transpose(0, 2, 1))


def _greedy(engine: Engine, case: Case) -> Array:
    text, golden = case["text"], case["lm.greedy_tokens"]
    if not case.has_end:
        return engine.greedy_tokens(text, case["spk_embedding"], golden.size, golden.size).reshape(golden.shape)
    # one more than golden has: the model must end there by itself
    tokens = engine.greedy_tokens(text, case["spk_embedding"], golden.size + 1, 2 * text.size)
    return tokens.reshape(-1) if golden.ndim == 1 else tokens.reshape(1, -1)


def _log_probs(engine: Engine, case: Case) -> Array:
    num_rows = case["lm.log_probs"].shape[0]
    return engine.log_probs(case["text"], case["spk_embedding"], case.tokens[:, :num_rows])


Compute = Callable[[Engine, Case], Array]

_COMPUTE: dict[str, Compute] = {
    "lm.text_encoder_out": lambda engine, case: engine.text_encoder_out(case["text"]),
    "lm.prefill_input": lambda engine, case: engine.prefill_input(case["text"], case["spk_embedding"]),
    "lm.log_probs": _log_probs,
    "lm.greedy_tokens": _greedy,
    "flow.mu": lambda engine, case: engine.mu(case.tokens, None),
    "flow.estimator_t0.3": lambda engine, case: engine.estimator(
        case["flow.z"], case.tokens, case["spk_embedding"], None
    ),
    "flow.mel_10steps": lambda engine, case: engine.mel(case["flow.z"], case.tokens, case["spk_embedding"], None),
    "hift.f0": lambda engine, case: engine.f0(case.mel),
    "hift.wave": lambda engine, case: engine.wave(case.mel, case["hift.source"]),
    "flow.prompt.mu": lambda engine, case: engine.mu(case.tokens, case.prompt),
    "flow.prompt.estimator_t0.3": lambda engine, case: engine.estimator(
        case["flow.prompt.z"], case.tokens, case["spk_embedding"], case.prompt
    ),
    "flow.prompt.mel_10steps": lambda engine, case: engine.mel(
        case["flow.prompt.z"], case.tokens, case["spk_embedding"], case.prompt
    ),
}


def read_golden(path: Path) -> list[Case]:
    """The cases of a golden file. Raises BundleError when it is missing or is no npz of plain arrays."""
    if not path.is_file():
        raise BundleError(f"{path} is missing: name an npz file of golden arrays.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, KeyError) as error:
        raise BundleError(f"{path} is no npz file of plain arrays ({error}): make it again with numpy.savez.") from None
    prefixes = sorted({match.group() for name in arrays if (match := re.match(r"\d+\.", name))}, key=len)
    return [_case(prefix, arrays) for prefix in prefixes or [""]]


def _case(prefix: str, arrays: Mapping[str, Array]) -> Case:
    mine = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    named = {_ALIASES.get(name, name): array for name, array in mine.items()}
    return Case(prefix, named, has_end="greedy_tokens" in mine)


def compare(engines: list[Engine], cases: list[Case], title: str, *, is_relative: bool = False) -> ParityReport:
    """Every array of the cases that is no input, by every engine.

    Args:
        is_relative: bounds of activations grow with their largest value, for checkpoints of unknown scale.
    """
    comparisons = [
        _compare(engine, case, name, is_relative)
        for case in cases
        for name in case.arrays
        if name not in _INPUTS
        for engine in engines
    ]
    rounded = [engine for engine in engines if not engine.is_exact]
    comparisons += [
        comparison
        for case in cases
        if "lm.log_probs" in case.arrays
        for engine in rounded
        for comparison in _compare_distributions(engine, case)
    ]
    return ParityReport(title, tuple(comparisons))


def _compare_distributions(engine: Engine, case: Case) -> Iterator[Comparison]:
    exact, rounded, name = case["lm.log_probs"], _log_probs(engine, case), f"{case.prefix}lm.log_probs"
    bounds = DIVERGENCE_TOLERANCE[engine.precision], DRAW_TOLERANCE[engine.precision]
    yield Comparison(f"{name} divergence", engine.name, divergence(exact, rounded), bounds[0], "mean, nats")
    yield Comparison(f"{name} draws", engine.name, draw_distance(exact, rounded), bounds[1], "mean share that differs")


def _compare(engine: Engine, case: Case, name: str, is_relative: bool) -> Comparison:
    error, note = _error(engine, case, name)
    tolerance = _tolerance(case, name) if engine.is_exact else _quantized_tolerance(case, name, engine.precision)
    if is_relative and engine.is_exact and name in _SCALED:
        tolerance *= max(1.0, float(np.abs(case[name]).max()))
    return Comparison(f"{case.prefix}{name}", engine.name, error, tolerance, note)


def _tolerance(case: Case, name: str) -> float:
    if name == "lm.greedy_tokens":
        return 0.0
    if name == "hift.f0":
        return TOLERANCE * max(1.0, float(np.abs(case[name]).max()) / F0_UNIT_HZ)
    return SOLVER_TOLERANCE if name.endswith("mel_10steps") else TOLERANCE


def _quantized_tolerance(case: Case, name: str, precision: Precision) -> float:
    if name == "lm.log_probs":
        return QUANTIZED_LOG_PROBS_TOLERANCE[precision]
    if name.replace("flow.prompt.", "flow.") in _SCALED | {"hift.wave"}:
        return QUANTIZED_TOLERANCE * float(np.abs(case[name]).max())
    return _tolerance(case, name)


def _error(engine: Engine, case: Case, name: str) -> tuple[float | None, str]:
    if name not in _COMPUTE:
        return None, "no such array is known"
    try:
        ours, golden = _COMPUTE[name](engine, case), case[name]
    except (MissingInput, TTSError) as error:
        return None, str(error)
    if name == "lm.log_probs" and not engine.is_exact:
        ours, golden = (np.maximum(array, QUANTIZED_LOG_PROBS_FLOOR) for array in (ours, golden))
    if name.startswith("flow.prompt.") and ours.ndim == golden.ndim and ours.shape[-1] > golden.shape[-1]:
        ours = ours[..., -golden.shape[-1] :]  # the official code returns the frames after the prompt
    return max_abs_error(ours, golden)

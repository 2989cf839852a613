"""How far the flow's faster solvers and its 8-bit integers go from the path that the trained weights describe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.bench.renderings import PROFILES, reference_solver
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.noise import NoiseStream, gaussian_frames
from pipeline.training.voice.dataset import Item
from pipeline.types import F32, F64, Voice


@dataclass(frozen=True, slots=True)
class SolverDistance:
    """Mean absolute differences of log mel spectrograms, in nepers; the noise is the same everywhere."""

    name: str  # e.g. "int8 fast"
    to_reference: float
    to_teacher: float
    liveliness: float  # standard deviation of the change from frame to frame, over the teacher's; < 1: smoothed


def solver_distances(
    bundle: Bundle, voices: Sequence[Voice], items: Sequence[Item], seed: int = 0
) -> list[SolverDistance]:
    """The reference itself first, then every profile in every precision of the bundle.

    Args:
        voices: by the items' `speaker`.
        items: utterances with their mels, held out from training.
    """
    reference = _mels(_reference(bundle), voices, items, seed)
    distances = [_distance("reference", reference, reference, items)]
    for name, flow in _flows(bundle):
        distances.append(_distance(name, _mels(flow, voices, items, seed), reference, items))
    return distances


def _reference(bundle: Bundle) -> OnnxFlow:
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    flow = OnnxFlow(bundle, next(name for name in precisions if name in bundle.manifest.graphs), num_threads=1)
    flow.solver = reference_solver(flow.spec)
    return flow


def _flows(bundle: Bundle) -> Iterator[tuple[str, OnnxFlow]]:
    for precision in bundle.manifest.graphs:
        for profile in PROFILES:
            yield f"{precision} {profile}", OnnxFlow(bundle, precision, 1, profile)


def _mels(flow: OnnxFlow, voices: Sequence[Voice], items: Sequence[Item], seed: int) -> list[F32]:
    mels = []
    for index, item in enumerate(items):
        num_frames = flow.manifest.num_mel_frames(len(item.speech))
        z = gaussian_frames(seed + index, NoiseStream.FLOW, 0, num_frames, flow.spec.mel_bins)
        mels.append(flow.mel(item.speech, voices[item.speaker], z))
    return mels


def _distance(name: str, mels: Sequence[F32], reference: Sequence[F32], items: Sequence[Item]) -> SolverDistance:
    teacher = [_cut(item, len(mel)) for item, mel in zip(items, mels, strict=True)]
    mels = [mel[: len(real)] for mel, real in zip(mels, teacher, strict=True)]
    reference = [mel[: len(real)] for mel, real in zip(reference, teacher, strict=True)]
    made, real = np.concatenate(mels), np.concatenate(teacher)
    return SolverDistance(
        name,
        to_reference=float(np.abs(made - np.concatenate(reference)).mean()),
        to_teacher=float(np.abs(made - real).mean()),
        liveliness=float(_changes(mels).std() / _changes(teacher).std()),
    )


def _cut(item: Item, num_frames: int) -> F32:
    assert item.mel is not None
    return item.mel[:num_frames]


def _changes(mels: Sequence[F32]) -> F64:
    return np.concatenate([np.diff(mel, axis=0) for mel in mels]).astype(np.float64)

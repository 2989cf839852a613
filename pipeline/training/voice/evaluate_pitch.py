"""Melody: how F0 follows the teacher's, and whether the tone of each syllable is the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import BundleError
from pipeline.training.voice.dataset import Item
from pipeline.training.voice.evaluate_distances import Alignment
from pipeline.training.voice.features import MEL_HOP, TOKEN_SAMPLES, PitchTracker, fill_unvoiced
from pipeline.types import F32, F64, I16, I64

TONE_LANGUAGES = ("zh", "yue")
NUM_POINTS = 6  # of a syllable's contour
_TONE_SYMBOL = re.compile(r"(zh|yue):.*?([1-6])")
_LOW, _HIGH = 0.53, 1.97  # bounds of a speaker's pitch, as multiples of the median: under two octaves
_SMOOTHED = 5  # frames, of which the median is taken: a lone wrong one does not count
_SHRINKAGE = 0.05  # of the covariance towards its diagonal


def track(samples: I16, num_frames: int, median_hz: float) -> F32:
    """F0 of every mel frame in Hz, 0 where unvoiced: f32 [num_frames].

    Args:
        median_hz: the teacher's for this speaker.
    """
    f0 = PitchTracker()(samples, MEL_HOP, num_frames, _LOW * median_hz, _HIGH * median_hz)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(f0, _SMOOTHED // 2, mode="edge"), _SMOOTHED)
    return np.median(windows, axis=1).astype(np.float32)


def correlation(ours: F32, theirs: F32, alignment: Alignment) -> float:
    """Of log F0 where both are voiced; NaN where that is hardly anywhere."""
    near, far = ours[alignment.ours], theirs[alignment.theirs]
    both = (near > 0) & (far > 0)
    if both.sum() < 10:
        return float("nan")
    return float(np.corrcoef(np.log(near[both]), np.log(far[both]))[0, 1])


@dataclass(frozen=True, slots=True)
class Syllable:
    """The part of the teacher's utterance that carries a tone, in mel frames."""

    tone: int
    start: int
    end: int

    def span(self, num_frames: int) -> slice:
        """Within an utterance of so many frames, which are fewer than its tokens cover."""
        return slice(self.start, min(self.end, num_frames))


def syllables(item: Item, symbols: Sequence[str]) -> list[Syllable]:
    """Of the finals in a dataset's utterance; `symbols` are its text symbols by id."""
    found = []
    for index, symbol in enumerate(item.text):
        match = _TONE_SYMBOL.fullmatch(symbols[symbol])
        tokens = np.flatnonzero(item.align == index)
        if match is not None and len(tokens):
            start, end = (round(token * TOKEN_SAMPLES / MEL_HOP) for token in (tokens[0], tokens[-1] + 1))
            found.append(Syllable(int(match[2]), start, end))
    return found


def contours(f0: F32, spans: Iterable[slice]) -> F64:
    """Semitones about the utterance's middle, at points across each span, and the log of its length: f64 [n, 7]."""
    if not np.any(f0 > 0):
        f0 = np.ones_like(f0)
    semitones = 12 * np.log2(fill_unvoiced(f0).astype(np.float64))
    semitones -= np.median(semitones[f0 > 0])
    return np.array([_contour(semitones, span) for span in spans]).reshape(-1, NUM_POINTS + 1)


def _contour(semitones: F64, span: slice) -> F64:
    points = np.linspace(span.start, span.stop - 1, NUM_POINTS)
    return np.append(np.interp(points, np.arange(len(semitones)), semitones), np.log(span.stop - span.start))


@dataclass(frozen=True)
class ToneJudge:
    """A normal distribution of contours for each tone, learned from the teacher (quadratic discriminant analysis)."""

    tones: I64  # i64 [K]
    means: F64  # f64 [K, D]
    precisions: F64  # f64 [K, D, D]
    offsets: F64  # f64 [K], log prior minus half the log determinant

    @classmethod
    def learn(cls, contour: F64, tone: I64) -> ToneJudge:
        """From contours f64 [n, D] and their tones i64 [n]."""
        tones = np.unique(tone)
        means = np.stack([contour[tone == t].mean(axis=0) for t in tones])
        covariances: F64 = np.stack([_shrunk(contour[tone == t]) for t in tones])
        shares = np.array([(tone == t).mean() for t in tones], np.float64)
        offsets: F64 = np.log(shares) - 0.5 * np.linalg.slogdet(covariances)[1]
        precisions: F64 = np.linalg.inv(covariances).astype(np.float64)
        return cls(tones, means, precisions, offsets)

    def __call__(self, contour: F64) -> I64:
        """The likeliest tone of each contour: i64 [n]."""
        away = contour[:, None] - self.means
        scores = self.offsets - 0.5 * np.einsum("nkd,kde,nke->nk", away, self.precisions, away)
        likeliest: I64 = self.tones[scores.argmax(axis=1)]
        return likeliest


def _shrunk(rows: F64) -> F64:
    covariance = np.cov(rows, rowvar=False) if len(rows) > 1 else np.eye(rows.shape[1])
    floor = 1e-2 * np.eye(rows.shape[1])
    shrunk: F64 = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(np.diag(covariance)) + floor
    return shrunk


def judge_tones(
    judge: ToneJudge, found: Sequence[Syllable], teacher_f0: F32, voice_f0: F32, alignment: Alignment
) -> dict[str, list[int]]:
    """Tones meant, and heard in the teacher and in the voice, whose syllables are where the alignment puts them."""
    theirs = judge(contours(teacher_f0, [s.span(len(teacher_f0)) for s in found]))
    ours = judge(contours(voice_f0, [alignment.ours_between(s.start, s.end) for s in found]))
    return {"meant": [s.tone for s in found], "teacher": theirs.tolist(), "voice": ours.tolist()}


def learn_tones(items: Iterable[Item], symbols: Sequence[str]) -> ToneJudge:
    """From the teacher's utterances of one language."""
    rows, tones = [], []
    for item in items:
        if item.f0 is None:
            continue
        found = syllables(item, symbols)
        rows.append(contours(item.f0, [s.span(len(item.f0)) for s in found]))
        tones += [s.tone for s in found]
    if not tones:
        raise BundleError("the dataset has no syllables with tones: make the corpus with that language.")
    return ToneJudge.learn(np.concatenate(rows), np.array(tones, np.int64))

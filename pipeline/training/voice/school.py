"""Sentences as the teacher says them, and the speech tokens that fit what it said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.training.voice.features import fill_unvoiced, token_pitch
from pipeline.training.voice.sentences import Sentence
from pipeline.training.voice.speakers import SPEAKERS, Speaker
from pipeline.training.voice.teacher import SILENCE, Lesson, Teacher
from pipeline.training.voice.units import Coverage, Grid, Units, choose_units
from pipeline.types import F32, I64

MAX_TOKENS = 320  # 12.8 s
_LOW, _HIGH = 0.62, 2.3  # the pitch of all speech, as a multiple of the speaker's own


@dataclass(frozen=True, slots=True)
class Taught:
    """A sentence as a speaker says it; `pitch_hz` f32 [tokens] is 0 where unvoiced."""

    sentence: Sentence
    speaker: int
    lesson: Lesson
    pitch_hz: F32


@dataclass
class School:
    """Teaches sentences, speaker after speaker, and counts those it could not."""

    teacher: Teacher

    def __post_init__(self) -> None:
        self.num_dropped: Counter[str] = Counter()
        self.num_taught: Counter[str] = Counter()

    def teach(self, sentences: Iterable[Sentence], seed: int, speakers: Sequence[Speaker] = SPEAKERS) -> list[Taught]:
        rng = np.random.default_rng(seed)
        taught = []
        for sentence in sentences:
            speaker = speakers[int(rng.integers(len(speakers)))]
            lesson = self.teacher.say(sentence.phrases, speaker)
            if lesson is None or len(lesson.phones) > MAX_TOKENS:
                self.num_dropped[sentence.language] += 1
                continue
            self.num_taught[sentence.language] += 1
            pitch = token_pitch(lesson.samples, len(lesson.phones), *pitch_bounds(speaker))
            taught.append(Taught(sentence, SPEAKERS.index(speaker), lesson, pitch))
        return taught

    def summary(self) -> str:
        """Share of sentences that were dropped, by language."""
        return "dropped " + " ".join(
            f"{language} {self.num_dropped[language] / (self.num_dropped[language] + count):.3f}"
            for language, count in self.num_taught.items()
        )


def pitch_bounds(speaker: Speaker) -> tuple[float, float]:
    return _LOW * speaker.pitch_hz, _HIGH * speaker.pitch_hz


def measure_bases(taught: Sequence[Taught]) -> dict[str, float]:
    """The median pitch of each speaker's voiced tokens in Hz."""
    bases = {}
    for index, speaker in enumerate(SPEAKERS):
        pitches = np.concatenate([t.pitch_hz for t in taught if t.speaker == index] or [np.zeros(0, np.float32)])
        voiced = pitches[pitches > 0]
        bases[speaker.name] = round(float(np.median(voiced)), 2) if len(voiced) else float(speaker.pitch_hz)
    return bases


def fit_units(taught: Sequence[Taught], grid: Grid) -> tuple[Units, Coverage]:
    """Units of a corpus; a phone is voiced if most of its tokens are."""
    voiced: Counter[str] = Counter()
    heard: Counter[str] = Counter({SILENCE: 1})
    for one in taught:
        heard.update(one.lesson.phones)
        voiced.update(phone for phone, hz in zip(one.lesson.phones, one.pitch_hz, strict=True) if hz > 0)
    phones = sorted(heard)
    is_voiced = [phone != SILENCE and voiced[phone] > heard[phone] / 2 for phone in phones]
    bases = measure_bases(taught)
    draft = Units(tuple(phones), tuple(is_voiced), grid, bases, np.zeros((0, 3), np.int64))
    return choose_units(phones, is_voiced, grid, bases, np.concatenate([_combinations(draft, t) for t in taught]))


def _combinations(units: Units, taught: Taught) -> I64:
    index = {name: k for k, name in enumerate(units.phones)}
    phone = np.array([index[name] for name in taught.lesson.phones], np.int64)
    level = units.levels(phone, fill_unvoiced(taught.pitch_hz), SPEAKERS[taught.speaker].name)
    return np.stack([phone, level, taught.lesson.positions], axis=1)

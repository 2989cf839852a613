"""What the recogniser learns from: the teacher with other vocal tracts, pitches and rates than the seven voices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.audio.features import MelSpectrogram
from pipeline.training.voice.corpus import write_items
from pipeline.training.voice.dataset import LANGUAGES, Item
from pipeline.training.voice.espeak import Espeak, Recording
from pipeline.training.voice.recognizer import SPLIT
from pipeline.training.voice.sentences import Sentence, Sentences, load_sources
from pipeline.training.voice.speakers import Speaker
from pipeline.training.voice.teacher import Lesson, Teacher
from pipeline.training.voice.units import Units

NUM_SPEAKERS = 16
_PACES = (0.85, 1.2)  # of the voices' rate
_PITCHES_HZ = (70, 215)
_TRACTS = (92, 122)  # percent of the average formant
_SPREAD = 4.0  # of single formants about the tract's
_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.5)  # of LANGUAGES
_SEED = 77  # neither the corpus's nor the held-out set's


class PacedEspeak(Espeak):
    """Speaks faster or slower than it is asked to."""

    pace = 1.0

    def speak(self, text: str, voice: str, *, rate: int, pitch: int, pitch_range: int, volume: int) -> Recording:
        return super().speak(
            text, voice, rate=round(rate * self.pace), pitch=pitch, pitch_range=pitch_range, volume=volume
        )


def other_speakers(count: int = NUM_SPEAKERS, seed: int = _SEED) -> tuple[Speaker, ...]:
    """Small tracts go with high pitch, as they do in people."""
    random = np.random.default_rng(seed)
    speakers = []
    for index, height in enumerate(np.linspace(0, 1, count)):
        pitch_hz = round(_PITCHES_HZ[0] * (_PITCHES_HZ[1] / _PITCHES_HZ[0]) ** height)
        tract = _TRACTS[0] + (_TRACTS[1] - _TRACTS[0]) * np.clip(height + random.normal(0, 0.12), 0, 1)
        formants = tuple(round(tract + random.normal(0, _SPREAD)) for _ in range(5))
        gender = "女" if height > 0.5 else "男"
        speakers.append(
            Speaker(f"other {index} {gender}", f"other{index}", pitch_hz, formants, int(random.integers(75, 120)), 60)
        )
    return tuple(speakers)


def make_recognizer_corpus(data: Path, *, num_sentences: int) -> int:
    """Adds the split to a dataset; returns the number of utterances."""
    units = Units.open(data)
    sentences = Sentences(load_sources(), _SEED).draw(LANGUAGES, _WEIGHTS)
    drawn = (next(sentences) for _ in range(num_sentences))
    return write_items(teach_others(drawn, other_speakers(), units), data, SPLIT)


def teach_others(sentences: Iterable[Sentence], speakers: Sequence[Speaker], units: Units) -> Iterator[Item]:
    """Sentences whose phones all have units."""
    espeak = PacedEspeak({speaker.variant: speaker.definition for speaker in speakers})
    teacher, random = Teacher(espeak), np.random.default_rng(_SEED)
    known = frozenset(units.phones)
    for sentence in sentences:
        index = int(random.integers(len(speakers)))
        espeak.pace = float(random.uniform(*_PACES))
        lesson = teacher.say(sentence.phrases, speakers[index])
        if lesson is not None and known.issuperset(lesson.phones):
            yield _item(sentence, index, lesson, units)


def _item(sentence: Sentence, speaker: int, lesson: Lesson, units: Units) -> Item:
    """Pitch is of no interest, nor are the text symbols."""
    phone = np.array([units.phones.index(name) for name in lesson.phones], np.int64)
    speech = units.ids(phone, np.zeros_like(phone), lesson.positions)
    mel = MelSpectrogram()((lesson.samples / 32768.0).astype(np.float32))
    nothing = np.zeros(0, np.int64)
    return Item(
        text=nothing,
        speech=speech,
        align=np.zeros_like(speech),
        speaker=speaker,
        language=LANGUAGES.index(sentence.language),
        sentence=sentence.text,
        mel=mel,
        f0=np.zeros(len(mel), np.float32),
        audio=lesson.samples,
    )

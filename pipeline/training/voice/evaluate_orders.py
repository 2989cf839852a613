"""Orders in English, spoken by the voice and by its teacher, as pocketsphinx hears them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.text.english import load_english
from pipeline.training.voice.espeak import SAMPLE_RATE, Espeak
from pipeline.training.voice.evaluate_speech import Sentence, VoiceUnderTest
from pipeline.training.voice.evaluate_words import WordListener, closed_sentences, word_error_rate
from pipeline.training.voice.speakers import SPEAKERS, Speaker
from pipeline.training.voice.teacher import Phrase, Teacher
from pipeline.types import I16

MAX_TEACHER_ERRORS = 0.15  # where it hears the teacher worse than this, it is no judge of the voice
_ROOM_S, _ROOM_LEVEL = 0.3, 20.0  # before and after, and its noise in int16 steps, -64 dB


@dataclass(frozen=True, slots=True)
class OrderErrors:
    """Word error rates of one speaker."""

    voice: str
    spoken: float
    taught: float
    num_words: int


def hear_orders(voice: VoiceUnderTest, *, num_sentences: int, seed: int = 0) -> list[OrderErrors]:
    """The same sentences by every speaker whom the listener hears well enough in the teacher.

    Raises:
        MissingExtra: pocketsphinx is not installed.
    """
    listener = WordListener()
    teacher = Teacher(Espeak({speaker.variant: speaker.definition for speaker in SPEAKERS}))
    sentences = closed_sentences(num_sentences, seed)
    num_words = sum(len(sentence.split()) for sentence in sentences)
    errors = []
    for speaker in SPEAKERS:
        taught = [listener(in_a_room(teach(teacher, text, speaker)), SAMPLE_RATE) for text in sentences]
        taught_errors = word_error_rate(sentences, taught)
        if speaker.name not in voice.bundle.manifest.voices or taught_errors > MAX_TEACHER_ERRORS:
            continue
        spoken = [
            listener(in_a_room(voice.speak(Sentence(f"{text}.", speaker.name, "en", None)).samples), voice.sample_rate)
            for text in sentences
        ]
        errors.append(OrderErrors(speaker.name, word_error_rate(sentences, spoken), taught_errors, num_words))
    return errors


def teach(teacher: Teacher, text: str, speaker: Speaker) -> I16:
    """English as the frontend reads it, said by the teacher."""
    english = load_english()
    words = tuple(tuple(f"en:{phone}" for phone in english.phones(word)) for word in text.split())
    lesson = teacher.say([Phrase("en", words, ".")], speaker)
    return np.zeros(0, np.int16) if lesson is None else lesson.samples


def summarize(errors: Sequence[OrderErrors]) -> dict[str, object] | None:
    """Means over the speakers; None where the listener hears none of them well enough in the teacher."""
    if not errors:
        return None
    spoken, taught = (float(np.mean([getattr(e, key) for e in errors])) for key in ("spoken", "taught"))
    return {
        "word_errors": spoken,
        "word_errors_teacher": taught,
        "above_teacher": spoken - taught,
        "words": sum(e.num_words for e in errors),
        "by_voice": {e.voice: [e.spoken, e.taught] for e in errors},
    }


def in_a_room(samples: I16) -> I16:
    """With a little noise: perfect silence, as the teacher's, spoils the listener's estimate of the channel."""
    padded = np.pad(samples.astype(np.float64), round(_ROOM_S * SAMPLE_RATE))
    noise = np.random.default_rng(0).normal(0.0, _ROOM_LEVEL, len(padded))
    return np.clip(np.rint(padded + noise), -32768, 32767).astype(np.int16)

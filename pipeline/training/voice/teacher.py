"""Text symbols to taught speech: the teacher is told exactly the sounds to make, and says when each of them began.

Every symbol is written in the teacher's notation (pinyin, jyutping or phonemes), each phone it speaks is given back to
the symbol that asked for it, and the whole is laid on the grid of speech tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.training.voice.espeak import SAMPLE_RATE, WORD, Espeak, Recording
from pipeline.training.voice.features import TOKEN_SAMPLES
from pipeline.training.voice.notation import NOTATIONS, Notation
from pipeline.training.voice.ownership import Word
from pipeline.training.voice.speakers import RATE, Speaker
from pipeline.types import F64, I16, I64

SILENCE = "sil"
START = "^"
_PAUSE_S = {",": 0.24, ".": 0.4, "!": 0.4, "?": 0.4, "|": 0.1, "": 0.0}
_START_S = 0.08
_END_S = 0.28
_FADE = 64  # samples at a cut
_CONTINUES = ("", "|")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of one language, spoken in one breath.

    `mark` follows it: one of `,` `.` `!` `?`, a short pause `|`, or nothing where the language changes.
    """

    language: str
    words: tuple[Word, ...]
    mark: str

    @property
    def symbols(self) -> list[str]:
        return [symbol for word in self.words for symbol in word] + ([self.mark] if self.mark else [])


@dataclass(frozen=True, slots=True)
class Lesson:
    """An utterance as taught. Of each speech token: its phone, its place in the phone, and whose sound it is."""

    symbols: tuple[str, ...]
    samples: I16  # i16 [num_tokens * 882]
    phones: tuple[str, ...]  # of each token
    positions: I64  # i64 [num_tokens], counted from the phone's start
    owners: I64  # i64 [num_tokens], index into symbols


@dataclass(frozen=True, slots=True)
class Sound:
    """A phone from `start` (sample) to the next one, and the symbols that share it."""

    start: int
    phone: str
    owners: tuple[int, ...]


class Teacher:
    """Speaks utterances for a speaker; None where the phones cannot be told apart by symbol."""

    def __init__(self, espeak: Espeak) -> None:
        self._espeak = espeak

    def say(self, phrases: Sequence[Phrase], speaker: Speaker) -> Lesson | None:
        symbols = [START]
        sounds = [Sound(0, SILENCE, (0,))]
        parts = [np.zeros(round(_START_S * SAMPLE_RATE), np.int16)]
        length = len(parts[0])
        for index, phrase in enumerate(phrases):
            spoken = self._phrase(phrase, speaker)
            if spoken is None:
                return None
            samples, phones = spoken
            sounds += [
                Sound(length + s.start, s.phone, tuple(len(symbols) + owner for owner in s.owners)) for s in phones
            ]
            symbols += phrase.symbols
            length += len(samples)
            if phrase.mark:
                sounds.append(Sound(length, SILENCE, (len(symbols) - 1,)))
            pause_s = _END_S if index == len(phrases) - 1 else _PAUSE_S[phrase.mark]
            parts += [samples, np.zeros(round(pause_s * SAMPLE_RATE), np.int16)]
            length += len(parts[-1])
        num_tokens = length // TOKEN_SAMPLES
        if num_tokens < sum(len(sound.owners) for sound in sounds):
            return None
        phones_of, positions, owners = _lay_out(sounds, num_tokens)
        audio = np.concatenate(parts)[: num_tokens * TOKEN_SAMPLES]
        return Lesson(tuple(symbols), audio, phones_of, positions, owners)

    def _phrase(self, phrase: Phrase, speaker: Speaker) -> tuple[I16, list[Sound]] | None:
        """Audio from the first phone to the end of the last, and its sounds; owners count the phrase's own symbols."""
        notation = NOTATIONS[phrase.language]
        text = notation.write(phrase.words) + ("," if phrase.mark in _CONTINUES else phrase.mark)
        recording = self._espeak.speak(
            text,
            f"{notation.voice}+{speaker.variant}",
            rate=RATE,
            pitch=notation.pitch,
            pitch_range=notation.pitch_range,
            volume=speaker.volume,
        )
        events, end = _speech_events(recording, notation)
        owners = notation.owners(phrase.words, [name for _, name in events])
        if owners is None or not events:
            return None
        first = events[0][0] if events[0][1] not in notation.boundaries else events[1][0]
        sounds = [
            Sound(start - first, _phone_name(phrase.language, name), whose)
            for (start, name), whose in zip(_without(events, notation.boundaries), owners, strict=True)
        ]
        return _faded(recording.samples[first:end]), sounds


def _speech_events(recording: Recording, notation: Notation) -> tuple[list[tuple[int, str]], int]:
    """Phones and boundaries up to the closing pause, and the sample at which that begins."""
    end = len(recording.samples)
    events = [event for event in recording.events if event[1] != WORD and event[1] not in notation.silent]
    while events and (_is_pause(events[-1][1]) or events[-1][1] in notation.boundaries):
        end = events.pop()[0]
    return [event for event in events if not _is_pause(event[1]) or event[1] in notation.boundaries], end


def _is_pause(name: str) -> bool:
    return (name.startswith("_") and name != _GLIDE) or name.startswith("(")


def _without(events: Iterable[tuple[int, str]], names: frozenset[str]) -> list[tuple[int, str]]:
    return [event for event in events if event[1] not in names]


def _phone_name(language: str, mnemonic: str) -> str:
    """Sounds that the teacher makes alike in all languages are one phone."""
    return mnemonic if mnemonic in _COMMON_PHONES else f"{language}:{mnemonic}"


_COMMON_PHONES = frozenset(("m", "n", "N", "f", "s", "j", "w", "h", "l"))
_GLIDE = "_j"  # a phone of Japanese; all other names with this beginning are pauses


def _faded(samples: I16) -> I16:
    """Without a click at a cut that does not end in silence."""
    ramp = np.linspace(0.0, 1.0, min(_FADE, len(samples) // 2))
    faded = samples.astype(np.float64)
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded.astype(np.int16)


def _lay_out(sounds: Sequence[Sound], num_tokens: int) -> tuple[tuple[str, ...], I64, I64]:
    """Of each token: phone, position and owner. Symbols that share a sound divide it."""
    starts = np.array([sound.start for sound in sounds]) / TOKEN_SAMPLES
    shortest = np.array([len(sound.owners) for sound in sounds])
    bounds = np.append(token_starts(starts, shortest, num_tokens), num_tokens)
    phones: list[str] = []
    positions: list[int] = []
    owners: list[int] = []
    for sound, start, end in zip(sounds, bounds[:-1], bounds[1:], strict=True):
        count = int(end - start)
        phones += [sound.phone] * count
        positions += range(count)
        owners += [sound.owners[k * len(sound.owners) // count] for k in range(count)]
    return tuple(phones), np.array(positions, np.int64), np.array(owners, np.int64)


def token_starts(starts: F64, shortest: I64, num_tokens: int) -> I64:
    """The token at which each sound begins: near its time, in order, none too short (by least squares).

    Args:
        starts: f64 [n], in tokens, not falling; the first is 0.
        shortest: i64 [n], tokens that each sound lasts at the least.
    """
    before = np.cumsum(shortest) - shortest
    room = num_tokens - int(shortest.sum())
    spaced = np.clip(_rising(starts - before), 0, room)
    return (np.round(spaced).astype(np.int64) + before).astype(np.int64)


def _rising(values: F64) -> F64:
    """The nearest sequence that never falls, by pooling adjacent violators."""
    means: list[float] = []
    counts: list[int] = []
    for value in values:
        means.append(float(value))
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            mean, count = means.pop(), counts.pop()
            means[-1] = (means[-1] * counts[-1] + mean * count) / (counts[-1] + count)
            counts[-1] += count
    return np.repeat(means, counts)

"""The frozen dataclasses that cross a stage boundary; everything a stage needs travels in them by value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I16 = NDArray[np.int16]

Profile = Literal["exact", "fast"]  # how the flow is solved, see pipeline.token2wav.solver


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One request for speech, already validated at the door.

    `speed` scales the duration by its inverse without changing pitch (0.25 to 4.0). With a `seed` the audio is
    reproducible, alone or in any batch. `language` (zh, en, ja, ko, yue) is a hint for text that does not say.
    """

    text: str
    voice: str
    speed: float = 1.0
    seed: int | None = None
    language: str | None = None
    normalize: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """Reference speech for zero-shot voices, as the official code stores it with a speaker."""

    text_ids: I64  # i64 [N]
    speech_tokens: I64  # i64 [P]
    mel: F32  # f32 [T, mel_bins], the mel spectrogram of the same audio


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker, by value: any replica can speak it."""

    name: str
    embedding: F32  # f32 [spk_embed_dim], as stored, not normalized
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One piece of a request, ready for the acoustic model."""

    text: str  # the normalized piece, for logs and previews
    text_ids: tuple[int, ...]
    voice: Voice
    seed: int
    speed: float = 1.0
    pause_s: float = 0.0  # silence after this piece, on top of what the model says
    is_continuation: bool = False  # not a request's first piece: its client already hears the one before


@dataclass(frozen=True, slots=True)
class SpeechTokens:
    """Consecutive speech tokens of one utterance, in order; the last group may be empty."""

    ids: I64  # i64 [n]
    is_last: bool


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Consecutive mono samples of one utterance; may be empty while the decoder waits for context."""

    samples: I16  # int16 [n]
    sample_rate: int  # Hz


@dataclass(frozen=True, slots=True)
class DecodeState:
    """What token2wav must know of the utterance so far. It travels with the data: replicas keep nothing.

    Counters are absolute within the utterance. `mel` ends at `num_mel_frames` and holds only the frames that the
    next chunk still needs.
    """

    token_ids: I64  # i64 [n], tokens from the left context on, incl. those whose frames are not final yet
    num_tokens: int  # tokens received so far
    mel: F32  # f32 [t, mel_bins], the last final frames (vocoder context)
    num_mel_frames: int  # mel frames final so far, before the speed change
    provisional_mel: F32  # f32 [t, mel_bins], frames past the final ones, to cross-fade with the next chunk
    num_audio_frames: int  # mel frames (after the speed change) already sent as audio
    phase_cycles: float  # of the fundamental where the vocoder's next window begins, in cycles [0, 1)

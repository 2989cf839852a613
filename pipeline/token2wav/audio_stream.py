"""Samples while the mel of an utterance still grows.

A frame is vocoded once its F0 is final, which takes `f0_context_frames` more, so that the carried phase of the source
goes on where it stopped. Of the `context_frames` of mel and source that it also depends on, those after the final mel
may be provisional: they fade into the final ones from here on, so hardly differ where the frame still feels them. The
next window has the same frames as context, of which the vocoder computes only what the new samples need. Where nothing
provisional is known, frames wait for all of their context, and chunks joined are what the whole mel gives at once, up
to float rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.token2wav.speed import TimeScale
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, DecodeState, Utterance


@dataclass(frozen=True, slots=True)
class _Window:
    """Absolute frames after the speed change. Mel [f0_start, stop) gives F0 and source [start, source_stop), which
    give samples [audio_start, audio_stop)."""

    f0_start: int
    start: int
    audio_start: int
    audio_stop: int
    source_stop: int
    stop: int


class AudioStream:
    """Extends the audio of an utterance; all that it must remember is in the DecodeState."""

    def __init__(self, vocoder: OnnxVocoder) -> None:
        self._vocoder = vocoder
        self._context = vocoder.spec.context_frames
        self._f0_context = vocoder.spec.f0_context_frames

    def extend(self, state: DecodeState, utterance: Utterance, *, is_last: bool) -> tuple[F32, DecodeState]:
        """Samples f32 [n] that became final with the mel in `state`, and the state without what they used up."""
        time = TimeScale(utterance.speed)
        window = self._window(state, time, is_last)
        if window.audio_stop <= window.audio_start:
            return np.zeros(0, np.float32), state
        known_mel = np.concatenate([state.mel, state.provisional_mel])
        mel = time.stretch(known_mel, state.num_mel_frames - len(state.mel), window.f0_start, window.stop)
        source_frames = slice(window.start - window.f0_start, window.source_stop - window.f0_start)
        f0, mel = self._vocoder.f0(mel)[source_frames], mel[source_frames]
        phases = self._vocoder.source.phases(f0, state.phase_cycles)
        source = self._vocoder.source.make(f0, phases[:-1], utterance.seed, window.start)
        before, after = window.audio_start - window.start, window.source_stop - window.audio_stop
        wave = self._vocoder.wave(mel, source, before=before, after=after)
        next_start = max(0, window.audio_stop - self._context)
        first_kept = time.first_needed(max(0, next_start - self._f0_context))
        return wave, replace(
            state,
            mel=state.mel[max(0, len(state.mel) - (state.num_mel_frames - first_kept)) :],
            num_audio_frames=window.audio_stop,
            phase_cycles=float(phases[next_start - window.start]),
        )

    def _window(self, state: DecodeState, time: TimeScale, is_last: bool) -> _Window:
        if is_last:
            audio_stop = source_stop = stop = time.num_total(state.num_mel_frames)
        else:
            num_final, num_known = (
                time.num_ready(num) for num in (state.num_mel_frames, state.num_mel_frames + len(state.provisional_mel))
            )
            audio_stop = min(num_final, num_known - self._context) - self._f0_context
            source_stop = audio_stop + self._context
            stop = source_stop + self._f0_context
        start = max(0, state.num_audio_frames - self._context)
        f0_start = max(0, start - self._f0_context)
        return _Window(f0_start, start, state.num_audio_frames, audio_stop, source_stop, stop)

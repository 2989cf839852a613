"""Mel frames while the speech tokens of an utterance still arrive.

Every call solves the flow over a window: tokens already spoken, as left context, the new ones, and the last ones, whose
frames stay provisional because they lack right context. A frame has the same noise in every window, so windows agree
up to their context; provisional frames are cross-faded into those of the next window.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.token2wav.flow import OnnxFlow, num_prompt_frames_of
from pipeline.token2wav.noise import NoiseStream, gaussian_frames
from pipeline.token2wav.regulator import unfinished, whole
from pipeline.types import F32, DecodeState, SpeechTokens, Utterance

# Mean distance of streamed from whole log-mel, bundled voice, four languages, groups of 0.4, 0.8, 1.6 s and the rest (a
# shift by one frame is 0.28): 0.143, 0.146, 0.149 with 0.2, 0.16, 0.12 s of lookahead, and 0.154 with 0.12 s and 1 s of
# left context. What costs is the number of windows: 0.217 when groups grow by 1.6 instead of 2. The margin over 1 s is
# for models whose flow uses more context than that small one.
LEFT_CONTEXT_S = 1.5
LOOKAHEAD_S = 0.12
MIN_STEP_S = 0.16
# A window begins at a multiple of this, so that the U-Net's halving of the frame rate falls on the same frames in
# every window, for up to four levels.
FRAME_ALIGNMENT = 8


class MelStream:
    """Extends the mel of an utterance; all that it must remember is in the DecodeState.

    Args:
        left_context_s: how much of what was spoken is solved again as context; its cost is that of as much new speech.
        lookahead_s: how much stays provisional, so how much later audio comes.
        min_step_s: fewer new frames than that wait for more tokens, so that single tokens do not cost a window each.
    """

    def __init__(
        self,
        flow: OnnxFlow,
        *,
        left_context_s: float = LEFT_CONTEXT_S,
        lookahead_s: float = LOOKAHEAD_S,
        min_step_s: float = MIN_STEP_S,
    ) -> None:
        manifest = flow.manifest
        self._flow = flow
        self._left_context = round(left_context_s * manifest.token_rate)  # tokens
        self._lookahead = round(lookahead_s * manifest.token_rate)  # tokens
        self._min_step = manifest.num_mel_frames(round(min_step_s * manifest.token_rate))  # frames

    def extend(self, state: DecodeState, tokens: SpeechTokens, utterance: Utterance) -> DecodeState:
        """Adds the tokens, and the mel frames that became final with them."""
        state = replace(
            state,
            token_ids=np.concatenate([state.token_ids, tokens.ids]),
            num_tokens=state.num_tokens + len(tokens.ids),
        )
        num_final_tokens = state.num_tokens if tokens.is_last else max(0, state.num_tokens - self._lookahead)
        num_new_frames = self._num_frames(num_final_tokens) - state.num_mel_frames
        if num_new_frames < (1 if tokens.is_last else self._min_step):
            return state
        frames = self._frames_after(state, tokens.is_last, utterance)
        first_kept = max(0, num_final_tokens - self._left_context)
        return replace(
            state,
            token_ids=state.token_ids[first_kept - state.num_tokens :] if first_kept < state.num_tokens else _NO_TOKENS,
            mel=np.concatenate([state.mel, frames[:num_new_frames]]),
            num_mel_frames=state.num_mel_frames + num_new_frames,
            provisional_mel=frames[num_new_frames:],
        )

    def _num_frames(self, num_tokens: int) -> int:
        return self._flow.manifest.num_mel_frames(num_tokens)

    def _frames_after(self, state: DecodeState, is_last: bool, utterance: Utterance) -> F32:
        """All frames after the final ones, as far as there are tokens: f32 [t, mel_bins]."""
        num_known = state.num_mel_frames + len(state.provisional_mel)
        if num_known == self._num_frames(state.num_tokens):
            return state.provisional_mel  # no token came since they were made
        start, window = self._solve(state, is_last, utterance)
        return cross_fade(state.provisional_mel, window[state.num_mel_frames - start :])

    def _solve(self, state: DecodeState, is_last: bool, utterance: Utterance) -> tuple[int, F32]:
        """The first frame of the window, and its mel."""
        manifest = self._flow.manifest
        first_token = state.num_tokens - len(state.token_ids)
        start = -(-self._num_frames(first_token) // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
        placed = (whole if is_last else unfinished)(manifest, state.num_tokens)
        interpolation = placed.frames(start).within(first_token, state.num_tokens)
        z = self._noise(utterance, start, self._num_frames(state.num_tokens))
        return start, self._flow.mel(state.token_ids, utterance.voice, z, interpolation)

    def _noise(self, utterance: Utterance, start: int, stop: int) -> F32:
        """Noise of the prompt's frames and of frames [start, stop)."""
        bins, seed = self._flow.spec.mel_bins, utterance.seed
        z = gaussian_frames(seed, NoiseStream.FLOW, start, stop, bins)
        if not (num_prompt_frames := num_prompt_frames_of(utterance.voice)):
            return z
        return np.concatenate([gaussian_frames(seed, NoiseStream.PROMPT, 0, num_prompt_frames, bins), z])


_NO_TOKENS = np.zeros(0, np.int64)


def cross_fade(old: F32, new: F32) -> F32:
    """`new`, its first frames faded in from `old` by a raised cosine: f32 [t, mel_bins]."""
    overlap = min(len(old), len(new))
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1))
    faded = new.copy()
    faded[:overlap] += (1 - rise.astype(np.float32))[:, None] * (old[:overlap] - new[:overlap])
    return faded

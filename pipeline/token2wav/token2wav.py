"""Speech tokens to audio, chunk by chunk: the flow makes mel frames, the vocoder makes samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import StageFailed, TTSError
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.audio_stream import AudioStream
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.mel_stream import LEFT_CONTEXT_S, LOOKAHEAD_S, MelStream
from pipeline.token2wav.solver import Profile
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, I16, AudioChunk, DecodeState, SpeechTokens, Utterance

INT16_MAX = 32767


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """The arguments of one `decode`."""

    tokens: SpeechTokens
    utterance: Utterance
    state: DecodeState | None


Decoded = tuple[AudioChunk, DecodeState]


class OnnxToken2Wav:
    """The token2wav stage in process. It holds sessions only, so any instance continues any utterance.

    A whole utterance is one call with `is_last`, and is then computed as the official code does without streaming.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision,
        num_threads: int,
        *,
        profile: Profile = "exact",
        left_context_s: float = LEFT_CONTEXT_S,
        lookahead_s: float = LOOKAHEAD_S,
    ) -> None:
        self.manifest = bundle.manifest
        self.flow = OnnxFlow(bundle, precision, num_threads, profile)
        self.vocoder = OnnxVocoder(bundle, precision, num_threads)
        self._mel = MelStream(self.flow, left_context_s=left_context_s, lookahead_s=lookahead_s)
        self._audio = AudioStream(self.vocoder)

    def decode(self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None) -> Decoded:
        """Audio that became final with these tokens, maybe none yet, and the state for the next call.

        Args:
            state: what the last call of this utterance returned; None starts an utterance.

        Raises:
            StageFailed: a token that the model does not have, or ONNX Runtime failed.
        """
        self._check(tokens)
        try:
            state = self._mel.extend(self.initial_state() if state is None else state, tokens, utterance)
            samples, state = self._audio.extend(state, utterance, is_last=tokens.is_last)
        except TTSError:
            raise
        except Exception as error:  # ONNX Runtime's own errors do not pickle across processes
            raise StageFailed(f"token2wav failed on {utterance.text!r}: {error}") from None
        return AudioChunk(to_int16(samples), self.manifest.sample_rate), state

    def decode_batch(self, jobs: Sequence[DecodeJob]) -> list[Decoded | Exception]:
        """One result per job, in order; a job that fails has its exception there.

        The jobs run one after the other. In a shared run matrix products of another shape round otherwise (8e-6 in one
        evaluation at the sizes of 300M), so a job's samples would depend on the others. It would gain nothing either:
        the stage is bound by arithmetic, not by reading weights, and 2, 4, 8 rows took 264, 541, 1020 ms there. Nor are
        threads left for a second job, as the halves of one are computed side by side.
        """
        return [self._decode_job(job) for job in jobs]

    def initial_state(self) -> DecodeState:
        nothing = np.zeros((0, self.manifest.flow.mel_bins), np.float32)
        return DecodeState(np.zeros(0, np.int64), 0, nothing, 0, nothing, 0, 0.0)

    def _decode_job(self, job: DecodeJob) -> Decoded | Exception:
        try:
            return self.decode(job.tokens, job.utterance, job.state)
        except Exception as error:
            return error

    def _check(self, tokens: SpeechTokens) -> None:
        limit = self.manifest.lm.num_speech_tokens
        wrong = tokens.ids[(tokens.ids < 0) | (tokens.ids >= limit)]
        if len(wrong):
            raise StageFailed(f"speech token {wrong[0]} does not exist: the model has 0 to {limit - 1}.")


def to_int16(samples: F32) -> I16:
    """[-1, 1] to int16, rounded; beyond is clipped."""
    return np.clip(np.rint(samples * INT16_MAX), -INT16_MAX - 1, INT16_MAX).astype(np.int16)

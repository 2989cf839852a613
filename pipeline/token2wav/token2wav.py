"""Speech tokens to audio, chunk by chunk: the flow makes mel frames, the vocoder makes samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.errors import StageFailed, TTSError
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.core_claims import CoreClaims
from pipeline.token2wav.audio_stream import AudioStream
from pipeline.token2wav.flow import OnnxFlow
from pipeline.token2wav.lane_jobs import Lane, LaneJobs
from pipeline.token2wav.mel_stream import LEFT_CONTEXT_S, LOOKAHEAD_S, MelStream
from pipeline.token2wav.solver import Solver
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, I16, AudioChunk, DecodeState, Profile, SpeechTokens, Utterance, Voice

INT16_MAX = 32767
WARM_UP_SOLVER = Solver(np.array([0.0, 0.5, 1.0]), num_guided=1)  # a step with guidance and one without


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """The arguments of one `decode`."""

    tokens: SpeechTokens
    utterance: Utterance
    state: DecodeState | None

    @property
    def is_awaited(self) -> bool:
        """Whether the request's client has heard nothing yet."""
        return not self.utterance.is_continuation and (self.state is None or self.state.num_audio_frames == 0)


Decoded = tuple[AudioChunk, DecodeState]
_Streams = tuple[MelStream, AudioStream]


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
        niceness: int = 0,
        claims: CoreClaims | None = None,
    ) -> None:
        self.manifest = bundle.manifest
        self.flow = OnnxFlow(bundle, precision, num_threads, profile)
        self.vocoder = OnnxVocoder(bundle, precision, num_threads)
        self._jobs = LaneJobs(self.vocoder.num_lanes, niceness=niceness, claims=claims)
        self._contexts = left_context_s, lookahead_s
        self._streams = _streams(self.flow, self.vocoder, *self._contexts)
        self._lane_streams = [
            _streams(self.flow.on_lane(lane), self.vocoder.on_lane(lane), *self._contexts)
            for lane in range(self.vocoder.num_lanes)
        ]

    def decode(self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None) -> Decoded:
        """Audio that became final with these tokens, maybe none yet, and the state for the next call.

        Args:
            state: what the last call of this utterance returned; None starts an utterance.

        Raises:
            StageFailed: a token that the model does not have, or ONNX Runtime failed.
        """
        return self._decode(DecodeJob(tokens, utterance, state), None)

    def _decode(self, job: DecodeJob, lane: Lane) -> Decoded:
        tokens, utterance, state = job.tokens, job.utterance, job.state
        mel, audio = self._streams if lane is None else self._lane_streams[lane]
        self._check(tokens)
        try:
            state = mel.extend(self.initial_state() if state is None else state, tokens, utterance)
            samples, state = audio.extend(state, utterance, is_last=tokens.is_last)
        except TTSError:
            raise
        except Exception as error:  # ONNX Runtime's own errors do not pickle across processes
            raise StageFailed(f"token2wav failed on {utterance.text!r}: {error}") from None
        return AudioChunk(to_int16(samples), self.manifest.sample_rate), state

    def submit(self, jobs: Sequence[DecodeJob]) -> list[Future[Decoded]]:
        """Decodes on threads of the stage's own: a job that is alone on all lanes, several on a lane each.

        Who has heard nothing yet goes first: a stream that is being heard has audio for a while.

        The jobs share no run. In a shared run matrix products of another shape round otherwise (8e-6 in one evaluation
        at the sizes of 300M), so a job's samples would depend on the others. It would gain nothing either: the stage is
        bound by arithmetic, not by reading weights, and 2, 4, 8 rows took 264, 541, 1020 ms there.
        """
        return self._jobs.submit([partial(self._decode, job) for job in jobs], [job.is_awaited for job in jobs])

    def decode_batch(self, jobs: Sequence[DecodeJob]) -> list[Decoded | Exception]:
        """One result per job, in order, once all are there; a job that fails has its exception there."""
        return [_outcome(future) for future in self.submit(jobs)]

    def close(self) -> None:
        """Waits for the jobs that were submitted."""
        self._jobs.close()

    def warm_up(self, groups_s: Sequence[float]) -> None:
        """Streams groups of these lengths with a flow of two steps, so that no request meets a session's first run."""
        flow = copy(self.flow)
        flow.solver = WARM_UP_SOLVER
        voice = Voice("warm-up", np.ones(self.manifest.lm.speaker_size, np.float32))
        utterance, state = Utterance("warm-up", (), voice, seed=0), self.initial_state()
        mel, audio = _streams(flow, self.vocoder, *self._contexts)
        for group_s in groups_s:
            tokens = SpeechTokens(np.zeros(round(group_s * self.manifest.token_rate), np.int64), is_last=False)
            _, state = audio.extend(mel.extend(state, tokens, utterance), utterance, is_last=False)

    def initial_state(self) -> DecodeState:
        nothing = np.zeros((0, self.manifest.flow.mel_bins), np.float32)
        return DecodeState(np.zeros(0, np.int64), 0, nothing, 0, nothing, 0, 0.0)

    def _check(self, tokens: SpeechTokens) -> None:
        limit = self.manifest.lm.num_speech_tokens
        wrong = tokens.ids[(tokens.ids < 0) | (tokens.ids >= limit)]
        if len(wrong):
            raise StageFailed(f"speech token {wrong[0]} does not exist: the model has 0 to {limit - 1}.")


def _streams(flow: OnnxFlow, vocoder: OnnxVocoder, left_context_s: float, lookahead_s: float) -> _Streams:
    return MelStream(flow, left_context_s=left_context_s, lookahead_s=lookahead_s), AudioStream(vocoder)


def _outcome(future: Future[Decoded]) -> Decoded | Exception:
    try:
        return future.result()
    except Exception as error:
        return error


def to_int16(samples: F32) -> I16:
    """[-1, 1] to int16, rounded; beyond is clipped."""
    return np.clip(np.rint(samples * INT16_MAX), -INT16_MAX - 1, INT16_MAX).astype(np.int16)

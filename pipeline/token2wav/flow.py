"""The flow on ONNX Runtime: speech tokens and voice to a mel spectrogram, from noise."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.prepared import open_session
from pipeline.runtime.session import Session
from pipeline.token2wav.lanes import Lanes
from pipeline.token2wav.regulator import Interpolation, joined, stretch, whole
from pipeline.token2wav.solver import solver_of
from pipeline.types import F32, I64, Profile, Voice


@dataclass(frozen=True, slots=True)
class Condition:
    """What the flow follows, at mel rate. The first `num_prompt_frames` frames repeat the voice's prompt."""

    mu: F32  # f32 [1, T, mel_bins]
    speaker: F32  # f32 [1, mel_bins]
    known: F32  # f32 [1, T, mel_bins], the prompt's mel, then zeros
    num_prompt_frames: int


class OnnxFlow:
    """Holds the sessions of the flow and nothing between calls.

    Guidance takes two evaluations at the same point, which run side by side. Neither depends on the other's values,
    not even in int8, where one run has one scale for all of its activations.
    """

    def __init__(self, bundle: Bundle, precision: Precision, num_threads: int, profile: Profile = "exact") -> None:
        self.manifest = bundle.manifest
        self.spec = bundle.manifest.flow
        self.solver = solver_of(profile, self.spec)
        self._encoder = open_session(bundle, "flow_encoder", precision, num_threads=num_threads)
        self._lanes = Lanes(bundle, "flow_estimator", precision, num_threads) if self.spec.guidance else None
        if self._lanes is None or (self._lanes.is_parallel and profile == "fast"):  # which evaluates single rows, too
            self._estimator = open_session(bundle, "flow_estimator", precision, num_threads=num_threads)
        else:
            self._estimator = self._lanes.left

    def on_lane(self, lane: int) -> OnnxFlow:
        """The same sessions and values, guided evaluations on one lane, so that two jobs can be made side by side."""
        flow = copy(self)
        flow._lanes = self._lanes and self._lanes.single(lane)
        return flow

    def mel(self, tokens: I64, voice: Voice, z: F32, interpolation: Interpolation | None = None) -> F32:
        """Mel of the tokens, f32 [T, mel_bins], from noise z f32 [prompt frames + T, mel_bins].

        Args:
            tokens: i64 [N], the utterance, or a window of it.
            interpolation: which tokens each frame lies between; None: `tokens` are the whole utterance.
        """
        condition = self.condition(tokens, voice, interpolation)
        return self.solve(condition, z)[condition.num_prompt_frames :]

    def condition(self, tokens: I64, voice: Voice, interpolation: Interpolation | None = None) -> Condition:
        """Encodes the tokens after those of the voice's prompt, if it has one."""
        frames = whole(self.manifest, len(tokens)) if interpolation is None else interpolation
        num_prompt_frames = num_prompt_frames_of(voice)
        if voice.prompt is not None and num_prompt_frames:
            prompt = voice.prompt.speech_tokens
            frames = joined(stretch(len(prompt), num_prompt_frames), frames.moved(len(prompt)))
            tokens = np.concatenate([prompt, tokens])
        encoded = self._encoder.run(
            {
                "tokens": tokens[None],
                "speaker": voice.embedding[None],
                "lower": frames.lower,
                "upper": frames.upper,
                "upper_weight": frames.upper_weight[:, None],
            }
        )
        known = np.zeros_like(encoded["mu"])
        if voice.prompt is not None and num_prompt_frames:
            known[0, :num_prompt_frames] = voice.prompt.mel
        return Condition(encoded["mu"], encoded["spks"], known, num_prompt_frames)

    def velocity(self, condition: Condition, x: F32, t: float) -> F32:
        """One evaluation at x f32 [T, mel_bins] and time t, without guidance: f32 [T, mel_bins]."""
        return _evaluate(self._estimator, condition, x, t)

    def solve(self, condition: Condition, z: F32) -> F32:
        """From noise z at t = 0 to t = 1: f32 [T, mel_bins], prompt frames included."""
        if self._lanes is not None:
            return self.solver.solve(_Guided(self, self._lanes, condition).velocity, z)
        return self.solver.solve(lambda x, t, _: self.velocity(condition, x, t), z)


def _evaluate(estimator: Session, condition: Condition, x: F32, t: float) -> F32:
    velocity: F32 = estimator.run(
        {
            "x": x[None],
            "mu": condition.mu,
            "spks": condition.speaker,
            "cond": condition.known,
            "t": np.array([t], np.float32),
        }
    )["velocity"][0]
    return velocity


class _Guided:
    """Classifier-free guidance (arXiv 2207.12598): away from what the flow does without its condition."""

    def __init__(self, flow: OnnxFlow, lanes: Lanes, condition: Condition) -> None:
        self._flow = flow
        self._lanes = lanes
        self._condition = condition
        mu, speaker, known = (np.zeros_like(array) for array in (condition.mu, condition.speaker, condition.known))
        self._nothing = Condition(mu, speaker, known, condition.num_prompt_frames)

    def velocity(self, x: F32, t: float, is_guided: bool) -> F32:
        """One evaluation, or two where guidance is added."""
        if not is_guided:
            return self._flow.velocity(self._condition, x, t)
        velocity, without = self._lanes.run(
            lambda estimator: _evaluate(estimator, self._condition, x, t),
            lambda estimator: _evaluate(estimator, self._nothing, x, t),
        )
        pushed: F32 = velocity - without
        return np.asarray(velocity + np.float32(self._flow.spec.guidance) * pushed, np.float32)


def num_prompt_frames_of(voice: Voice) -> int:
    """Mel frames that the voice's prompt puts in front of every window."""
    return len(voice.prompt.mel) if voice.prompt is not None and len(voice.prompt.speech_tokens) else 0

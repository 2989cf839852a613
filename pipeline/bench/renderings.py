"""What the graphs of a bundle make of a sentence in one precision, all of them fed with what the reference made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.audio.features import MelSpectrogram
from pipeline.config import AcousticConfig
from pipeline.runtime.bundle import Bundle, FlowSpec, Precision
from pipeline.token2wav.flow import Condition, OnnxFlow
from pipeline.token2wav.noise import NoiseStream, gaussian_frames
from pipeline.token2wav.solver import Solver, schedule, solver_of
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, I64, Profile, Utterance

REFERENCE_STEPS = 100  # of Euler's method, all with guidance
ESTIMATOR_TIME = 0.3
MAX_TOKENS = 250  # of a sentence
PROFILES: tuple[Profile, ...] = get_args(Profile)


def reference_solver(spec: FlowSpec) -> Solver:
    """So many small steps that more of them would change next to nothing."""
    return Solver(schedule(spec.schedule, REFERENCE_STEPS), REFERENCE_STEPS)


@dataclass(frozen=True, slots=True)
class Rendering:
    """One sentence in one precision. Fields after `tokens` are computed from the reference's values before them."""

    tokens: I64  # i64 [n], freely running
    draws: I64  # i64 [n], one after each of the reference's tokens, with one seed for each place
    text_hidden: F32  # f32 [N + 3, hidden_size], what the LM's decoder reads of text and speaker
    logits: F32  # f32 [n, num_speech_tokens + 1], before each of the reference's tokens
    mu: F32  # f32 [T, mel_bins]
    velocity: F32  # f32 [T, mel_bins], of the estimator at one point
    mels: dict[Profile, F32]  # f32 [T, mel_bins] by profile
    f0: F32  # f32 [T], Hz, of the reference's mel
    wave: F32  # f32 [T * hop_length], of the reference's mel
    spectrogram: F32  # f32 [t, mel_bins], log mel of the samples, from the reference's tokens through flow and vocoder


class Models:
    """The graphs of a bundle in one precision."""

    def __init__(self, bundle: Bundle, precision: Precision, num_threads: int) -> None:
        self._spec = bundle.manifest
        max_context = AcousticConfig().max_context
        self._lm = OnnxSpeechLM(bundle, precision, num_threads=num_threads, max_batch_size=1, max_context=max_context)
        self._flow = OnnxFlow(bundle, precision, num_threads)
        self._vocoder = OnnxVocoder(bundle, precision, num_threads)
        self._spectrogram = MelSpectrogram(sample_rate=bundle.manifest.sample_rate)

    def render(self, utterance: Utterance, reference: Rendering | None) -> Rendering:
        """`reference` None makes the reference itself. A zero-shot voice is spoken without its prompt."""
        utterance = replace(utterance, voice=replace(utterance.voice, prompt=None))
        prompt = LMPrompt(np.array(utterance.text_ids, np.int64), utterance.voice.embedding, np.zeros(0, np.int64))
        free = self._speak(prompt, utterance.seed)
        given = free if reference is None else reference.tokens
        logits = self._logits(prompt, given)
        z = self._noise(given, utterance.seed)
        condition = self._flow.condition(given, utterance.voice)
        shared = condition if reference is None else replace(condition, mu=reference.mu[None])
        mels = {profile: self.mel(condition, z, solver_of(profile, self._spec.flow)) for profile in PROFILES}
        heard = mels["exact"] if reference is None else reference.mels["exact"]
        f0 = self._vocoder.f0(heard)
        return Rendering(
            tokens=free,
            draws=self._draws(logits, given, utterance.seed),
            text_hidden=self._lm.prefix([prompt]).prefill_hidden[0, : 3 + len(utterance.text_ids)],
            logits=logits,
            mu=condition.mu[0],
            velocity=self._flow.velocity(shared, z, ESTIMATOR_TIME),
            mels=mels,
            f0=f0,
            wave=self._wave(heard, f0 if reference is None else reference.f0, utterance.seed),
            spectrogram=self._spectrogram(self._wave(mels["exact"], self._vocoder.f0(mels["exact"]), utterance.seed)),
        )

    def reference_mel(self, utterance: Utterance, tokens: I64) -> F32:
        """The mel f32 [T, mel_bins] at the end of many small steps, from the noise of the renderings."""
        voice = replace(utterance.voice, prompt=None)
        condition = self._flow.condition(tokens, voice)
        return self.mel(condition, self._noise(tokens, utterance.seed), reference_solver(self._spec.flow))

    def mel(self, condition: Condition, z: F32, solver: Solver) -> F32:
        self._flow.solver = solver
        return self._flow.solve(condition, z)

    def _noise(self, tokens: I64, seed: int) -> F32:
        return gaussian_frames(
            seed, NoiseStream.FLOW, 0, self._spec.num_mel_frames(len(tokens)), self._spec.flow.mel_bins
        )

    def _wave(self, mel: F32, f0: F32, seed: int) -> F32:
        source = self._vocoder.source.make(f0, self._vocoder.source.phases(f0, 0.0)[:-1], seed, 0)
        return self._vocoder.wave(mel, source)

    def _speak(self, prompt: LMPrompt, seed: int) -> I64:
        """Within the bounds on speech tokens per text token, as the engine keeps them."""
        spec = self._spec.lm
        sampler = Sampler.seeded(spec.sampling, spec.num_speech_tokens, seed)
        num_min, num_max = (
            min(MAX_TOKENS, max(1, int(rate * len(prompt.text_ids))))
            for rate in (spec.min_speech_per_text, spec.max_speech_per_text)
        )
        logits = self._lm.prefill([prompt])
        while len(sampler.history) < num_max:
            if sampler.draw(logits[0], may_end=len(sampler.history) >= num_min) == sampler.end_token:
                break
            logits = self._lm.decode(np.array(sampler.history[-1:], np.int64))
        self._lm.retire(0)
        return np.array(sampler.history, np.int64)

    def _logits(self, prompt: LMPrompt, tokens: I64) -> F32:
        rows = [self._lm.prefill([prompt])[0].copy()]
        rows += [self._lm.decode(tokens[index : index + 1])[0] for index in range(len(tokens) - 1)]
        self._lm.retire(0)
        return np.stack(rows)

    def _draws(self, logits: F32, tokens: I64, seed: int) -> I64:
        spec = self._spec.lm
        draws = []
        for index, row in enumerate(logits):
            sampler = Sampler.seeded(spec.sampling, spec.num_speech_tokens, seed + index)
            sampler.history = tokens[:index].tolist()
            draws.append(sampler.draw(row, may_end=True))
        return np.array(draws, np.int64)


def render_all(
    models: Models, utterances: Sequence[Utterance], references: Sequence[Rendering] | None
) -> Iterator[Rendering]:
    """One for each utterance; without references, the references."""
    for index, utterance in enumerate(utterances):
        yield models.render(utterance, None if references is None else references[index])

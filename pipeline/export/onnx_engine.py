"""The arrays of a golden file as the exported graphs compute them, through the code that serves."""

from __future__ import annotations

import numpy as np

from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.export.parity import ESTIMATOR_TIME, FlowPrompt
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.token2wav.flow import Condition, OnnxFlow
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import F32, I64, Prompt, Voice

NUM_THREADS = 1
MAX_CONTEXT = 2048


class OnnxEngine:
    def __init__(self, bundle: Bundle, precision: Precision) -> None:
        self.name = f"onnx {precision}"
        self.precision = precision
        self.is_exact = precision == "fp32"
        self._lm = OnnxSpeechLM(bundle, precision, num_threads=NUM_THREADS, max_batch_size=1, max_context=MAX_CONTEXT)
        self._speaker_size = bundle.manifest.lm.speaker_size
        self._flow = OnnxFlow(bundle, precision, NUM_THREADS)
        self._vocoder = OnnxVocoder(bundle, precision, NUM_THREADS)

    def text_encoder_out(self, text: I64) -> F32:
        speaker = np.zeros(self._speaker_size, np.float32)
        return self._lm.prefix([_prompt(text, speaker)]).text_encoder_out[:, : text.size]

    def prefill_input(self, text: I64, speaker: F32) -> F32:
        return self._lm.prefix([_prompt(text, speaker)]).prefill_input[:, : text.size + 3]

    def log_probs(self, text: I64, speaker: F32, tokens: I64) -> F32:
        rows = [self._begin(text, speaker)]
        rows += [self._lm.decode(tokens[:, index])[0] for index in range(tokens.shape[1] - 1)]
        self._lm.retire(0)
        return log_softmax(np.stack(rows))

    def greedy_tokens(self, text: I64, speaker: F32, num_tokens: int, min_tokens: int) -> I64:
        end_token = self._lm.num_speech_tokens
        tokens: list[int] = []
        logits = self._begin(text, speaker)
        while len(tokens) < num_tokens:
            token = int(logits[: end_token if len(tokens) < min_tokens else end_token + 1].argmax())
            if token == end_token:
                break
            tokens.append(token)
            logits = self._lm.decode(np.array([token], np.int64))[0]
        self._lm.retire(0)
        return np.array(tokens, np.int64)

    def mu(self, tokens: I64, prompt: FlowPrompt | None) -> F32:
        return self._condition(tokens, None, prompt).mu.transpose(0, 2, 1)

    def estimator(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32:
        velocity = self._flow.velocity(self._condition(tokens, speaker, prompt), z[0].T, ESTIMATOR_TIME)
        return velocity.T[None]

    def mel(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32:
        return self._flow.solve(self._condition(tokens, speaker, prompt), z[0].T).T[None]

    def f0(self, mel: F32) -> F32:
        return self._vocoder.f0(mel[0].T)[None]

    def wave(self, mel: F32, source: F32) -> F32:
        return self._vocoder.wave(mel[0].T, source.reshape(-1))[None]

    def _begin(self, text: I64, speaker: F32) -> F32:
        logits: F32 = self._lm.prefill([_prompt(text, speaker)])[0]
        return logits

    def _condition(self, tokens: I64, speaker: F32 | None, prompt: FlowPrompt | None) -> Condition:
        embedding = np.zeros(self._speaker_size, np.float32) if speaker is None else speaker.reshape(-1)
        known = None
        if prompt is not None:
            known = Prompt(np.zeros(0, np.int64), prompt.tokens[0], prompt.mel[0])
        return self._flow.condition(tokens[0], Voice("golden", embedding, known))


def _prompt(text: I64, speaker: F32) -> LMPrompt:
    return LMPrompt(text.reshape(-1).astype(np.int64), speaker.reshape(-1), np.zeros(0, np.int64))


def log_softmax(logits: F32) -> F32:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: F32 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result

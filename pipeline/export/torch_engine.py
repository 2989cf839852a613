"""The arrays of a golden file as the torch modules compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.export.checkpoint import Checkpoint
from pipeline.export.parity import ESTIMATOR_TIME, FlowPrompt
from pipeline.runtime.bundle import Precision
from pipeline.types import F32, I64


def _tensor(array: NDArray[Any]) -> Tensor:
    dtype = np.float32 if np.issubdtype(array.dtype, np.floating) else np.int64
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))


class TorchEngine:
    name = "torch"
    precision: Precision = "fp32"
    is_exact = True

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._lm, self._flow, self._hift = checkpoint.llm, checkpoint.flow, checkpoint.hift

    @torch.inference_mode()
    def text_encoder_out(self, text: I64) -> F32:
        return self._lm.text_encode(_tensor(text), torch.tensor([text.shape[1]])).numpy()

    @torch.inference_mode()
    def prefill_input(self, text: I64, speaker: F32) -> F32:
        return self._lm.prefill_input(_tensor(text), _tensor(speaker)).numpy()

    @torch.inference_mode()
    def log_probs(self, text: I64, speaker: F32, tokens: I64) -> F32:
        prefix = self._lm.prefill_input(_tensor(text), _tensor(speaker))
        return self._lm.teacher_forced(prefix, _tensor(tokens)).numpy()

    @torch.inference_mode()
    def greedy_tokens(self, text: I64, speaker: F32, num_tokens: int, min_tokens: int) -> I64:
        prefix = self._lm.prefill_input(_tensor(text), _tensor(speaker))
        return self._lm.greedy(prefix, num_tokens, min_tokens).numpy()

    @torch.inference_mode()
    def mu(self, tokens: I64, prompt: FlowPrompt | None) -> F32:
        return self._mu(tokens, prompt).numpy()

    @torch.inference_mode()
    def estimator(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32:
        mu = self._mu(tokens, prompt)
        velocity = self._flow.velocity(
            _tensor(z), mu, ESTIMATOR_TIME, self._flow.speaker(_tensor(speaker)), self._condition(mu, prompt)
        )
        return velocity.numpy()

    @torch.inference_mode()
    def mel(self, z: F32, tokens: I64, speaker: F32, prompt: FlowPrompt | None) -> F32:
        mu = self._mu(tokens, prompt)
        mel = self._flow.solve(_tensor(z), mu, self._flow.speaker(_tensor(speaker)), self._condition(mu, prompt))
        return mel.numpy()

    @torch.inference_mode()
    def f0(self, mel: F32) -> F32:
        f0: Tensor = self._hift.f0_predictor(_tensor(mel))
        return f0.numpy()

    @torch.inference_mode()
    def wave(self, mel: F32, source: F32) -> F32:
        return self._hift.decode(_tensor(mel), _tensor(source)).numpy()

    def _mu(self, tokens: I64, prompt: FlowPrompt | None) -> Tensor:
        if prompt is None:
            return self._flow.mu(_tensor(tokens))
        return self._flow.mu(_tensor(tokens), _tensor(prompt.tokens), prompt.mel.shape[1])

    def _condition(self, mu: Tensor, prompt: FlowPrompt | None) -> Tensor:
        return self._flow.condition(mu, None if prompt is None else _tensor(prompt.mel))

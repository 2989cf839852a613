"""Reads spk2info.pt: the fixed speakers of SFT models and the zero-shot speakers that the official code saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import BundleError
from pipeline.export.weights import read_pickle
from pipeline.model.config import ModelConfig
from pipeline.types import F32, I64, Prompt, Voice


def read_voices(file: Path, config: ModelConfig) -> list[Voice]:
    """Voices in the file's order. Raises BundleError naming file, speaker, key and cure."""
    speakers = read_pickle(file)
    if not isinstance(speakers, dict) or not speakers:
        raise BundleError(f"{file} holds no speakers by name: copy the spk2info.pt of an SFT or Instruct release.")
    return [_Speaker(file, name, entry).voice(config) for name, entry in speakers.items()]


class _Speaker:
    """One entry of the file; checks what it reads."""

    def __init__(self, file: Path, name: Any, entry: Any) -> None:
        self.file, self.name, self.entry = file, name, entry
        if not isinstance(name, str) or not name or not isinstance(entry, dict):
            raise self.error("is no named set of tensors")

    def voice(self, config: ModelConfig) -> Voice:
        size = config.lm.speaker_size
        if "embedding" in self.entry:
            return Voice(self.name, self._embedding("embedding", size))
        embedding = self._embedding("llm_embedding", size)
        if not (embedding == self._embedding("flow_embedding", size)).all():
            raise self.error("has different llm_embedding and flow_embedding")
        return Voice(self.name, embedding, self._prompt(config))

    def _prompt(self, config: ModelConfig) -> Prompt | None:
        text_ids = self._ids("prompt_text", config.lm.num_text_tokens)
        tokens = self._ids("llm_prompt_speech_token", config.lm.num_speech_tokens)
        flow_tokens = self._ids("flow_prompt_speech_token", config.flow.num_tokens)
        if tokens.shape != flow_tokens.shape or (tokens != flow_tokens).any():
            raise self.error("has different llm_prompt_speech_token and flow_prompt_speech_token")
        mel = self._floats("prompt_speech_feat")
        if mel.ndim != 3 or mel.shape[0] != 1 or mel.shape[2] != config.flow.mel_bins:
            raise self.error(f"prompt_speech_feat is {list(mel.shape)}, not [1, frames, {config.flow.mel_bins}]")
        if (len(tokens) == 0) != (mel.shape[1] == 0):
            raise self.error(f"has {len(tokens)} prompt tokens but {mel.shape[1]} prompt mel frames")
        return Prompt(text_ids, tokens, mel[0].numpy()) if len(tokens) else None

    def _embedding(self, key: str, size: int) -> F32:
        tensor = self._floats(key)
        if tensor.shape not in {(1, size), (size,)}:
            raise self.error(f"{key} is {list(tensor.shape)}, but cosyvoice.yaml says spk_embed_dim: {size}")
        if not tensor.any():
            raise self.error(f"{key} is zero everywhere")
        embedding: F32 = tensor.flatten().numpy()
        return embedding

    def _ids(self, key: str, num_ids: int) -> I64:
        tensor = self._tensor(key)
        if tensor.is_floating_point() or tensor.ndim != 2 or tensor.shape[0] != 1:
            raise self.error(f"{key} is {tensor.dtype} {list(tensor.shape)}, not whole numbers [1, n]")
        if ((tensor < 0) | (tensor >= num_ids)).any():
            raise self.error(f"{key} has ids outside 0..{num_ids - 1}")
        ids: I64 = tensor[0].long().numpy()
        return ids

    def _floats(self, key: str) -> Tensor:
        tensor = self._tensor(key)
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise self.error(f"{key} is {tensor.dtype} or not finite")
        return tensor.float().contiguous()

    def _tensor(self, key: str) -> Tensor:
        tensor = self.entry.get(key)
        if not isinstance(tensor, Tensor):
            raise self.error(f"has no tensor {key}")
        return tensor.detach()

    def error(self, problem: str) -> BundleError:
        return BundleError(
            f"{self.file}: speaker {self.name!r} {problem}: copy the file from the official release, or save the "
            "speaker again with the official code."
        )

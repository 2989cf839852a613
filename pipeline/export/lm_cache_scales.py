"""How far each channel of the LM's keys and values goes, for a KV cache of 8 bits.

The scales are constants: found at run time, they would change with each new position, and all older ones with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.export.quantize import MAX_LEVEL
from pipeline.model.encoder import KVCache
from pipeline.model.lm import TransformerLM
from pipeline.types import F32

MARGIN = 1.5  # of what was seen; beyond it values are cut off, within it a level is a little coarser
_NUM_EXAMPLES, _NUM_TEXT, _NUM_SPEECH = 3, 24, 48


@dataclass(frozen=True, slots=True)
class CacheScales:
    """Of one layer: one level of each channel, f32 [num_heads, head_dim]."""

    key: F32
    value: F32

    def padded(self, head_dim: int) -> tuple[F32, F32]:
        """Both as f32 [num_heads * head_dim], for heads with zeros behind their channels."""
        key, value = (
            np.pad(scale, ((0, 0), (0, head_dim - scale.shape[1])), constant_values=1.0).reshape(-1)
            for scale in (self.key, self.value)
        )
        return key, value


def measure_cache_scales(model: TransformerLM, speakers: Sequence[F32]) -> list[CacheScales]:
    """From seeded random texts, each spoken by one of the speakers, f32 [speaker_size], and from random speech."""
    size = model.config.decoder.head_dim
    peaks: list[Tensor] = []
    for cache in _caches(model, speakers):
        seen = [layer.abs().amax(dim=(0, 2)) for layer in cache]  # f32 [num_heads, 2 head_dim] of each layer
        peaks = [torch.maximum(*pair) for pair in zip(peaks, seen, strict=True)] if peaks else seen
    steps = [np.maximum(peak.numpy() * MARGIN / MAX_LEVEL, np.finfo(np.float32).tiny) for peak in peaks]
    return [CacheScales(step[:, :size], step[:, size:]) for step in steps]


@torch.inference_mode()
def _caches(model: TransformerLM, speakers: Sequence[F32]) -> Iterator[KVCache]:
    for seed in range(_NUM_EXAMPLES):
        random = torch.Generator().manual_seed(seed)
        text = torch.randint(model.config.num_text_tokens, (1, _NUM_TEXT), generator=random)
        speech = torch.randint(model.config.num_speech_tokens, (1, _NUM_SPEECH), generator=random)
        prefix = model.prefill_input(text, torch.from_numpy(speakers[seed % len(speakers)])[None])
        yield _spoken(model, prefix, random)
        yield model.step(torch.cat([prefix, model.speech_embedding(speech)], dim=1))[1]


def _spoken(model: TransformerLM, prefix: Tensor, random: torch.Generator) -> KVCache:
    """With speech that the model draws itself."""
    log_probs, cache = model.step(prefix)
    for _ in range(_NUM_SPEECH):
        log_probs[..., model.end_token] = -math.inf
        token = torch.multinomial(log_probs[0, -1].exp(), 1, generator=random)
        log_probs, cache = model.step(model.speech_embedding(token)[None], cache)
    return cache

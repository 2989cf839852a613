"""One utterance while its speech tokens are being made: what was drawn, when it ends, which groups leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.speech_lm import LMPrompt
from pipeline.acoustic.token_stream import TokenStream
from pipeline.config import ChunkSchedule
from pipeline.types import F32, SpeechTokens


def group_sizes(chunks: ChunkSchedule, token_rate: float) -> Iterator[int]:
    """Speech tokens per group, without end: a small first group, growing ones up to the longest."""
    size_s = chunks.first_s
    while True:
        yield max(1, round(size_s * token_rate))
        size_s = min(size_s * chunks.growth, chunks.max_s)


@dataclass(slots=True, eq=False)
class SpeechSequence:
    """Ends with the end token, which is barred for the first `min_tokens` draws, or after `max_tokens` draws."""

    prompt: LMPrompt
    stream: TokenStream
    sampler: Sampler
    min_tokens: int
    max_tokens: int
    sizes: Iterator[int]
    is_continuation: bool = False
    num_sent: int = 0
    next_sent: int = 0  # how many tokens must be drawn before the next group leaves

    def __post_init__(self) -> None:
        self.next_sent = next(self.sizes)

    @property
    def last_token(self) -> int:
        return self.sampler.history[-1]

    @property
    def is_abandoned(self) -> bool:
        return self.stream.is_closed

    @property
    def is_awaited(self) -> bool:
        """Whether its client has heard nothing yet, and nothing is on the way."""
        return not (self.is_continuation or self.num_sent)

    def advance(self, logits: F32) -> SpeechTokens | None:
        """Draws the next token and sends the group that it completes.

        Returns the final group when the sequence has ended; it is sent by whoever frees the slot first.
        """
        history = self.sampler.history
        token = self.sampler.draw(logits, may_end=len(history) >= self.min_tokens)
        if token == self.sampler.end_token or len(history) >= self.max_tokens:
            return self._next_group(is_last=True)
        if len(history) >= self.next_sent:
            self.stream.put(self._next_group(is_last=False))
        return None

    def _next_group(self, *, is_last: bool) -> SpeechTokens:
        group = np.array(self.sampler.history[self.num_sent :], np.int64)
        self.num_sent += len(group)
        self.next_sent = self.num_sent + next(self.sizes)
        return SpeechTokens(group, is_last)

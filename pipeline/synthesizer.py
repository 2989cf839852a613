"""The one path of a request, from text to audio chunks, and the Protocols of its three stages.

The same `Synthesizer.stream` runs in process (CLI, benchmark, tests) and across Ray, where the stages are deployment
handles. While one utterance is decoded to audio, the tokens of the next one are already being made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from pipeline.types import AudioChunk, DecodeState, SpeechRequest, SpeechTokens, Utterance


class TextFrontend(Protocol):
    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        """Pieces of the text in reading order, at least one. Raises InvalidRequest, TextTooLong, VoiceNotFound."""
        ...


class AcousticModel(Protocol):
    def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        """Groups of speech tokens as they are sampled; exactly the final group has `is_last`.

        Closing the iterator frees the sequence's slot. Raises Overloaded before the first group, but not for a
        continuation: a request that is being heard is carried to its end.
        """
        ...


class Token2Wav(Protocol):
    async def decode(
        self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None
    ) -> tuple[AudioChunk, DecodeState]:
        """Audio that became final with these tokens, and the state for the next call (None starts an utterance)."""
        ...


_Group = tuple[Utterance, SpeechTokens]


class Synthesizer:
    """Chains the stages for one request at a time; holds nothing between requests.

    Args:
        num_prefetched_groups: how many token groups may wait in front of token2wav. It bounds memory when a client
            reads slowly: the acoustic model is not asked for more utterances than that.
    """

    def __init__(
        self,
        frontend: TextFrontend,
        acoustic: AcousticModel,
        token2wav: Token2Wav,
        *,
        num_prefetched_groups: int = 8,
    ) -> None:
        self.frontend = frontend
        self.acoustic = acoustic
        self.token2wav = token2wav
        self._num_prefetched_groups = num_prefetched_groups

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        """Audio chunks in order, none empty. Errors of any stage come out of the iteration."""
        async with aclosing(self.speak(await self.prepare(request))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        """The pieces that `speak` takes, at least one. Raises as `TextFrontend.prepare`."""
        return await self.frontend.prepare(request)

    async def speak(self, utterances: Sequence[Utterance]) -> AsyncGenerator[AudioChunk, None]:
        """Audio chunks of one request's pieces, in order, none empty."""
        groups: asyncio.Queue[_Group | BaseException | None] = asyncio.Queue(self._num_prefetched_groups)
        producer = asyncio.create_task(self._generate(utterances, groups))
        state: DecodeState | None = None
        try:
            while (item := await groups.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                utterance, tokens = item
                chunk, state = await self.token2wav.decode(tokens, utterance, state)
                if len(chunk.samples):
                    yield chunk
                if tokens.is_last:
                    state = None
                    if utterance.pause_s > 0:
                        yield silence(utterance.pause_s, chunk.sample_rate)
        finally:
            producer.cancel()
            with suppress(asyncio.CancelledError):
                await producer

    async def _generate(
        self, utterances: Sequence[Utterance], groups: asyncio.Queue[_Group | BaseException | None]
    ) -> None:
        try:
            for index, utterance in enumerate(utterances):
                stream = self.acoustic.generate(replace(utterance, is_continuation=index > 0))
                try:
                    async for tokens in stream:
                        await groups.put((utterance, tokens))
                finally:
                    if isinstance(stream, AsyncGenerator):
                        await stream.aclose()
            await groups.put(None)
        except Exception as error:
            await groups.put(error)


def silence(duration_s: float, sample_rate: int) -> AudioChunk:
    return AudioChunk(np.zeros(round(duration_s * sample_rate), np.int16), sample_rate)

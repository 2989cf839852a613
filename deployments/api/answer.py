"""The encoded audio of one answer, part by part: made now, or kept from an earlier request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol

import numpy as np

from deployments.api.schema import SpeechOrder
from pipeline.audio.encode import Encoder, encode_whole
from pipeline.cache.results import Result
from pipeline.types import I16, AudioChunk

P = ParamSpec("P")


class Answer(Protocol):
    @property
    def duration_s(self) -> float:
        """Of the audio that was taken so far."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Non-empty parts; one whole file unless the order is streamed."""
        ...


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where an answer is put once all of it was made, unless it is longer than `max_bytes`."""

    put: Callable[[Result], Awaitable[None]]
    max_bytes: int


class FreshAnswer:
    """Audio as it is made, encoded in a thread so that other streams go on meanwhile, unless that is but a copy.

    The shelf is served before the end is signalled, so that a client that has all of it finds it there.
    """

    def __init__(
        self,
        order: SpeechOrder,
        encoder: Encoder,
        first: AudioChunk,
        rest: AsyncIterator[AudioChunk],
        shelf: Shelf | None = None,
    ) -> None:
        self._order = order
        self._encoder = encoder
        self._first = first
        self._rest = rest
        self._shelf = shelf
        self._num_samples = 0

    @property
    def duration_s(self) -> float:
        return self._num_samples / self._order.card.sample_rate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        kept: list[bytes] = []
        room = self._shelf.max_bytes if self._shelf else 0
        async for part in self._streamed() if self._order.is_streamed else self._whole():
            room -= len(part)
            if room >= 0:
                kept.append(part)
            yield part
        if self._shelf and room >= 0:
            await self._shelf.put(Result(tuple(kept), self.duration_s))

    async def _streamed(self) -> AsyncIterator[bytes]:
        async for samples in self._samples():
            if data := await self._run(self._encoder.encode, samples):
                yield data
        if data := await self._run(self._encoder.finish):
            yield data

    async def _run(self, encode: Callable[P, bytes], *args: P.args, **kwargs: P.kwargs) -> bytes:
        if self._encoder.is_copy:
            return encode(*args, **kwargs)
        return await asyncio.to_thread(encode, *args, **kwargs)

    async def _whole(self) -> AsyncIterator[bytes]:
        order = self._order
        samples = np.concatenate([samples async for samples in self._samples()])
        yield await asyncio.to_thread(encode_whole, order.format, samples, order.card.sample_rate, order.output_rate)

    async def _samples(self) -> AsyncIterator[I16]:
        yield self._count(self._first)
        async for chunk in self._rest:
            yield self._count(chunk)

    def _count(self, chunk: AudioChunk) -> I16:
        self._num_samples += len(chunk.samples)
        return chunk.samples


class KeptAnswer:
    """The parts of a cached result, as they were sent the first time."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._share_sent = 0.0

    @property
    def duration_s(self) -> float:
        return self._result.duration_s * self._share_sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        num_bytes = sum(map(len, self._result.parts))
        for part in self._result.parts:
            self._share_sent += len(part) / num_bytes
            yield part

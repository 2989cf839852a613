"""POST /v1/audio/speech: from a checked order to audio bytes, for as long as the client listens."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Protocol

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.api.body import read_body
from deployments.api.boundary import Observer, log_error
from deployments.api.catalogue import Catalogue
from deployments.api.errors import error_body
from deployments.api.schema import SpeechOrder, parse_speech_order
from pipeline.audio.encode import Encoder, encode_whole, make_encoder
from pipeline.config import LimitsConfig
from pipeline.errors import DeadlineExceeded, StageFailed
from pipeline.types import I16, AudioChunk, SpeechRequest

_NO_BUFFERING = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is nginx's


class Speaker(Protocol):
    """What `pipeline.synthesizer.Synthesizer` offers."""

    def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]: ...


class CreateSpeech:
    """The endpoint, as an ASGI application: it watches for the client's leaving while the speech is made."""

    __name__ = "create_speech"

    def __init__(
        self, speaker: Speaker, catalogue: Catalogue, limits: LimitsConfig, max_text_length: int, observer: Observer
    ) -> None:
        self._speaker = speaker
        self._catalogue = catalogue
        self._limits = limits
        self._max_text_length = max_text_length
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived_s = time.monotonic()
        body = await read_body(Request(scope, receive), self._limits.max_body_bytes)
        order = parse_speech_order(body, self._catalogue, self._max_text_length)
        await until_disconnect(receive, self._speak(order, arrived_s, scope, receive, send))

    async def _speak(self, order: SpeechOrder, arrived_s: float, scope: Scope, receive: Receive, send: Send) -> None:
        encoder = make_encoder(order.format, order.card.sample_rate, order.output_rate)
        async with aclosing(self._speaker.stream(order.speech)) as chunks:
            first = await _first(chunks, self._limits.first_audio_timeout_s)
            self._observer.first_audio(time.monotonic() - arrived_s)
            audio = Audio(first, chunks, order.card.sample_rate)
            try:
                response = await self._response(order, encoder, audio, scope["state"]["request_id"])
                await response(scope, receive, send)
            finally:
                self._observer.audio_sent(audio.duration_s)

    async def _response(self, order: SpeechOrder, encoder: Encoder, audio: Audio, request_id: str) -> Response:
        headers = {"X-Sample-Rate": str(encoder.sample_rate)}
        if not order.is_streamed:
            samples = np.concatenate([samples async for samples in audio])
            data = await asyncio.to_thread(
                encode_whole, order.format, samples, order.card.sample_rate, order.output_rate
            )
            return Response(data, headers=headers, media_type=encoder.media_type)
        headers |= _NO_BUFFERING
        if order.is_sse:
            return BodyStream(
                _events(order, encoder, audio, request_id), headers=headers, media_type="text/event-stream"
            )
        return BodyStream(_encoded(encoder, audio), headers=headers, media_type=encoder.media_type)


class BodyStream(StreamingResponse):
    """Without Starlette's own watch for the client's leaving: `until_disconnect` has it for the whole request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


class Audio:
    """The audio of one request as it is made, int16 [n] at a time; counts what was taken."""

    def __init__(self, first: AudioChunk, rest: AsyncIterator[AudioChunk], sample_rate: int) -> None:
        self._first = first
        self._rest = rest
        self._sample_rate = sample_rate
        self._num_samples = 0

    @property
    def duration_s(self) -> float:
        return self._num_samples / self._sample_rate

    async def __aiter__(self) -> AsyncIterator[I16]:
        yield self._count(self._first)
        async for chunk in self._rest:
            yield self._count(chunk)

    def _count(self, chunk: AudioChunk) -> I16:
        self._num_samples += len(chunk.samples)
        return chunk.samples


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` to its end. When the client leaves, or the caller is cancelled, `work` is cancelled and awaited.

    Raises ClientDisconnect when the client left.
    """
    task, departure = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, departure), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        task.result()
    finally:
        task.cancel()
        departure.cancel()
        await asyncio.gather(task, departure, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(chunks: AsyncIterator[AudioChunk], timeout_s: float) -> AudioChunk:
    try:
        return await asyncio.wait_for(anext(chunks), timeout_s)
    except asyncio.TimeoutError:
        raise DeadlineExceeded(
            f"no audio was ready within {timeout_s:g} s: try again later, or send a shorter text."
        ) from None
    except StopAsyncIteration:
        raise StageFailed("the synthesizer ended without any audio.") from None


async def _encoded(encoder: Encoder, audio: Audio) -> AsyncIterator[bytes]:
    """Encodes in a thread, so that other streams go on meanwhile."""
    async for samples in audio:
        if data := await asyncio.to_thread(encoder.encode, samples):
            yield data
    if data := await asyncio.to_thread(encoder.finish):
        yield data


async def _events(order: SpeechOrder, encoder: Encoder, audio: Audio, request_id: str) -> AsyncIterator[bytes]:
    """OpenAI's events: deltas, then done, or else an error event. Tokens of the input are its characters."""
    try:
        async for data in _encoded(encoder, audio):
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except Exception as error:
        log_error(error, request_id)
        yield _event({"type": "error", **error_body(error, request_id)})
        return
    num_input, num_output = len(order.speech.text), round(audio.duration_s * order.card.token_rate)
    usage = {"input_tokens": num_input, "output_tokens": num_output, "total_tokens": num_input + num_output}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(content: dict[str, object]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()

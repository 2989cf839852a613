"""POST /v1/audio/speech: from a checked order to audio bytes, for as long as the client listens."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.api.answer import Answer, FreshAnswer, KeptAnswer, Shelf
from deployments.api.body import read_body
from deployments.api.boundary import Observer, log_error
from deployments.api.catalogue import Catalogue
from deployments.api.errors import error_body
from deployments.api.schema import SpeechOrder, parse_speech_order
from pipeline.audio.encode import Encoder, make_encoder
from pipeline.cache.results import ResultCache
from pipeline.config import LimitsConfig
from pipeline.errors import DeadlineExceeded, StageFailed
from pipeline.types import AudioChunk, SpeechRequest, Utterance

_NO_BUFFERING = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is nginx's
_CACHE_HEADER = "X-Cache"

T = TypeVar("T")


class Speaker(Protocol):
    """What `pipeline.synthesizer.Synthesizer` offers."""

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]: ...

    def speak(self, utterances: Sequence[Utterance]) -> AsyncGenerator[AudioChunk, None]: ...


@dataclass(frozen=True, slots=True)
class _Call:
    """One request of ASGI, and when it arrived."""

    scope: Scope
    receive: Receive
    send: Send
    arrived_s: float

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.arrived_s

    @property
    def cache_control(self) -> str:
        """RFC 9111's request directives: no-cache wants the speech made anew, no-store also that it is not kept."""
        return Headers(scope=self.scope).get("cache-control", "").lower()


class CreateSpeech:
    """The endpoint, as an ASGI application: it watches for the client's leaving while the speech is made.

    Args:
        results: keeps the answers to requests that name a seed; None keeps nothing.
    """

    __name__ = "create_speech"

    def __init__(
        self,
        speaker: Speaker,
        catalogue: Catalogue,
        limits: LimitsConfig,
        max_text_length: int,
        observer: Observer,
        results: ResultCache | None = None,
    ) -> None:
        self._speaker = speaker
        self._catalogue = catalogue
        self._limits = limits
        self._max_text_length = max_text_length
        self._observer = observer
        self._results = results

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _Call(scope, receive, send, time.monotonic())
        body = await read_body(Request(scope, receive), self._limits.max_body_bytes)
        order = parse_speech_order(body, self._catalogue, self._max_text_length)
        await until_disconnect(receive, self._answer(order, call))

    async def _answer(self, order: SpeechOrder, call: _Call) -> None:
        encoder = make_encoder(order.format, order.card.sample_rate, order.output_rate)
        utterances = await self._within_limit(self._speaker.prepare(order.speech), call)
        if self._results is None or order.speech.seed is None or "no-store" in call.cache_control:
            await self._speak(order, utterances, encoder, call)
            return
        key = self._results.key(utterances, order.format, order.output_rate, order.is_streamed)
        if "no-cache" not in call.cache_control and (result := await self._results.get(key)) is not None:
            await self._send(order, encoder, KeptAnswer(result), call, {_CACHE_HEADER: "hit"})
            return
        shelf = Shelf(partial(self._results.put, key), self._results.max_result_bytes)
        await self._speak(order, utterances, encoder, call, shelf)

    async def _speak(
        self,
        order: SpeechOrder,
        utterances: Sequence[Utterance],
        encoder: Encoder,
        call: _Call,
        shelf: Shelf | None = None,
    ) -> None:
        async with aclosing(self._speaker.speak(utterances)) as chunks:
            try:
                first = await self._within_limit(anext(chunks), call)
            except StopAsyncIteration:
                raise StageFailed("the synthesizer ended without any audio.") from None
            answer = FreshAnswer(order, encoder, first, chunks, shelf)
            await self._send(order, encoder, answer, call, {_CACHE_HEADER: "miss"} if shelf else {})

    async def _within_limit(self, work: Awaitable[T], call: _Call) -> T:
        limit_s = self._limits.first_audio_timeout_s
        try:
            return await asyncio.wait_for(work, limit_s - call.elapsed_s)
        except asyncio.TimeoutError:
            raise DeadlineExceeded(
                f"no audio was ready within {limit_s:g} s: try again later, or send a shorter text."
            ) from None

    async def _send(
        self, order: SpeechOrder, encoder: Encoder, answer: Answer, call: _Call, headers: dict[str, str]
    ) -> None:
        self._observer.first_audio(call.elapsed_s)
        try:
            response = await _response(order, encoder, answer, call.scope["state"]["request_id"])
            response.headers.update(headers)
            await response(call.scope, call.receive, call.send)
        finally:
            self._observer.audio_sent(answer.duration_s)


async def _response(order: SpeechOrder, encoder: Encoder, answer: Answer, request_id: str) -> Response:
    headers = {"X-Sample-Rate": str(encoder.sample_rate)}
    if not order.is_streamed:
        return Response(b"".join([part async for part in answer]), headers=headers, media_type=encoder.media_type)
    headers |= _NO_BUFFERING
    if order.is_sse:
        return BodyStream(_events(order, answer, request_id), headers=headers, media_type="text/event-stream")
    return BodyStream(aiter(answer), headers=headers, media_type=encoder.media_type)


class BodyStream(StreamingResponse):
    """Without Starlette's own watch for the client's leaving: `until_disconnect` has it for the whole request.

    The head goes out right before the first part: on the way through Ray they are one message then, not two.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = aiter(self.body_iterator)
        first = await anext(parts, b"")
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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


async def _events(order: SpeechOrder, answer: Answer, request_id: str) -> AsyncIterator[bytes]:
    """OpenAI's events: deltas, then done, or else an error event. Tokens of the input are its characters."""
    try:
        async for data in answer:
            yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except Exception as error:
        log_error(error, request_id)
        yield _event({"type": "error", **error_body(error, request_id)})
        return
    num_input, num_output = len(order.speech.text), round(answer.duration_s * order.card.token_rate)
    usage = {"input_tokens": num_input, "output_tokens": num_output, "total_tokens": num_input + num_output}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(content: dict[str, object]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()

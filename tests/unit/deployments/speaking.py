"""A synthesizer that speaks at once, always the same, and the service over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import numpy as np
from starlette.applications import Starlette

from deployments.api import Catalogue, ModelCard, Observer, TextStage, create_app
from pipeline.config import LimitsConfig
from pipeline.types import I16, AudioChunk, SpeechRequest, Utterance, Voice

RATE = 22050
CARD = ModelCard(
    id="tiny",
    voices=("中文女", "english"),
    languages=("zh", "en"),
    sample_rate=RATE,
    token_rate=25.0,
    created=1700000000,
)
CATALOGUE = Catalogue((CARD, ModelCard("org/other", ("solo",), ("en",), 16000, 50.0)))
LIMITS = LimitsConfig(max_body_bytes=20_000, first_audio_timeout_s=0.2)
MAX_TEXT_LENGTH = 300
POLL_S = 0.25
VOICE = Voice("english", np.zeros(4, np.float32))
NO_TEXT_STAGE = cast(TextStage, object())  # fails the test that calls it


@dataclass
class FakeSpeaker:
    """Yields `num_chunks` chunks of a tone; `error` is raised, or it stalls for good, before chunk `stop_at`."""

    num_chunks: int = 3
    error: Exception | None = None
    stalls: bool = False
    stop_at: int = 0
    requests: list[SpeechRequest] = field(default_factory=list)
    num_yielded: int = 0
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        self.requests.append(request)
        return [Utterance(request.text, (1, 2), VOICE, request.seed or 0, request.speed)]

    async def speak(self, utterances: Sequence[Utterance]) -> AsyncGenerator[AudioChunk, None]:
        try:
            for index in range(self.num_chunks):
                if index == self.stop_at and self.error is not None:
                    raise self.error
                if index == self.stop_at and self.stalls:
                    await asyncio.Event().wait()
                await asyncio.sleep(0)
                self.num_yielded += 1
                yield AudioChunk(tone(index), RATE)
        finally:
            self.is_closed.set()


def tone(index: int) -> I16:
    t = np.arange(5000 + 700 * index) / RATE
    return (9000 * np.sin(2 * np.pi * 300 * (index + 1) * t)).astype(np.int16)


def spoken(num_chunks: int = 3) -> I16:
    return np.concatenate([tone(index) for index in range(num_chunks)])


async def ready() -> str | None:
    return None


def make_app(
    speaker: FakeSpeaker | None = None,
    *,
    text_stage: TextStage = NO_TEXT_STAGE,
    readiness: Callable[[], Awaitable[str | None]] = ready,
    observer: Observer | None = None,
    **options: Any,
) -> Starlette:
    return create_app(
        speaker or FakeSpeaker(),
        text_stage,
        CATALOGUE,
        limits=LIMITS,
        max_text_length=MAX_TEXT_LENGTH,
        lexicon_poll_s=POLL_S,
        readiness=readiness,
        observer=observer,
        **options,
    )


def client(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://speech")


async def post(speaker: FakeSpeaker | None = None, **fields: Any) -> httpx.Response:
    """Sends a good request, with `fields` changed."""
    body = {"model": "tiny", "input": "你好", "voice": "english", "response_format": "pcm"} | fields
    async with client(make_app(speaker)) as http:
        return await http.post("/v1/audio/speech", json=body)


async def post_raw(body: bytes | Any, **options: Any) -> httpx.Response:
    async with client(make_app()) as http:
        return await http.post("/v1/audio/speech", content=body, **options)

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.metrics import MeteredSpeaker
from pipeline.errors import Overloaded
from pipeline.types import AudioChunk, Utterance, Voice

UTTERANCES = [Utterance("text", (1,), Voice("anna", np.zeros(4, np.float32)), seed=0)]
CHUNK = AudioChunk(np.zeros(11025, np.int16), 22050)


class Speaker:
    def __init__(self, num_chunks: int, error: Exception | None = None) -> None:
        self._num_chunks, self._error = num_chunks, error
        self.is_closed = False

    async def speak(self, utterances: Sequence[Utterance]) -> AsyncGenerator[AudioChunk, None]:
        try:
            for _ in range(self._num_chunks):
                await asyncio.sleep(0.01)
                yield CHUNK
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


class Metrics:
    def __init__(self) -> None:
        self.factors: list[float] = []
        self.codes: list[str] = []
        self.real_time_factor = SimpleNamespace(observe=self.factors.append)
        self.errors = SimpleNamespace(inc=lambda tags: self.codes.append(tags["code"]))


def metered(speaker: Speaker) -> tuple[Any, Metrics]:
    metrics = Metrics()
    return MeteredSpeaker(speaker, metrics), metrics  # type: ignore[arg-type]


async def test_the_real_time_factor_leaves_out_what_the_client_took() -> None:
    speaker, metrics = metered(Speaker(2))
    async for chunk in speaker.speak(UTTERANCES):
        assert chunk is CHUNK
        await asyncio.sleep(0.5)
    (factor,) = metrics.factors
    assert 0.02 <= factor < 0.5  # two chunks of half a second, 10 ms each to make


@pytest.mark.parametrize(("error", "code"), [(Overloaded("full"), "overloaded"), (KeyError("x"), "internal_error")])
async def test_failures_are_counted_by_code_and_raised(error: Exception, code: str) -> None:
    speaker, metrics = metered(Speaker(1, error))
    with pytest.raises(type(error)):
        _ = [chunk async for chunk in speaker.speak(UTTERANCES)]
    assert (metrics.codes, metrics.factors) == ([code], [])


async def test_leaving_early_closes_the_speaker_and_counts_nothing() -> None:
    inner = Speaker(3)
    speaker, metrics = metered(inner)
    chunks = speaker.speak(UTTERANCES)
    await anext(chunks)
    await chunks.aclose()
    assert inner.is_closed
    assert (metrics.codes, metrics.factors) == ([], [])

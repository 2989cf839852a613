"""The product as a measurement puts it together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from pipeline.acoustic.engine import Engine
from pipeline.acoustic.token_stream import TokenStream
from pipeline.bench.service import Service, configured, measure_service
from pipeline.bench.variants import WindowedAcousticModel
from pipeline.bench.workload import of_fixed_length, request_for, utterances_of
from pipeline.runtime.bundle import Bundle
from pipeline.types import SpeechTokens, Utterance, Voice

TEXT = "你好，今天天气很好。"


async def samples_of(bundle: Bundle, *, has_kv_cache: bool) -> np.ndarray[Any, Any]:
    with of_fixed_length(bundle, utterances_of(bundle, TEXT), 0.6) as fixed:
        config = configured(fixed, "fp32", is_streamed=False)
        service = Service(config, fixed, 1, has_kv_cache=has_kv_cache, window_s=0.0)
        chunks = [chunk.samples async for chunk in service.synthesizer.stream(request_for(fixed, TEXT))]
        service.close()
    return np.concatenate(chunks)


async def test_without_a_kv_cache_the_audio_is_the_same(bundle: Bundle) -> None:
    cached, uncached = [await samples_of(bundle, has_kv_cache=has_kv_cache) for has_kv_cache in (True, False)]
    assert len(cached) == int(30 / 50 * 22050 / 256) * 256
    np.testing.assert_allclose(cached.astype(float), uncached.astype(float), atol=4)  # of 32767


class FakeEngine:
    """Answers every utterance with its number of text ids."""

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def submit(self, utterances: Sequence[Utterance]) -> list[TokenStream]:
        self.batch_sizes.append(len(utterances))
        streams = [TokenStream(asyncio.get_running_loop()) for _ in utterances]
        for stream, utterance in zip(streams, utterances, strict=True):
            stream.put(SpeechTokens(np.array([len(utterance.text_ids)]), is_last=True))
        return streams


async def test_the_arrivals_of_a_window_are_admitted_together() -> None:
    engine = FakeEngine()
    acoustic = WindowedAcousticModel(cast(Engine, engine), window_s=0.01)
    voice = Voice("a", np.zeros(1, np.float32))

    async def one(num_text: int) -> list[int]:
        groups = acoustic.generate(Utterance("", (0,) * num_text, voice, 0))
        return [int(group.ids[0]) async for group in groups]

    assert await asyncio.gather(*map(one, (3, 1, 2))) == [[3], [1], [2]]
    assert await one(5) == [5]
    assert engine.batch_sizes == [3, 1]


@pytest.mark.parametrize(
    "requests",
    [
        {"num_requests": 1},
        {"num_requests": 3, "interval_s": 0.01},
        {"num_requests": 1, "keeps_results": True},
        {"num_requests": 1, "is_text_new": True, "profile": "fast"},
    ],
)
def test_every_request_gets_its_audio(bundle: Bundle, requests: dict[str, Any]) -> None:
    result = measure_service(
        str(bundle.path), "int8", TEXT, 0.5, repeats=2, num_threads=1, is_streamed=True, **requests
    )
    assert len(result["latencies_s"]) == 2 * requests["num_requests"]
    assert result["audio_s"] == pytest.approx(0.5, abs=0.02)
    assert 0 < result["first_audio_s"] <= max(result["latencies_s"])
    assert result["peak_rss_mb"] > 20

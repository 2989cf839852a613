"""What the result cache does to answers: the same bytes again, without any speech being made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from speaking import FakeSpeaker, client, make_app

from pipeline.cache.results import ResultCache
from pipeline.cache.results_sqlite import SqliteResults
from pipeline.errors import StageFailed


@pytest.fixture
def results(tmp_path: Path) -> ResultCache:
    return ResultCache(SqliteResults(tmp_path / "results.db", 1 << 20), "identity", 1 << 20)


async def ask(speaker: FakeSpeaker, results: ResultCache, headers: Any = None, **fields: Any) -> httpx.Response:
    body = {"input": "你好", "voice": "english", "response_format": "pcm", "seed": 7} | fields
    async with client(make_app(speaker, results=results)) as http:
        return await http.post("/v1/audio/speech", json=body, headers=headers)


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": "opus"},  # a stream number is drawn at random: made anew, the bytes would differ
        {"response_format": "mp3", "stream": False},
        {"response_format": "wav", "sample_rate": 16000},
        {"stream_format": "sse"},
    ],
)
async def test_a_repeat_answers_with_the_same_bytes_and_makes_no_speech(
    results: ResultCache, fields: dict[str, Any]
) -> None:
    speaker = FakeSpeaker()
    first, second = [await ask(speaker, results, **fields) for _ in range(2)]
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert second.content == first.content
    assert second.headers["content-type"] == first.headers["content-type"]
    assert speaker.num_yielded == 3


async def test_another_seed_voice_or_format_is_another_result(results: ResultCache) -> None:
    speaker = FakeSpeaker()
    for fields in ({}, {"seed": 8}, {"input": "你好", "speed": 1.5}, {"response_format": "wav"}):
        assert (await ask(speaker, results, **fields)).headers["x-cache"] == "miss"
    assert speaker.num_yielded == 12


async def test_without_a_seed_nothing_is_kept(results: ResultCache) -> None:
    speaker = FakeSpeaker()
    answers = [await ask(speaker, results, seed=None) for _ in range(2)]
    assert all("x-cache" not in answer.headers for answer in answers)
    assert speaker.num_yielded == 6


async def test_a_client_can_ask_for_fresh_speech(results: ResultCache) -> None:
    speaker = FakeSpeaker()
    await ask(speaker, results, {"Cache-Control": "no-store"})
    assert (await ask(speaker, results)).headers["x-cache"] == "miss"
    assert (await ask(speaker, results, {"Cache-Control": "no-cache"})).headers["x-cache"] == "miss"
    assert (await ask(speaker, results)).headers["x-cache"] == "hit"
    assert speaker.num_yielded == 9


async def test_a_speech_that_broke_off_is_not_kept(results: ResultCache) -> None:
    with pytest.raises(StageFailed):
        await ask(FakeSpeaker(error=StageFailed("the model failed."), stop_at=2), results)
    assert (await ask(FakeSpeaker(), results)).headers["x-cache"] == "miss"

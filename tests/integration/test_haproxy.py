"""The service behind HAProxy, in the place of Ray's own proxy: the switch is in Ray's environment alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.bench.plan import Plan
from pipeline.bench.serving import HAPROXY_SWITCH, HOST, entrance, running_service
from pipeline.config import ServiceConfig

LONG_TEXT = "今天的天气非常好，我们一起去公园里走一走，看看那里的花和树。" * 12
pytestmark = pytest.mark.serve


def num_haproxies() -> int:
    return [path.read_text("utf-8").strip() for path in Path("/proc").glob("[0-9]*/comm")].count("haproxy")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    config = ServiceConfig.model_validate({"text": {"lexicon": None}, "results": {"store": None}})
    num_before = num_haproxies()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HAPROXY_SWITCH, "1")
        assert entrance() == "HAProxy"
        with running_service(config.model_dump(mode="json"), Plan.shared(2, 8)) as port:
            assert num_haproxies() > num_before
            yield f"http://{HOST}:{port}"


def speech(text: str, **fields: object) -> dict[str, object]:
    return {"input": text, "voice": "中文女", "response_format": "pcm", "seed": 1, **fields}


async def test_eight_at_once_get_what_each_gets_alone(url: str) -> None:
    texts = [f"你好，世界，{number}。" for number in range(8)]
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        alone = [await client.post("/v1/audio/speech", json=speech(text)) for text in texts]
        together = await asyncio.gather(*(client.post("/v1/audio/speech", json=speech(text)) for text in texts))
    assert [response.status_code for response in (*alone, *together)] == [200] * 16
    assert [response.content for response in together] == [response.content for response in alone]
    assert min(len(response.content) for response in alone) > 8000


async def test_audio_comes_while_it_is_made_and_who_leaves_makes_room(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        for _ in range(10):  # more than there are slots, each with a minute to speak
            async with client.stream("POST", "/v1/audio/speech", json=speech(LONG_TEXT)) as response:
                assert len(await anext(response.aiter_raw())) > 0
        whole = await asyncio.wait_for(client.post("/v1/audio/speech", json=speech("你好。")), 20)
    assert whole.status_code == 200


async def test_errors_are_json(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        response = await client.post("/v1/audio/speech", json=speech("你好。", voice="nobody"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "voice_not_found")


def test_the_switch_names_the_entrance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HAPROXY_SWITCH, raising=False)
    assert entrance() == "Ray Serve's own proxy"

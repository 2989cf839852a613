"""The real service: `serve run` on serve_config.yaml, spoken to over HTTP. Started once for all tests here."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import ray
import yaml
from ray import serve
from ray.serve.handle import DeploymentHandle

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180.0
MAX_BATCH_SIZE, MAX_QUEUED = 8, 12
LONG_TEXT = "今天的天气非常好，我们一起去公园里走一走，看看那里的花和树。The weather is very nice today. " * 12
pytestmark = pytest.mark.serve


@dataclass(frozen=True)
class Service:
    url: str
    acoustic: DeploymentHandle[Any]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=120, limits=httpx.Limits(max_connections=None))

    async def num_sequences(self) -> float:
        """Sequences that the engine holds, running or waiting."""
        stats = await self.acoustic.record_autoscaling_stats.remote()
        return sum(stats.values())


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def write_config(path: Path, port: int) -> None:
    """serve_config.yaml on a port of its own, with a queue that a test can fill and an empty user lexicon."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text("utf-8"))
    config["http_options"]["port"] = port
    config["applications"][0]["args"]["acoustic"] |= {"max_batch_size": MAX_BATCH_SIZE, "max_queued": MAX_QUEUED}
    config["applications"][0]["args"]["text"]["lexicon"] = str(path.parent / "lexicon.db")
    config["applications"][0]["args"]["results"]["store"] = str(path.parent / "results.db")
    path.write_text(yaml.safe_dump(config), "utf-8")


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"the service did not become ready:\n{log.read_text('utf-8', 'replace')[-4000:]}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("serve")
    port, log = free_port(), folder / "serve.log"
    write_config(folder / "serve_config.yaml", port)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "ray.serve.scripts", "run", str(folder / "serve_config.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", process, log)
        yield Service(f"http://127.0.0.1:{port}", serve.get_deployment_handle("AcousticModel", "cosyvoice"))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        ray.shutdown()


async def first_voices(client: httpx.AsyncClient) -> list[str]:
    return [voice["id"] for voice in (await client.get("/v1/audio/voices")).json()["data"]]


async def speak(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    """Made anew for each call."""
    body = {"response_format": "pcm", "seed": 1, **fields}
    return await client.post("/v1/audio/speech", json=body, headers={"Cache-Control": "no-store"})


async def test_sixteen_concurrent_requests_give_what_each_gives_alone(service: Service) -> None:
    texts = ["你好，世界。", "The quick brown fox.", "今天是星期三，我很高兴。", "Nice to meet you 小明。"]
    async with service.client() as client:
        voices = await first_voices(client)
        requests = [
            {"input": f"{texts[i % 4]} {i + 1}.", "voice": voices[i % len(voices)], "seed": 100 + i} for i in range(16)
        ]
        alone = [(await speak(client, **request)).content for request in requests]
        together = await asyncio.gather(*(speak(client, **request) for request in requests))
    assert [response.status_code for response in together] == [200] * 16
    assert all(len(audio) > 8000 for audio in alone)
    assert [response.content for response in together] == alone


async def test_a_repeated_seed_answers_with_the_same_bytes_from_the_cache(service: Service) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        body = {"input": "今天天气很好。", "voice": voice, "response_format": "opus", "seed": 5}
        first, second = [await client.post("/v1/audio/speech", json=body) for _ in range(2)]
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert len(first.content) > 2000
    assert second.content == first.content


async def test_a_client_that_hangs_up_frees_its_slot_within_a_second(service: Service) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        body = {"input": LONG_TEXT, "voice": voice, "response_format": "pcm"}
        for _ in range(3):
            async with client.stream("POST", "/v1/audio/speech", json=body) as response:
                assert response.status_code == 200
                await anext(response.aiter_raw())
            left_at = time.monotonic()
            while await service.num_sequences() > 0:
                assert time.monotonic() - left_at < 1.0
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert await service.num_sequences() == 0  # nor does the next utterance start
        assert (await speak(client, input="还在。", voice=voice)).status_code == 200


async def test_audio_comes_while_it_is_still_being_made(service: Service) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        body = {"input": LONG_TEXT[:75], "voice": voice, "response_format": "pcm"}
        started_at = time.monotonic()
        async with client.stream("POST", "/v1/audio/speech", json=body) as response:
            arrivals_s = [time.monotonic() - started_at async for _ in response.aiter_raw()]
    assert len(arrivals_s) > 3
    assert arrivals_s[0] < arrivals_s[-1] / 2


async def test_a_full_queue_refuses_with_429_and_cuts_nobody_off(service: Service) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        long = {"input": LONG_TEXT[:75], "voice": voice, "response_format": "pcm", "seed": 5}  # several utterances
        alone = (await speak(client, **long)).content
        async with client.stream("POST", "/v1/audio/speech", json=long) as stream:
            parts = stream.aiter_raw()
            heard = await anext(parts)
            burst = [speak(client, input="我们一起去公园。", voice=voice, seed=i) for i in range(40)]
            responses, *rest = await asyncio.gather(asyncio.gather(*burst), _joined(parts))
        statuses = [response.status_code for response in responses]
        assert set(statuses) == {200, 429}
        refused = responses[statuses.index(429)]
        assert refused.json()["error"]["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) > 0
        assert heard + rest[0] == alone
        assert (await speak(client, input="还在。", voice=voice)).status_code == 200
    assert await service.num_sequences() == 0


async def _joined(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"voice": "nobody"}, 404, "voice_not_found"),
        ({"model": "nothing"}, 404, "model_not_found"),
        ({"input": " \n"}, 400, "invalid_request"),
        ({"input": "……？！🎉"}, 400, "invalid_request"),
        ({"input": "好" * 5000}, 400, "text_too_long"),
        ({"response_format": "midi"}, 400, "unsupported_format"),
        ({"speed": 9}, 400, "invalid_request"),
        ({"input": 5}, 400, "invalid_request"),
        ({"input": "好" * 700_000}, 413, "body_too_large"),
    ],
)
async def test_errors_are_json_before_the_first_byte(
    service: Service, fields: dict[str, Any], status: int, code: str
) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        response = await speak(client, **{"input": "你好。", "voice": voice, **fields})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("audio_format", ["wav", "flac", "mp3", "opus", "aac"])
async def test_every_format_decodes_to_the_same_speech(service: Service, audio_format: str) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        rate = (await client.get("/v1/models")).json()["data"][0]["sample_rate"]
        pcm = (await speak(client, input="你好，世界。", voice=voice)).content
        encoded = await speak(client, input="你好，世界。", voice=voice, response_format=audio_format)
    with av.open(io.BytesIO(encoded.content)) as container:
        decoded_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert decoded_s == pytest.approx(len(pcm) / 2 / rate, abs=0.15)  # a codec's frames and its delay
    assert np.abs(np.frombuffer(pcm, np.int16)).max() > 1000


async def test_speed_scales_the_duration(service: Service) -> None:
    async with service.client() as client:
        (voice, *_) = await first_voices(client)
        normal, fast = [
            len((await speak(client, input="你好，世界。今天天气很好。", voice=voice, speed=speed)).content)
            for speed in (1.0, 2.0)
        ]
    assert normal / fast == pytest.approx(2, rel=0.05)


async def test_a_word_is_corrected_without_a_restart(service: Service) -> None:
    async def normalized() -> str:
        response = await client.post("/v1/text/preview", json={"text": "每小时km/h。"})
        return str(response.json()["normalized"])

    async with service.client() as client:
        usual = await normalized()
        stored = await client.put("/v1/lexicon/km%2Fh", json={"kind": "respelling", "value": "新的读法"})
        assert stored.status_code == 200
        assert stored.json()["word"] == "km/h"
        await asyncio.sleep(stored.json()["in_force_within_s"])
        assert "新的读法" in await normalized()
        assert (await client.get("/v1/lexicon")).json()["data"] == [(await client.get("/v1/lexicon/km%2Fh")).json()]
        refused = await client.put("/v1/lexicon/重庆", json={"kind": "pinyin", "value": "chong2 qong4"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
        assert (await client.delete("/v1/lexicon/km%2Fh")).json()["deleted"] is True
        assert (await client.delete("/v1/lexicon/km%2Fh")).status_code == 404
        await asyncio.sleep(stored.json()["in_force_within_s"])
        assert await normalized() == usual


async def test_health_and_readiness(service: Service) -> None:
    async with service.client() as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).json() == {"status": "ready"}

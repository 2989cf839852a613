"""A client that leaves frees the synthesizer at once, wherever its request is; driven as an ASGI server does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from speaking import FakeSpeaker, make_app
from starlette.types import Message


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []
        self.audio_s: list[float] = []
        self.requests: list[tuple[str, int]] = []

    def first_audio(self, latency_s: float) -> None:
        self.latencies_s.append(latency_s)

    def audio_sent(self, duration_s: float) -> None:
        self.audio_s.append(duration_s)

    def request_done(self, endpoint: str, status: int, duration_s: float) -> None:
        self.requests.append((endpoint, status))


class Connection:
    """One request as an ASGI server sees it. `hold_back` makes sends wait, as with a client that does not read."""

    def __init__(self, speaker: FakeSpeaker, *, hold_back: bool = False, **fields: Any) -> None:
        body = {"input": "hello", "voice": "english", "response_format": "pcm"} | fields
        self.observer = Recorder()
        self.sent: list[Message] = []
        self.has_left = asyncio.Event()
        self._incoming = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
        self._hold_back = hold_back
        self.error_on_send: OSError | None = None
        self.leaves_at_end = False
        scope = {"type": "http", "method": "POST", "path": "/v1/audio/speech", "headers": [], "query_string": b""}
        self.task = asyncio.ensure_future(make_app(speaker, observer=self.observer)(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        if self._incoming:
            return self._incoming.pop()
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.error_on_send is not None:
            raise self.error_on_send
        self.sent.append(message)
        if self._hold_back and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        if self.leaves_at_end and not message.get("more_body", True):
            self.has_left.set()
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)

    async def until(self, num_messages: int) -> None:
        await until(lambda: len(self.sent) >= num_messages)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def assert_freed(connection: Connection, speaker: FakeSpeaker) -> None:
    await asyncio.wait_for(speaker.is_closed.wait(), 0.5)
    await asyncio.wait_for(connection.task, 0.5)
    assert connection.observer.requests == [("create_speech", 499)]


async def test_leaving_before_the_first_audio_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(stalls=True)
    connection = Connection(speaker)
    await until(lambda: bool(speaker.requests))
    connection.has_left.set()
    await assert_freed(connection, speaker)
    assert connection.sent == []
    assert connection.observer.audio_s == []


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}, {"response_format": "mp3"}], ids=str)
async def test_leaving_while_the_next_chunk_is_made_frees_the_synthesizer(fields: dict[str, Any]) -> None:
    speaker = FakeSpeaker(stalls=True, stop_at=2)
    connection = Connection(speaker, **fields)
    await connection.until(2)
    connection.has_left.set()
    await assert_freed(connection, speaker)
    assert connection.sent[-1]["more_body"]
    assert len(connection.observer.audio_s) == 1


async def test_leaving_while_whole_audio_is_collected_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(stalls=True, stop_at=2)
    connection = Connection(speaker, stream=False)
    await until(lambda: speaker.num_yielded >= 2)
    connection.has_left.set()
    await assert_freed(connection, speaker)
    assert connection.sent == []


async def test_leaving_without_reading_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(num_chunks=50)
    connection = Connection(speaker, hold_back=True)
    await connection.until(2)
    connection.has_left.set()
    await assert_freed(connection, speaker)
    assert speaker.num_yielded == 1  # nothing is made ahead of a client that does not read


async def test_a_server_that_says_so_when_sending_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(num_chunks=10**6)
    connection = Connection(speaker)
    await connection.until(3)
    connection.error_on_send = OSError("gone")
    await assert_freed(connection, speaker)


async def test_a_cancelled_request_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(stalls=True, stop_at=1)
    connection = Connection(speaker)
    await connection.until(2)
    connection.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.task
    assert speaker.is_closed.is_set()
    assert connection.observer.requests == [("create_speech", 499)]


async def test_leaving_while_the_body_is_sent_is_no_error() -> None:
    speaker = FakeSpeaker()
    connection = Connection(speaker)
    connection._incoming = [{"type": "http.disconnect"}]
    await asyncio.wait_for(connection.task, 0.5)
    assert connection.sent == []
    assert speaker.requests == []


async def test_a_request_that_ends_well_is_observed() -> None:
    speaker = FakeSpeaker()
    connection = Connection(speaker)
    await connection.task
    assert speaker.is_closed.is_set()
    assert connection.observer.requests == [("create_speech", 200)]
    assert connection.observer.audio_s == pytest.approx([(5000 + 5700 + 6400) / 22050])
    assert 0 <= connection.observer.latencies_s[0] < 0.5


async def test_a_disconnect_after_the_end_is_no_early_leaving() -> None:
    connection = Connection(FakeSpeaker())
    connection.leaves_at_end = True
    await connection.task
    assert connection.observer.requests == [("create_speech", 200)]


async def test_each_chunk_is_sent_before_the_next_is_made() -> None:
    speaker = FakeSpeaker(stalls=True, stop_at=1)
    connection = Connection(speaker)
    await connection.until(2)
    assert len(connection.sent[1]["body"]) == 2 * 5000
    connection.has_left.set()
    await connection.task

"""What a speech request answers when all goes well, and when something fails on the way."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import struct
import sys
from collections.abc import AsyncIterator

import av
import httpx
import numpy as np
import pytest
from speaking import LIMITS, RATE, FakeSpeaker, client, make_app, post, spoken
from starlette.types import Message

from deployments.api.speech import BodyStream
from pipeline.errors import (
    BundleError,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    StageFailed,
    TTSError,
    VoiceNotFound,
)
from pipeline.types import SpeechRequest

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def duration_s(data: bytes) -> float:
    with av.open(io.BytesIO(data)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", MEDIA_TYPES)
async def test_every_format_comes_with_its_media_type_and_the_whole_audio(name: str, stream: bool) -> None:
    response = await post(response_format=name, stream=stream)
    assert response.status_code == 200
    assert response.headers["content-type"] == MEDIA_TYPES[name]
    assert response.headers["x-sample-rate"] == ("24000" if name == "opus" else "22050")
    assert ("content-length" in response.headers) == (not stream)
    if name != "pcm":
        assert duration_s(response.content) == pytest.approx(len(spoken()) / RATE, abs=0.12)


async def test_pcm_is_the_samples_themselves() -> None:
    response = await post()
    assert np.array_equal(np.frombuffer(response.content, "<i2"), spoken())


async def test_a_whole_wav_tells_its_length_and_a_streamed_one_does_not() -> None:
    whole = (await post(response_format="wav", stream=False)).content
    assert struct.unpack_from("<I", whole, 40) == (2 * len(spoken()),)
    streamed = (await post(response_format="wav")).content
    assert struct.unpack_from("<I", streamed, 40) == (0xFFFFFFFF,)
    assert streamed[44:] == whole[44:]


async def test_the_default_format_is_mp3_as_openais() -> None:
    async with client(make_app()) as http:
        response = await http.post("/v1/audio/speech", json={"model": "tiny", "input": "hi", "voice": "english"})
    assert response.headers["content-type"] == "audio/mpeg"


async def test_a_sample_rate_resamples() -> None:
    response = await post(sample_rate=16000)
    assert response.headers["x-sample-rate"] == "16000"
    assert len(response.content) == 2 * round(len(spoken()) * 16000 / RATE)


async def test_the_request_reaches_the_synthesizer_as_it_was_sent() -> None:
    speaker = FakeSpeaker()
    fields = {"voice": {"id": "中文女"}, "speed": 2, "seed": 2**63 - 1, "language": "zh", "normalize": False}
    assert (await post(speaker, **fields)).status_code == 200
    assert speaker.requests == [SpeechRequest("你好", "中文女", 2.0, 2**63 - 1, "zh", False)]


async def test_what_is_left_out_or_null_has_its_default() -> None:
    speaker = FakeSpeaker()
    nothing = {"model": None, "seed": None, "language": None, "sample_rate": None, "instructions": None}
    assert (await post(speaker, **nothing)).status_code == 200
    assert speaker.requests == [SpeechRequest("你好", "english")]


@pytest.mark.parametrize("text", ["a", "7", "你", "한", " \t\n x \r\n", "e\u0301", "👍 ok", "x" * 300, "五\u2028六"])
async def test_any_text_with_something_to_speak_is_taken_unchanged(text: str) -> None:
    speaker = FakeSpeaker()
    assert (await post(speaker, input=text)).status_code == 200
    assert speaker.requests[0].text == text


def events_of(response: httpx.Response) -> list[dict[str, object]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


async def test_server_sent_events_carry_the_same_audio_and_end_with_done() -> None:
    response = await post(stream_format="sse")
    *deltas, done = events_of(response)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(str(event["audio"])) for event in deltas)
    assert np.array_equal(np.frombuffer(audio, "<i2"), spoken())
    num_tokens = round(len(spoken()) / RATE * 25)
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 2, "output_tokens": num_tokens, "total_tokens": num_tokens + 2},
    }


async def test_an_error_among_events_is_an_event() -> None:
    response = await post(FakeSpeaker(error=Overloaded("no slot"), stop_at=2), stream_format="sse")
    *_, last = events_of(response)
    assert last["type"] == "error"
    assert last["error"] == {"message": "no slot", "type": "rate_limit_error", "param": None, "code": "overloaded"}


class MarkupError(InvalidRequest):
    code = "invalid_markup"


FAILURES = [
    (InvalidRequest("bad"), 400, "invalid_request", None),
    (MarkupError("bad tag"), 400, "invalid_markup", None),
    (VoiceNotFound("gone"), 404, "voice_not_found", "voice"),
    (Overloaded("full"), 429, "overloaded", None),
    (DeadlineExceeded("late"), 504, "deadline_exceeded", None),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("error", "status", "code", "param"), FAILURES, ids=lambda value: str(value))
async def test_an_error_before_the_first_audio_is_json(
    error: TTSError, status: int, code: str, param: str | None, stream: bool
) -> None:
    response = await post(FakeSpeaker(error=error), stream=stream)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["message"] == error.message
    assert ("retry-after" in response.headers) == (status == 429)


INTERNAL = [RuntimeError("secret path /etc"), StageFailed("secret node 7"), BundleError("secret"), TTSError("secret")]


@pytest.mark.parametrize("error", INTERNAL, ids=repr)
async def test_an_internal_error_is_logged_and_not_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = await post(FakeSpeaker(error=error))
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"]["code"] == "internal_error"
    assert response.headers["x-request-id"] in response.json()["error"]["message"]
    assert response.headers["x-request-id"] in caplog.text
    assert "secret" in caplog.text


async def test_audio_that_fails_on_the_way_breaks_off_and_does_not_end_as_if_complete() -> None:
    speaker = FakeSpeaker(error=StageFailed("late"), stop_at=2)
    with pytest.raises(StageFailed):
        await post(speaker)
    assert speaker.num_yielded == 2


async def test_unstreamed_audio_that_fails_on_the_way_is_a_json_error() -> None:
    response = await post(FakeSpeaker(error=Overloaded("late"), stop_at=2), stream=False)
    assert response.status_code == 429


async def test_no_audio_in_time_is_a_504_and_frees_the_synthesizer() -> None:
    speaker = FakeSpeaker(stalls=True)
    response = await post(speaker)
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert f"{LIMITS.first_audio_timeout_s} s" in response.json()["error"]["message"]
    assert speaker.is_closed.is_set()


async def test_a_synthesizer_without_audio_is_an_internal_error() -> None:
    assert (await post(FakeSpeaker(num_chunks=0))).status_code == 500


async def test_a_missing_extra_is_told_before_anything_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    speaker = FakeSpeaker()
    response = await post(speaker, response_format="aac")
    assert response.status_code == 400
    assert "pip install 'cosyvoice-serve[audio]'" in response.json()["error"]["message"]
    assert speaker.requests == []


async def test_the_head_of_a_stream_leaves_with_its_first_part() -> None:
    made, sent = asyncio.Event(), list[str]()

    async def parts() -> AsyncIterator[bytes]:
        await made.wait()
        yield b"first"
        yield b"second"

    async def send(message: Message) -> None:
        sent.append(message["type"] if "body" not in message else message["body"].decode())

    response = asyncio.ensure_future(BodyStream(parts())({"type": "http"}, receive_nothing, send))
    await asyncio.sleep(0.01)
    assert sent == []
    made.set()
    await response
    assert sent == ["http.response.start", "first", "second", ""]


async def receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}

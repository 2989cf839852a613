"""What is refused at the door, in OpenAI's error shape, before the synthesizer hears of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from speaking import LIMITS, MAX_TEXT_LENGTH, FakeSpeaker, post, post_raw

GOOD = {"model": "tiny", "input": "hi", "voice": "english"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


FIELDS = [
    ("input", "", "invalid_request", "empty"),
    ("input", " \t\n\u3000", "invalid_request", "empty"),
    ("input", "。，！…—《》?!", "invalid_request", "letter or a digit"),
    ("input", "😀🎉👍🏽", "invalid_request", "letter or a digit"),
    ("input", "x" * (MAX_TEXT_LENGTH + 1), "text_too_long", f"301 characters, the limit is {MAX_TEXT_LENGTH}"),
    ("input", "ok\x00", "invalid_request", r"\u0000) at position 2"),
    ("input", "a\x1b[31m", "invalid_request", r"\u001b) at position 1"),
    ("input", None, "invalid_request", "string"),
    ("input", 5, "invalid_request", "string"),
    ("input", True, "invalid_request", "string"),
    ("input", ["hi"], "invalid_request", "string"),
    ("voice", "", "voice_not_found", "english"),
    ("voice", "nobody", "voice_not_found", "'nobody'"),
    ("voice", "English", "voice_not_found", "english"),
    ("voice", {"id": "nobody"}, "voice_not_found", "'nobody'"),
    ("voice", {"name": "english"}, "invalid_request", "string"),
    ("voice", {"id": "english", "x": 1}, "invalid_request", "string"),
    ("voice", {"id": 1}, "invalid_request", "string"),
    ("voice", None, "invalid_request", "string"),
    ("voice", "solo", "voice_not_found", "tiny"),
    ("model", "tts-1", "model_not_found", "tiny"),
    ("model", 1, "invalid_request", "string"),
    ("response_format", "ogg", "unsupported_format", "mp3, opus, aac, flac, wav, pcm"),
    ("response_format", None, "invalid_request", "string"),
    ("response_format", 3, "invalid_request", "string"),
    ("speed", 0.2, "invalid_request", "0.25"),
    ("speed", 4.01, "invalid_request", "4"),
    ("speed", -1, "invalid_request", "0.25"),
    ("speed", True, "invalid_request", "number"),
    ("speed", "1.0", "invalid_request", "number"),
    ("speed", None, "invalid_request", "number"),
    ("seed", -1, "invalid_request", "0"),
    ("seed", 2**63, "invalid_request", "less than"),
    ("seed", 10**4000, "invalid_request", "seed"),
    ("seed", 1.5, "invalid_request", "integer"),
    ("seed", True, "invalid_request", "integer"),
    ("seed", "1", "invalid_request", "integer"),
    ("language", "fr", "invalid_request", "zh"),
    ("language", "ja", "invalid_request", "zh, en"),
    ("language", [], "invalid_request", "zh"),
    ("normalize", 1, "invalid_request", "boolean"),
    ("stream", "false", "invalid_request", "boolean"),
    ("stream_format", "ws", "invalid_request", "sse"),
    ("sample_rate", 7999, "invalid_request", "8000"),
    ("sample_rate", 48001, "invalid_request", "48000"),
    ("sample_rate", 22050.5, "invalid_request", "integer"),
    ("instructions", "whisper", "invalid_request", "instructions"),
]


@pytest.mark.parametrize(("name", "value", "code", "said"), FIELDS, ids=lambda value: repr(value)[:24])
async def test_a_wrong_field_is_named(name: str, value: Any, code: str, said: str) -> None:
    speaker = FakeSpeaker()
    response = await post(speaker, **{name: value})
    error = error_of(response)
    assert response.status_code == (404 if code.endswith("_not_found") else 400)
    assert (error["code"], error["param"], error["type"]) == (code, name, "invalid_request_error")
    assert said in error["message"]
    assert len(error["message"]) < 400
    assert speaker.requests == []


@pytest.mark.parametrize("name", ["input", "voice"])
async def test_a_missing_field_is_named(name: str) -> None:
    body = {key: value for key, value in GOOD.items() if key != name}
    error = error_of(await post_raw(json.dumps(body).encode()))
    assert error["param"] == name
    assert error["message"] == f"{name} is missing."


async def test_a_rate_that_the_format_cannot_carry_is_refused() -> None:
    response = await post(response_format="opus", sample_rate=22050)
    assert response.status_code == 400
    assert "24000" in error_of(response)["message"]


async def test_unstreamed_events_are_a_contradiction() -> None:
    assert error_of(await post(stream_format="sse", stream=False))["param"] == "stream"


@pytest.mark.parametrize("name", ["inptu", "voice ", "\ud800", "x" * 5000, "a\nb", ""])
async def test_an_unknown_field_is_refused_with_the_known_ones(name: str) -> None:
    response = await post_raw(json.dumps({**GOOD, name: 1}).encode())
    assert response.status_code == 400
    message = error_of(response)["message"]
    assert "unknown field" in message
    assert "response_format" in message
    assert len(message) < 400


BODIES = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"hello", "not JSON"),
    (b'{"input": "hi",}', "not JSON"),
    (b"[]", "JSON object"),
    (b'"text"', "JSON object"),
    (b"null", "JSON object"),
    (b'{"input": "\xff"}', "byte 11"),
    (b'{"input": "caf\xe9"}', "byte 14"),
    ("{}".encode("utf-16"), "UTF-8"),
    (b'{"speed": NaN}', "NaN"),
    (b'{"speed": -Infinity}', "Infinity"),
    (b'{"input": "a", "input": "b"}', "'input' is given twice"),
    (b'{"voice": {"id": "a", "id": "b"}}', "'id' is given twice"),
    (b"[" * 9000, "nested too deeply"),
    (b'{"a":' * 3000, "nested too deeply"),
    (b'{"seed": ' + b"9" * 6000 + b"}", "JSON"),
    (b'{"input": "a\nb"}', "not JSON"),
]


@pytest.mark.parametrize(("body", "said"), BODIES, ids=lambda value: repr(value)[:24])
async def test_a_body_that_is_no_request_is_refused(body: bytes, said: str) -> None:
    response = await post_raw(body)
    assert response.status_code == 400
    assert said in error_of(response)["message"]


NUMBERS = [("1e999", "finite"), ("1e-999", "0.25"), ("0.25", None), ("4", None), ("4.0", None)]


@pytest.mark.parametrize(("number", "said"), NUMBERS)
async def test_a_speed_has_bounds_that_belong_to_it(number: str, said: str | None) -> None:
    response = await post_raw(json.dumps(GOOD).replace("}", f', "speed": {number}}}').encode())
    if said is None:
        assert response.status_code == 200
    else:
        assert said in error_of(response)["message"]


@pytest.mark.parametrize("depth", range(200, 1001, 10))
async def test_nesting_of_any_depth_is_the_callers_error(depth: int) -> None:
    response = await post_raw(b'{"input": ' + b"[" * depth + b"]" * depth + b"}")
    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize(("escaped", "position"), [(r"\ud83d", 0), (r"ok \udc00!", 3), (r"\ude00\ud83d", 0)])
async def test_half_a_surrogate_pair_is_refused_at_its_position(escaped: str, position: int) -> None:
    response = await post_raw(f'{{"model": "tiny", "voice": "english", "input": "{escaped}"}}'.encode())
    assert response.status_code == 400
    assert f"at position {position}" in error_of(response)["message"]


async def test_a_whole_surrogate_pair_is_one_character() -> None:
    response = await post_raw(rb'{"model": "tiny", "voice": "english", "input": "ok \ud83d\ude00"}')
    assert response.status_code == 200


async def test_a_byte_order_mark_is_not_held_against_anyone() -> None:
    assert (await post_raw(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())).status_code == 200


async def test_a_body_over_the_limit_is_refused_by_its_declared_length() -> None:
    response = await post_raw(b" " * (LIMITS.max_body_bytes + 1))
    assert response.status_code == 413
    assert error_of(response)["code"] == "body_too_large"


async def test_a_body_at_the_limit_is_read() -> None:
    assert (await post_raw(json.dumps(GOOD).encode().ljust(LIMITS.max_body_bytes))).status_code == 200


async def test_a_body_without_length_is_read_only_up_to_the_limit() -> None:
    parts = [b" " * 1000] * 1000

    async def long() -> AsyncIterator[bytes]:
        while parts:
            yield parts.pop()

    response = await post_raw(long())
    assert response.status_code == 413
    assert error_of(response)["code"] == "body_too_large"
    assert 1000 - len(parts) == LIMITS.max_body_bytes // 1000 + 1

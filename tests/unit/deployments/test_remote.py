from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError
from replica import FakeHandle, FakeStream

from deployments.remote import RemoteAcousticModel, RemoteFrontend, RemoteToken2Wav
from pipeline import errors
from pipeline.errors import Overloaded, StageFailed, TTSError, VoiceNotFound
from pipeline.types import SpeechRequest, SpeechTokens, Utterance, Voice

UTTERANCE = Utterance("text", (1, 2), Voice("anna", np.zeros(4, np.float32)), 0)
REQUEST = SpeechRequest("text", "anna")
GROUPS = [SpeechTokens(np.arange(3), False), SpeechTokens(np.arange(2), True)]


def raised_in_replica(cause: Exception) -> Exception:
    return RayTaskError("prepare", "a traceback", cause).as_instanceof_cause()


def handle_raising(error: Exception) -> FakeHandle:
    async def method(*args: Any) -> None:
        raise error

    return FakeHandle(method)


def streaming_handle(stalls: bool = False, error: Exception | None = None) -> FakeHandle:
    async def method(utterance: Utterance) -> AsyncGenerator[SpeechTokens, None]:
        yield GROUPS[0]
        if error is not None:
            raise error
        if stalls:
            await asyncio.Event().wait()
        yield GROUPS[1]

    return FakeHandle(method, FakeStream)


async def test_calls_go_by_value_in_plain_pickle() -> None:
    async def echo(*args: Any) -> Any:
        return args

    handles = FakeHandle(echo), streaming_handle(), FakeHandle(echo)
    await RemoteFrontend(handles[0]).prepare(REQUEST)
    await anext(RemoteAcousticModel(handles[1]).generate(UTTERANCE))
    await RemoteToken2Wav(handles[2]).decode(GROUPS[0], UTTERANCE, None)
    pickled = {"request_serialization": "pickle", "response_serialization": "pickle"}
    assert [handle.called_with for handle in handles] == [
        {"stream": is_streamed, "_by_reference": False, **pickled} for is_streamed in (False, True, False)
    ]


async def test_results_come_back_as_they_are() -> None:
    async def echo(*args: Any) -> Any:
        return args

    assert await RemoteFrontend(FakeHandle(echo)).prepare(REQUEST) == (REQUEST,)
    assert await RemoteToken2Wav(FakeHandle(echo)).decode(GROUPS[0], UTTERANCE, None) == (GROUPS[0], UTTERANCE, None)
    assert [group async for group in RemoteAcousticModel(streaming_handle()).generate(UTTERANCE)] == GROUPS


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (raised_in_replica(VoiceNotFound("no such voice")), VoiceNotFound("no such voice")),
        (
            raised_in_replica(KeyError("oops")),
            StageFailed("the text frontend failed (KeyError: 'oops'): try again."),
        ),
        (
            BackPressureError(7, 7),
            Overloaded(
                "too many requests wait for the text frontend (Request dropped due to backpressure "
                "(num_queued_requests=7, max_queued_requests=7).): try again later."
            ),
        ),
        (
            RayActorError(error_msg="the replica died"),
            StageFailed("the text frontend failed (RayActorError: the replica died): try again."),
        ),
    ],
)
async def test_failures_become_the_pipelines_errors(raised: Exception, expected: TTSError) -> None:
    with pytest.raises(TTSError) as caught:
        await RemoteFrontend(handle_raising(raised)).prepare(REQUEST)
    assert (type(caught.value), caught.value.message) == (type(expected), expected.message)


async def test_a_stream_that_breaks_off_raises_the_replicas_error() -> None:
    handle = streaming_handle(error=raised_in_replica(StageFailed("decode step")))
    groups = RemoteAcousticModel(handle).generate(UTTERANCE)
    assert await anext(groups) == GROUPS[0]
    with pytest.raises(StageFailed, match=r"^decode step$"):
        await anext(groups)


async def test_closing_a_stream_cancels_the_replicas_generator() -> None:
    handle = streaming_handle(stalls=True)
    groups = RemoteAcousticModel(handle).generate(UTTERANCE)
    await anext(groups)
    assert not handle.responses[0].is_cancelled
    await groups.aclose()  # type: ignore[attr-defined]
    assert handle.responses[0].is_cancelled


async def test_cancelling_the_reader_cancels_the_replicas_generator() -> None:
    handle = streaming_handle(stalls=True)

    async def read() -> list[SpeechTokens]:
        return [group async for group in RemoteAcousticModel(handle).generate(UTTERANCE)]

    reader = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert handle.responses[0].is_cancelled


async def test_a_stream_read_to_its_end_is_not_cancelled() -> None:
    handle = streaming_handle()
    assert [group async for group in RemoteAcousticModel(handle).generate(UTTERANCE)] == GROUPS
    assert not handle.responses[0].is_cancelled


async def test_cancelling_a_call_cancels_it_in_the_replica() -> None:
    async def stall(*args: Any) -> None:
        await asyncio.Event().wait()

    handle = FakeHandle(stall)
    call = asyncio.ensure_future(RemoteToken2Wav(handle).decode(GROUPS[0], UTTERANCE, None))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert handle.responses[0].is_cancelled


@pytest.mark.parametrize("error", [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, TTSError)])
def test_every_error_crosses_processes_with_its_message(error: type[TTSError]) -> None:
    arrived = pickle.loads(pickle.dumps(error("what, and the cure")))
    assert (type(arrived), arrived.message) == (error, "what, and the cure")

"""Deployment handles behind the stage Protocols: what crosses Ray comes back as the pipeline's own types and errors.

Arguments and results go by value, from replica to replica over gRPC: as Ray's objects each would be stored, announced
and fetched first. A message may have 4 MiB, a minute and a half of audio and so many
times a chunk; RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH raises that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray.exceptions import RayTaskError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from pipeline.errors import Overloaded, StageFailed, TTSError
from pipeline.text.lexicon_entry import Entry
from pipeline.text.preview import Preview
from pipeline.types import AudioChunk, DecodeState, SpeechRequest, SpeechTokens, Utterance


class RemoteFrontend:
    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = _by_value(handle)

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        with stage_errors("text frontend"):
            utterances: Sequence[Utterance] = await _result(self._handle.prepare.remote(request))
            return utterances

    async def preview(self, text: str, language: str | None, normalize: bool) -> Preview:
        with stage_errors("text frontend"):
            preview: Preview = await _result(self._handle.preview.remote(text, language, normalize))
            return preview

    async def lexicon_entries(self, after: str, limit: int) -> Sequence[Entry]:
        with stage_errors("text frontend"):
            entries: Sequence[Entry] = await _result(self._handle.lexicon_entries.remote(after, limit))
            return entries

    async def lexicon_entry(self, word: str) -> Entry | None:
        with stage_errors("text frontend"):
            entry: Entry | None = await _result(self._handle.lexicon_entry.remote(word))
            return entry

    async def put_lexicon_entry(self, entry: Entry) -> None:
        with stage_errors("text frontend"):
            await _result(self._handle.put_lexicon_entry.remote(entry))

    async def delete_lexicon_entry(self, word: str) -> bool:
        with stage_errors("text frontend"):
            was_there: bool = await _result(self._handle.delete_lexicon_entry.remote(word))
            return was_there

    async def ready(self) -> None:
        with stage_errors("text frontend"):
            await _result(self._handle.ready.remote())


class RemoteAcousticModel:
    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = _by_value(handle)
        self._streaming_handle = _by_value(handle, stream=True)

    async def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        """Leaving early, by `aclose` or cancellation, cancels the replica's generator, which frees its slot."""
        with stage_errors("acoustic model"):
            groups: Any = self._streaming_handle.generate.remote(utterance)
            try:
                async for tokens in groups:
                    yield tokens
            except (asyncio.CancelledError, GeneratorExit):
                groups.cancel()
                raise

    async def ready(self) -> None:
        with stage_errors("acoustic model"):
            await _result(self._handle.ready.remote())


class RemoteToken2Wav:
    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = _by_value(handle)

    async def decode(
        self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None
    ) -> tuple[AudioChunk, DecodeState]:
        with stage_errors("token2wav"):
            decoded: tuple[AudioChunk, DecodeState] = await _result(
                self._handle.decode.remote(tokens, utterance, state)
            )
            return decoded

    async def ready(self) -> None:
        with stage_errors("token2wav"):
            await _result(self._handle.ready.remote())


def _by_value(handle: DeploymentHandle[Any], *, stream: bool = False) -> DeploymentHandle[Any]:
    """In plain pickle: nothing that is sent needs what cloudpickle does beyond it."""
    return handle.options(
        stream=stream, _by_reference=False, request_serialization="pickle", response_serialization="pickle"
    )


async def _result(response: Any) -> Any:
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise


@contextmanager
def stage_errors(stage: str) -> Iterator[None]:
    """Turns what a call to the stage raises into the TTSError that the replica raised, or that says what happened."""
    try:
        yield
    except Exception as error:
        raise to_tts_error(error, stage) from error


def to_tts_error(error: Exception, stage: str) -> TTSError:
    cause = error.cause if isinstance(error, RayTaskError) else error  # a RayTaskError is also of its cause's class
    if isinstance(cause, TTSError):
        return cause
    if isinstance(cause, BackPressureError):
        return Overloaded(f"too many requests wait for the {stage} ({cause.message}): try again later.")
    return StageFailed(f"the {stage} failed ({type(cause).__name__}: {cause}): try again.")

"""The result cache: encoded speech of seeded requests, found again by what determines its every byte."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from pipeline.config import ResultsConfig, ServiceConfig
from pipeline.errors import StageFailed
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.types import Utterance

logger = logging.getLogger(__name__)

_LARGEST_SHARE = 8  # a result above this part of the cache would push out too many others
_HEAD = struct.Struct("<dI")  # duration in seconds, number of parts
_LENGTH = struct.Struct("<I")
_PACKAGES = ("cosyvoice-serve", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Result:
    """One answer's encoded audio, in the parts in which it was first sent."""

    parts: tuple[bytes, ...]
    duration_s: float

    def pack(self) -> bytes:
        lengths = b"".join(_LENGTH.pack(len(part)) for part in self.parts)
        return _HEAD.pack(self.duration_s, len(self.parts)) + lengths + b"".join(self.parts)

    @classmethod
    def unpack(cls, data: bytes) -> Result:
        """Raises struct.error or ValueError when `data` is not what `pack` wrote."""
        duration_s, num_parts = _HEAD.unpack_from(data)
        start = _HEAD.size + num_parts * _LENGTH.size
        lengths = [_LENGTH.unpack_from(data, _HEAD.size + k * _LENGTH.size)[0] for k in range(num_parts)]
        if start + sum(lengths) != len(data):
            raise ValueError(f"{len(data)} bytes instead of {start + sum(lengths)}")
        parts: list[bytes] = []
        for length in lengths:
            parts.append(data[start : start + length])
            start += length
        return cls(tuple(parts), duration_s)


class ResultStore(Protocol):
    """Bytes by key, bounded in size; what was not used for longest goes first. Calls block. Raises StageFailed."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, data: bytes) -> None: ...


class ResultCache:
    """Never stands in the way of a request: a store that fails is logged, and the speech is made anew.

    Args:
        identity: what else than a request determines the audio, as `service_identity` gives it.
        max_bytes: of the whole store; a single result may take an eighth of it.
    """

    def __init__(self, store: ResultStore, identity: str, max_bytes: int) -> None:
        self._store = store
        self._identity = identity
        self.max_result_bytes = max_bytes // _LARGEST_SHARE

    def key(
        self, utterances: Sequence[Utterance], audio_format: str, output_rate: int | None, is_streamed: bool
    ) -> str:
        """Hex digest of the pieces as they will be spoken and of the form of the answer.

        The pieces are what the text frontend made of the request, so that a changed lexicon changes the key.
        """
        digest = hashlib.sha256(self._identity.encode())
        digest.update(repr((audio_format, output_rate, is_streamed)).encode())
        for piece in utterances:
            content = (piece.text_ids, piece.voice.name, piece.seed, piece.speed, piece.pause_s)
            digest.update(repr(content).encode())
        return digest.hexdigest()

    async def get(self, key: str) -> Result | None:
        try:
            data = await asyncio.to_thread(self._store.get, key)
            return None if data is None else Result.unpack(data)
        except (StageFailed, struct.error, ValueError) as error:
            logger.warning("the result cache is passed over: %s", error)
            return None

    async def put(self, key: str, result: Result) -> None:
        data = result.pack()
        if len(data) > self.max_result_bytes:
            return
        try:
            await asyncio.to_thread(self._store.put, key, data)
        except StageFailed as error:
            logger.warning("a result was not cached: %s", error)


def service_identity(config: ServiceConfig, bundle: Bundle, precision: Precision) -> str:
    """The bundle's contents, the software that computes them, and the settings that change what is heard."""
    settings = {
        "files": {name: file.sha256 for name, file in bundle.manifest.files.items()},
        "manifest": bundle.manifest.model_dump(mode="json", exclude={"files", "source"}),
        "packages": {name: version(name) for name in _PACKAGES},
        "precision": precision,
        "operators": config.model.operators,
        "profile": config.token2wav.profile or bundle.manifest.flow.profile,
        "chunks": config.acoustic.chunks.model_dump(),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def open_results(config: ResultsConfig, identity: str) -> ResultCache | None:
    """The configured cache, or None. Raises MissingExtra when its library is not installed."""
    if config.store is None:
        return None
    max_bytes = config.max_mib << 20
    return ResultCache(_open_store(config.store, max_bytes), identity, max_bytes)


def _open_store(location: str, max_bytes: int) -> ResultStore:
    if location.startswith(("redis://", "rediss://", "unix://")):
        from pipeline.cache.results_redis import RedisResults

        return RedisResults(location, max_bytes)
    from pipeline.cache.results_sqlite import SqliteResults

    return SqliteResults(location, max_bytes)

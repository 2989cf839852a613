from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from pipeline.build import open_bundle
from pipeline.cache.results import Result, ResultCache, ResultStore, open_results, service_identity
from pipeline.cache.results_redis import RedisResults
from pipeline.cache.results_sqlite import SqliteResults
from pipeline.config import ResultsConfig, ServiceConfig, Token2WavConfig
from pipeline.errors import StageFailed
from pipeline.types import Utterance, Voice

OpenStore = Callable[[int], ResultStore]
MAX_BYTES = 1000
PIECE = Utterance("你好", (1, 2), Voice("anna", np.ones(4, np.float32)), seed=3)


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the same empty store once more, as another replica does."""
    if request.param == "sqlite":
        return lambda max_bytes: SqliteResults(tmp_path / "new" / "results.db", max_bytes)
    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return lambda max_bytes: RedisResults(url, max_bytes)


def test_what_one_replica_put_another_gets(open_store: OpenStore) -> None:
    data = bytes(range(256)) * 3
    assert open_store(MAX_BYTES).get("a") is None
    open_store(MAX_BYTES).put("a", data)
    assert open_store(MAX_BYTES).get("a") == data


def test_the_least_recently_used_goes_first(open_store: OpenStore) -> None:
    store = open_store(MAX_BYTES)
    for key in ("a", "b", "c"):
        store.put(key, bytes(300))
    assert store.get("a") is not None
    store.put("d", bytes(300))
    assert [store.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_a_replaced_result_counts_once(open_store: OpenStore) -> None:
    store = open_store(MAX_BYTES)
    store.put("a", bytes(300))
    for _ in range(5):
        store.put("b", bytes(600))
    assert store.get("a") == bytes(300)
    assert store.get("b") == bytes(600)


def test_the_bound_holds_after_many_results(open_store: OpenStore) -> None:
    store = open_store(MAX_BYTES)
    for index in range(50):
        store.put(f"key {index}", bytes(90 + index))
    kept = [data for index in range(50) if (data := store.get(f"key {index}")) is not None]
    assert MAX_BYTES / 2 < sum(map(len, kept)) <= MAX_BYTES
    assert store.get("key 49") is not None


def test_threads_share_a_store(open_store: OpenStore) -> None:
    store = open_store(100_000)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda index: store.put(f"{index}", bytes([index]) * 100), range(64)))
        found = list(threads.map(lambda index: store.get(f"{index}"), range(64)))
    assert found == [bytes([index]) * 100 for index in range(64)]


@pytest.mark.parametrize("parts", [(), (b"a",), (b"RIFF", b"", b"\x00" * 500)])
def test_a_result_survives_packing(parts: tuple[bytes, ...]) -> None:
    result = Result(parts, 1.25)
    assert Result.unpack(result.pack()) == result


def cache_of(store: ResultStore, max_bytes: int = 80_000) -> ResultCache:
    return ResultCache(store, "identity", max_bytes)


async def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    store = SqliteResults(tmp_path / "results.db", 1000)
    store.put("a", Result((b"audio",), 1.0).pack()[:-1])
    assert await cache_of(store).get("a") is None


async def test_a_result_above_an_eighth_of_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = cache_of(SqliteResults(tmp_path / "results.db", 8000), 8000)
    await cache.put("large", Result((bytes(1001),), 1.0))
    await cache.put("small", Result((bytes(900),), 1.0))
    assert await cache.get("large") is None
    assert await cache.get("small") is not None


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_a_store_that_fails_harms_no_request(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "results.db").write_bytes(b"this is no database " * 100)
    store: ResultStore = (
        SqliteResults(tmp_path / "results.db", 1000)
        if kind == "sqlite"
        else RedisResults("redis://127.0.0.1:1/0", 1000)
    )
    with pytest.raises(StageFailed, match="result cache"):
        store.get("a")
    with caplog.at_level(logging.WARNING):
        assert await cache_of(store).get("a") is None
        await cache_of(store).put("a", Result((b"x",), 1.0))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "other",
    [
        replace(PIECE, text_ids=(1, 3)),
        replace(PIECE, seed=4),
        replace(PIECE, speed=1.1),
        replace(PIECE, pause_s=0.5),
        replace(PIECE, voice=replace(PIECE.voice, name="bob")),
    ],
)
def test_the_key_names_everything_that_is_heard(tmp_path: Path, other: Utterance) -> None:
    cache = cache_of(SqliteResults(tmp_path / "results.db", 1000))
    key = cache.key([PIECE], "mp3", None, True)
    assert key == cache.key([replace(PIECE, text="written otherwise")], "mp3", None, True)
    assert key != cache.key([other], "mp3", None, True)
    assert key != cache.key([PIECE, PIECE], "mp3", None, True)
    assert len({key, cache.key([PIECE], "wav", None, True), cache.key([PIECE], "mp3", 8000, True)}) == 3
    assert key != cache.key([PIECE], "mp3", None, False)
    assert key != ResultCache(cache._store, "another", 1000).key([PIECE], "mp3", None, True)


def test_the_identity_changes_with_settings_that_change_the_sound() -> None:
    bundle = open_bundle(ServiceConfig().model)
    other = "exact" if bundle.manifest.flow.profile == "fast" else "fast"
    otherwise = ServiceConfig(token2wav=Token2WavConfig(profile=other))
    identities = {
        service_identity(ServiceConfig(), bundle, "fp32"),
        service_identity(ServiceConfig(), bundle, "int8"),
        service_identity(otherwise, bundle, "fp32"),
    }
    assert len(identities) == 3
    said = ServiceConfig(token2wav=Token2WavConfig(profile=bundle.manifest.flow.profile))
    assert service_identity(said, bundle, "fp32") in identities, "the bundle's own profile, said aloud"
    assert service_identity(ServiceConfig(), bundle, "fp32") in identities


def test_nothing_is_kept_unless_a_store_is_configured(tmp_path: Path) -> None:
    assert open_results(ResultsConfig(), "identity") is None
    cache = open_results(ResultsConfig(store=str(tmp_path / "results.db"), max_mib=8), "identity")
    assert cache is not None
    assert cache.max_result_bytes == 1 << 20

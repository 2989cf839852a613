"""A change of the user lexicon made in one replica is in force in another after `lexicon_poll_s`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from pipeline.build import build_frontend, open_bundle
from pipeline.config import ServiceConfig, TextConfig
from pipeline.text.frontend import Frontend
from pipeline.text.lexicon_entry import Entry
from pipeline.types import SpeechRequest

POLL_S = 0.15
TEXT = "他去重庆。"


@pytest.fixture(params=["sqlite", "redis"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Frontend, Frontend]:
    """Two text frontends that share nothing but one SQLite file, or one redis-server."""
    location = str(tmp_path / "lexicon.db")
    if request.param == "redis":
        location = request.getfixturevalue("redis_url")
        redis.Redis.from_url(location).flushall()
    config = ServiceConfig(text=TextConfig(lexicon=location, lexicon_poll_s=POLL_S))
    bundle = open_bundle(config.model)
    return build_frontend(config, bundle), build_frontend(config, bundle)


def readings(frontend: Frontend) -> list[str | None]:
    """The readings that the user's lexicon gave."""
    (piece,) = frontend.preview(TEXT).pieces
    return [reading.reading for reading in piece.readings if reading.source == "lexicon"]


def ids(frontend: Frontend) -> tuple[int, ...]:
    (utterance,) = frontend.prepare(SpeechRequest(TEXT, "中文女", seed=1))
    return utterance.text_ids


def test_a_change_is_in_force_here_at_once_and_there_after_the_poll_interval(
    replicas: tuple[Frontend, Frontend],
) -> None:
    here, there = replicas
    usual = ids(there)
    for value in ("chong1 qing1", "zhong3 qing3", None):
        if value is None:
            here.lexicon.delete("重庆")
        else:
            here.lexicon.put(Entry.checked("重庆", "pinyin", value))
        expected = [] if value is None else value.split()
        assert readings(here) == expected
        time.sleep(POLL_S)
        assert readings(there) == expected
        assert (ids(there) == usual) == (value is None)
        assert ids(there) == ids(here)


def test_the_store_is_asked_once_in_an_interval(
    replicas: tuple[Frontend, Frontend], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, there = replicas
    store = there.lexicon._store
    assert store is not None
    asked: list[str] = []
    version = store.version
    monkeypatch.setattr(store, "version", lambda: asked.append("") or version())
    started_s = time.monotonic()
    while len(asked) < 3:
        ids(there)
    assert time.monotonic() - started_s >= 2 * POLL_S

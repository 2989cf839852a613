from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from pipeline.errors import InvalidRequest, LexiconUnavailable, MissingExtra
from pipeline.text.lexicon import RETRY_AFTER_S, Lexicon, LexiconStore, common_words, open_lexicon
from pipeline.text.lexicon_entry import Entry
from pipeline.text.lexicon_redis import RedisLexicon
from pipeline.text.lexicon_sqlite import SqliteLexicon

OpenStore = Callable[[], LexiconStore]
CHONGQING = Entry("重庆", "pinyin", "chong2 qing4")


@pytest.fixture(params=["sqlite", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the same empty store once more, as another replica does."""
    if request.param == "sqlite":
        return lambda: SqliteLexicon(tmp_path / "user" / "lexicon.db")
    url = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return lambda: RedisLexicon(url)


class OwnRedis:
    """A redis-server that can be stopped."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url).ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_an_unwritten_store_is_empty(open_store: OpenStore) -> None:
    store = open_store()
    assert (store.version(), store.words(), store.get("重庆"), store.entries("", 10)) == ("", [], None, [])
    assert store.delete("重庆") is False


def test_entries_can_be_put_replaced_listed_and_deleted(open_store: OpenStore) -> None:
    store = open_store()
    store.put(CHONGQING)
    store.put(Entry("K8s", "respelling", "kubernetes"))
    store.put(Entry("重庆", "pinyin", "zhong4 qing4"))
    assert open_store().get("重庆") == Entry("重庆", "pinyin", "zhong4 qing4")
    assert sorted(store.words()) == ["K8s", "重庆"]
    assert store.delete("重庆") is True
    assert store.delete("重庆") is False
    assert open_store().get("重庆") is None


def test_listing_goes_by_pages_in_order(open_store: OpenStore) -> None:
    store = open_store()
    for word in ("b", "重", "a", "C"):
        store.put(Entry(word, "respelling", "x"))
    assert [entry.word for entry in store.entries("", 3)] == ["C", "a", "b"]
    assert [entry.word for entry in store.entries("b", 3)] == ["重"]


def test_every_change_changes_the_version(open_store: OpenStore) -> None:
    store = open_store()
    versions = [store.version()]
    for change in (lambda: store.put(CHONGQING), lambda: store.put(CHONGQING), lambda: store.delete("重庆")):
        change()
        versions.append(open_store().version())
    assert len(set(versions)) == 4


def test_a_change_reaches_another_replica_after_the_poll_interval(open_store: OpenStore) -> None:
    clock = Clock()
    here, there = Lexicon(open_store()), Lexicon(open_store(), poll_s=2.0, clock=clock)
    assert there.find("去重庆") == []
    here.put(CHONGQING)
    assert there.find("去重庆") == []
    clock.now_s = 2.0
    assert [match.entry for match in there.find("去重庆")] == [CHONGQING]
    here.put(Entry("重庆", "pinyin", "zhong4 qing4"))
    here.delete("重庆")
    clock.now_s = 4.0
    assert there.find("去重庆") == []


def test_a_change_is_in_force_here_at_once(open_store: OpenStore) -> None:
    lexicon = Lexicon(open_store(), poll_s=1000.0)
    assert lexicon.find("重庆") == []
    lexicon.put(CHONGQING)
    assert [match.origin for match in lexicon.find("重庆")] == ["lexicon"]
    assert lexicon.delete("重庆")
    assert lexicon.find("重庆") == []


class CountingStore(SqliteLexicon):
    num_reads = 0

    def get(self, word: str) -> Entry | None:
        self.num_reads += 1
        return super().get(word)


@pytest.mark.parametrize(("cache_size", "num_reads"), [(10, 0), (1, 1)])
def test_entries_are_read_once_while_the_version_stays(tmp_path: Path, cache_size: int, num_reads: int) -> None:
    """Beyond `cache_size` entries, one is read when its word is met first."""
    store = CountingStore(tmp_path / "lexicon.db")
    lexicon = Lexicon(store, poll_s=0.0, cache_size=cache_size)
    for word in ("一", "重庆"):
        lexicon.put(Entry(word, "respelling", "好"))
    for _ in range(5):
        assert [match.entry.word for match in lexicon.find("重庆重庆")] == ["重庆", "重庆"]
    assert store.num_reads == num_reads


def test_the_longest_match_wins_and_latin_words_match_whole() -> None:
    words = {word: Entry(word, "respelling", "x") for word in ("重庆", "重庆大学", "AI", "kafka", "C++")}
    lexicon = Lexicon(None, words)
    found = [match.entry.word for match in lexicon.find("重庆大学的AI在MAIN里，Kafka和kafkaesque，用C++写AI。")]
    assert found == ["重庆大学", "AI", "kafka", "C++", "AI"]
    assert lexicon.find("ai") == []


def test_the_users_entry_goes_before_the_shipped_one(tmp_path: Path) -> None:
    lexicon = open_lexicon(str(tmp_path / "lexicon.db"))
    assert [(match.entry.value, match.origin) for match in lexicon.find("GPU")] == [("G P U", "common")]
    lexicon.put(Entry.checked("GPU", "respelling", "显卡"))
    assert [(match.entry.value, match.origin) for match in lexicon.find("GPU")] == [("显卡", "lexicon")]
    lexicon.delete("GPU")
    assert [match.origin for match in lexicon.find("GPU")] == ["common"]


def test_a_lost_redis_leaves_what_is_cached_in_force(redis_url: str) -> None:
    RedisLexicon(redis_url).put(CHONGQING)
    store = RedisLexicon(redis_url)
    lexicon = Lexicon(store, poll_s=0.0)
    assert lexicon.find("重庆")
    store._client = RedisLexicon("redis://127.0.0.1:1/0")._client
    assert [match.entry for match in lexicon.find("重庆")] == [CHONGQING]
    with pytest.raises(LexiconUnavailable, match="cannot be reached"):
        lexicon.put(CHONGQING)


def test_a_redis_that_stops_leaves_texts_readable_and_is_asked_again_later(own_redis: OwnRedis) -> None:
    """All entries stay in force, those that no text held before too; what a text waits for is bounded."""
    clock = Clock()
    RedisLexicon(own_redis.url).put(CHONGQING)
    lexicon = Lexicon(RedisLexicon(own_redis.url), poll_s=0.0, clock=clock)
    assert lexicon.find("没有") == []
    own_redis.stop()
    started_s = time.monotonic()
    for _ in range(100):
        assert [match.entry for match in lexicon.find("重庆")] == [CHONGQING]
    assert time.monotonic() - started_s < 3.0
    for call in (lexicon.entries, lambda: lexicon.put(CHONGQING), lambda: lexicon.delete("重庆")):
        with pytest.raises(LexiconUnavailable, match=r"cannot be reached .*start it, or set text\.lexicon"):
            call()
    own_redis.start()
    RedisLexicon(own_redis.url).put(Entry("好", "pinyin", "hao4"))
    clock.now_s = RETRY_AFTER_S
    assert [match.entry.value for match in lexicon.find("重庆好")] == ["hao4"]


def test_a_locked_file_is_not_waited_for_by_every_text(tmp_path: Path) -> None:
    store = SqliteLexicon(tmp_path / "lexicon.db")
    store.put(CHONGQING)
    lexicon = Lexicon(store, poll_s=0.0)
    assert lexicon.find("重庆")
    with closing(sqlite3.connect(tmp_path / "lexicon.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started_s = time.monotonic()
        for _ in range(100):
            assert [match.entry for match in lexicon.find("重庆")] == [CHONGQING]
        assert time.monotonic() - started_s < 2.0
        with pytest.raises(LexiconUnavailable, match="stop the program that locks it"):
            lexicon.entries()


def test_a_file_damaged_later_leaves_the_known_entries_in_force(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.db"
    lexicon = Lexicon(SqliteLexicon(path), poll_s=0.0)
    lexicon.put(CHONGQING)
    assert lexicon.find("重庆")
    path.write_bytes(b"no database" * 500)
    assert [match.entry for match in lexicon.find("重庆")] == [CHONGQING]
    with pytest.raises(LexiconUnavailable, match=r"lexicon\.db cannot be read .*move the file away"):
        lexicon.entries()


def test_an_entry_damaged_in_the_store_is_left_out(tmp_path: Path, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    sqlite = SqliteLexicon(tmp_path / "lexicon.db")
    for store in (sqlite, RedisLexicon(redis_url)):
        store.put(CHONGQING)
    with closing(sqlite3.connect(tmp_path / "lexicon.db")) as other, other:
        other.execute("INSERT INTO entries VALUES ('坏', 'pinyin', 'xyz9')")
    for word, value in (("坏", b"{}"), ("破", b"\xff\xfe"), ("", b"[]"), ("烂", b'["pinyin", "lan4", 3]')):
        client.hset("{cosyvoice-serve}:lexicon:entries", word, value)
    for store in (sqlite, RedisLexicon(redis_url)):
        lexicon = Lexicon(store, poll_s=0.0)
        assert [match.entry for match in lexicon.find("坏破重庆烂")] == [CHONGQING]
        assert lexicon.entries() == [CHONGQING]
        assert lexicon.get("坏") is None
        assert lexicon.delete("坏")


def test_a_damaged_file_is_named_and_does_not_stop_reading_text(tmp_path: Path) -> None:
    (tmp_path / "lexicon.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    lexicon = open_lexicon(str(tmp_path / "lexicon.db"))
    assert [match.entry.word for match in lexicon.find("AI")] == ["AI"]
    with pytest.raises(LexiconUnavailable, match=r"lexicon\.db cannot be written.*text\.lexicon"):
        lexicon.put(CHONGQING)


def test_a_place_that_cannot_be_written_says_what_to_configure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lexicon = open_lexicon(str(tmp_path / "file" / "lexicon.db"))
    assert lexicon.find("重庆") == []
    with pytest.raises(LexiconUnavailable, match=r"set text\.lexicon to a writable file"):
        lexicon.put(CHONGQING)


def test_without_a_store_changes_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"no user lexicon: set text\.lexicon"):
        open_lexicon(None).put(CHONGQING)


def test_a_write_waits_for_another_ones_transaction(tmp_path: Path) -> None:
    store = SqliteLexicon(tmp_path / "lexicon.db")
    store.put(CHONGQING)
    other = sqlite3.connect(tmp_path / "lexicon.db")
    other.execute("BEGIN")
    other.execute("SELECT * FROM entries").fetchall()
    assert store.get("重庆") == CHONGQING
    other.close()
    store.put(Entry("好", "pinyin", "hao4"))
    assert len(store.words()) == 2


@pytest.mark.parametrize(
    ("word", "kind", "value", "entry"),
    [
        (" 重庆 ", "pinyin", "chóng qìng", CHONGQING),
        ("onnx", "phonemes", "aa1 n ih0 k s", Entry("onnx", "phonemes", "AA1 N IH0 K S")),
        ("K8s", "respelling", "kubernetes", Entry("K8s", "respelling", "kubernetes")),
    ],
)
def test_entries_are_brought_to_normal_form(word: str, kind: str, value: str, entry: Entry) -> None:
    assert Entry.checked(word, kind, value) == entry


@pytest.mark.parametrize(
    ("word", "kind", "value", "reason"),
    [
        ("重庆", "pinyin", "chong2", "has 1 syllables, '重庆' has 2 characters"),
        ("重庆", "pinyin", "chong2 qinq4", "'qinq4' is no Mandarin syllable"),
        ("重庆", "pinyin", "chong2 qing", "has no tone"),
        ("GPU", "pinyin", "ji1", "respelling instead of pinyin"),
        ("重庆", "phonemes", "HH AH0", "respelling instead of phonemes"),
        ("hello", "phonemes", "HH AX0", "'AX0' is no ARPAbet phone"),
        ("hello", "song", "la", "kind 'song' is unknown; known are: pinyin, phonemes, respelling"),
        ("。", "respelling", "x", "no letter"),
        ("x", "respelling", "!", "no letter"),
        ("x" * 33, "respelling", "y", "at most 32"),
        ("x", "respelling", "y" * 201, "at most 200"),
        ("x\ny", "respelling", "y", "control characters"),
    ],
)
def test_entries_that_cannot_be_spoken_are_refused_with_the_reason(
    word: str, kind: str, value: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        Entry.checked(word, kind, value)


def test_all_shipped_words_are_valid_and_found() -> None:
    lexicon = open_lexicon(None)
    assert len(common_words()) > 10
    for word in common_words():
        assert [match.entry.word for match in lexicon.find(f"说{word}。")] == [word]


def test_redis_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"cosyvoice-serve\[redis\]"):
        open_lexicon("redis://localhost")

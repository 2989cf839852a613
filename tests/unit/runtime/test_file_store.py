"""Entries that are made once, are whole or not there, and are made again when they are damaged."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.runtime.file_store import is_whole, open_entry


class Writer:
    """Writes a file `text`; counts how often."""

    def __init__(self, text: str = "contents", duration_s: float = 0.0) -> None:
        self.num_calls = 0
        self._text, self._duration_s = text, duration_s

    def __call__(self, folder: Path) -> None:
        self.num_calls += 1
        time.sleep(self._duration_s)
        (folder / "text").write_text(self._text)


def read(folder: Path) -> str:
    return (folder / "text").read_text()


def visible(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.suffix != ".lock")


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    write = Writer()
    assert [open_entry([tmp_path], "a", write, read) for _ in range(2)] == ["contents"] * 2
    assert write.num_calls == 1
    assert open_entry([tmp_path], "b", write, read) == "contents"
    assert write.num_calls == 2
    assert visible(tmp_path) == ["a", "b"]


def test_those_who_want_it_at_once_wait_for_the_one_who_makes_it(tmp_path: Path) -> None:
    write, loaded = Writer(duration_s=0.1), list[str | None]()
    threads = [
        threading.Thread(target=lambda: loaded.append(open_entry([tmp_path], "a", write, read))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == ["contents"] * 4
    assert write.num_calls == 1


@pytest.mark.parametrize("name", ["text", "sizes.json"])
def test_a_truncated_or_missing_file_is_made_again(tmp_path: Path, name: str) -> None:
    write = Writer()
    open_entry([tmp_path], "a", write, read)
    file = tmp_path / "a" / name
    file.write_bytes(file.read_bytes()[:-1])
    assert not is_whole(tmp_path / "a")
    assert open_entry([tmp_path], "a", write, read) == "contents"
    file.unlink()
    assert open_entry([tmp_path], "a", write, read) == "contents"
    assert write.num_calls == 3


def test_what_cannot_be_loaded_is_made_again(tmp_path: Path) -> None:
    open_entry([tmp_path], "a", Writer("damaged!"), read)

    def load(folder: Path) -> str:
        if read(folder) == "damaged!":
            raise BundleError("it does not load")
        return read(folder)

    assert open_entry([tmp_path], "a", Writer(), load) == "contents"
    assert read(tmp_path / "a") == "contents"


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".a.new").mkdir()
    (tmp_path / ".a.new" / "half").write_text("half")
    assert open_entry([tmp_path], "a", Writer(), read) == "contents"
    assert visible(tmp_path) == ["a"]
    assert visible(tmp_path / "a") == ["sizes.json", "text"]


def test_the_next_place_takes_what_the_first_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    places = [tmp_path / "file" / "machine", tmp_path / "cache"]
    write = Writer()
    for _ in range(2):
        assert open_entry(places, "a", write, read) == "contents"
    assert write.num_calls == 1
    assert read(tmp_path / "cache" / "a") == "contents"


def test_an_entry_of_any_place_is_found_before_one_is_made(tmp_path: Path) -> None:
    open_entry([tmp_path / "second"], "a", Writer(), read)
    write = Writer("other")
    assert open_entry([tmp_path / "first", tmp_path / "second"], "a", write, read) == "contents"
    assert write.num_calls == 0


def test_without_any_place_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_entry([], "a", Writer(), read) is None
    assert not caplog.records
    (tmp_path / "file").write_text("no folder")
    assert open_entry([tmp_path / "file"], "a", Writer(), read) is None
    assert "a is kept nowhere" in caplog.text


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError("no space left on device")

    assert open_entry([tmp_path], "a", write, read) is None
    assert visible(tmp_path) == []

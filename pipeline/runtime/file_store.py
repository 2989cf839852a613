"""Folders of files that can be made again: made once for all processes of a machine, and there whole or not at all."""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pipeline.errors import TTSError

logger = logging.getLogger(__name__)

SIZES = "sizes.json"  # the size of every other file of an entry
_FAILURES = (TTSError, OSError, ValueError)

Loaded = TypeVar("Loaded")


def open_entry(
    places: Sequence[Path], name: str, write: Callable[[Path], None], load: Callable[[Path], Loaded]
) -> Loaded | None:
    """What `load` makes of the entry; None when it is nowhere and no place takes it.

    Processes that want the same entry wait while one of them makes it.

    Args:
        places: where it may be, first choice first.
        name: says what is in it. Entries never change; other contents have another name.
        write: makes its files in the folder that it is given.
        load: reads them. Where it fails the files are damaged, and are made again.
    """
    for place in places:
        if (loaded := _load(place / name, load)) is not None:
            return loaded
    for place in places:
        if (loaded := _make_and_load(place / name, write, load)) is not None:
            return loaded
    if places:
        logger.warning("%s is kept nowhere: %s cannot be written", name, " and ".join(map(str, places)))
    return None


def _load(entry: Path, load: Callable[[Path], Loaded]) -> Loaded | None:
    if not is_whole(entry):
        return None
    try:
        return load(entry)
    except _FAILURES as error:
        logger.warning("%s is damaged and made again: %s", entry, error)
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _make_and_load(entry: Path, write: Callable[[Path], None], load: Callable[[Path], Loaded]) -> Loaded | None:
    try:
        _make(entry, write)
        return load(entry)
    except _FAILURES as error:
        logger.info("%s cannot be made: %s", entry, error)
        return None


def is_whole(entry: Path) -> bool:
    """Whether the entry has every file in the size that it was made with."""
    try:
        sizes: dict[str, int] = json.loads((entry / SIZES).read_text("utf-8"))
        return all((entry / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _make(entry: Path, write: Callable[[Path], None]) -> None:
    """Fills a folder beside the entry, which is then renamed."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with _locked(entry.with_name(f".{entry.name}.lock")):
        if is_whole(entry):
            return
        new = entry.with_name(f".{entry.name}.new")
        shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
        new.mkdir()
        try:
            write(new)
            sizes = {file.name: file.stat().st_size for file in new.iterdir()}
            (new / SIZES).write_text(json.dumps(sizes), "utf-8")
            shutil.rmtree(entry, ignore_errors=True)
            new.rename(entry)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds the file's lock, which the operating system frees when a process ends in any way."""
    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

"""Who computes, and which cores urgent work has claimed: told between processes by locks on parts of a file."""

from __future__ import annotations

import logging
import os
import struct
import sys
import tempfile
import weakref
from pathlib import Path
from threading import Lock

from pipeline.runtime.threads import num_visible_cores

logger = logging.getLogger(__name__)

_FLOCK = struct.Struct("hhqqi")  # of fcntl(2): type, whence, start, length, process
_USE = 1 << 16  # a byte behind those of all cores, on which whoever computes has a lock that others may have, too


class CoreClaims:
    """Says who goes first where replicas share cores, which no niceness does: the kernel gives each side its share.

    Each core is a byte of the file, and a claim is a lock on it that belongs to this object ("open file description
    locks" of fcntl(2)). The kernel drops the locks of a process that dies. Where there are no such locks (outside
    Linux) or the file cannot be opened, nothing is ever claimed, and nobody knows to be alone. Any thread may call any
    method.

    Args:
        path: the same for all who share the cores.
        num_cores: of the machine, as far as this process may use them.
    """

    def __init__(self, path: Path, num_cores: int) -> None:
        self._num_cores = num_cores
        self._file = _opened(path)
        self._close = None if self._file is None else weakref.finalize(self, os.close, self._file)
        self._guard = Lock()
        self._num_claims = 0
        self._num_uses = 0

    def claim(self, num_cores: int) -> None:
        """Takes that many cores, or those that nobody else has claimed. Call `release` as often."""
        with self._guard:
            self._num_claims += 1
            if self._file is not None and self._num_claims == 1:
                _lock_first(self._file, num_cores, self._num_cores)

    def release(self) -> None:
        """The last of several ends the claim."""
        with self._guard:
            self._num_claims -= 1
            if self._file is not None and not self._num_claims:
                _set(self._file, _UNLOCK, 0, self._num_cores)

    def are_free(self, num_cores: int) -> bool:
        """Whether so many cores are claimed by no other object; of all cores at most."""
        if self._file is None:
            return True
        num_missing = min(num_cores, self._num_cores)
        for core in range(self._num_cores):
            if num_missing and _is_free(self._file, core):
                num_missing -= 1
        return not num_missing

    def start_using(self) -> None:
        """Tells the others that something is computed here. Call `stop_using` as often."""
        with self._guard:
            self._num_uses += 1
            if self._file is not None and self._num_uses == 1:
                _set(self._file, _SHARE, _USE, 1)

    def stop_using(self) -> None:
        with self._guard:
            self._num_uses -= 1
            if self._file is not None and not self._num_uses:
                _set(self._file, _UNLOCK, _USE, 1)

    def is_alone(self) -> bool:
        """Whether it is known that no other object's owner computes."""
        return self._file is not None and _is_free(self._file, _USE)

    def close(self) -> None:
        """Ends the claim for good; so does losing the object."""
        with self._guard:
            self._file = None
            if self._close is not None:
                self._close()


def machine_claims() -> CoreClaims:
    """Those of this user on this machine, or in this container."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    return CoreClaims(Path(tempfile.gettempdir()) / f"cosyvoice-serve-{user}.cores", num_visible_cores())


if sys.platform == "linux":
    import fcntl

    _LOCK, _SHARE, _UNLOCK = fcntl.F_WRLCK, fcntl.F_RDLCK, fcntl.F_UNLCK

    def _opened(path: Path) -> int | None:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("%s cannot be opened (%s): first audio goes first by niceness only.", path, error.strerror)
            return None

    def _set(file: int, kind: int, start: int, length: int) -> bool:
        """Whether nobody else's lock is in the way."""
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _is_free(file: int, byte: int) -> bool:
        """Whether nobody else has a lock of any kind there."""
        asked = _FLOCK.pack(_LOCK, os.SEEK_SET, byte, 1, 0)
        found: int = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0]
        return found == _UNLOCK

else:
    _LOCK, _SHARE, _UNLOCK = 1, 0, 2

    def _opened(path: Path) -> int | None:
        return None

    def _set(file: int, kind: int, start: int, length: int) -> bool:
        return True

    def _is_free(file: int, byte: int) -> bool:
        return True


def _lock_first(file: int, num_wanted: int, num_cores: int) -> None:
    for core in range(num_cores):
        if num_wanted and _set(file, _LOCK, core, 1):
            num_wanted -= 1

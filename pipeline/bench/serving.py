"""Ray Serve as a user starts it, on a Ray of its own, for as long as it is measured."""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.bench.plan import Plan
from pipeline.errors import StageFailed

HOST = "127.0.0.1"
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
REAP_TIMEOUT_S = 10.0
HAPROXY_SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"  # Ray's; `serve run` inherits it
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def entrance() -> str:
    """What listens on the service's port, as the environment says."""
    return "HAProxy" if os.environ.get(HAPROXY_SWITCH) == "1" else "Ray Serve's own proxy"


@contextmanager
def running_service(args: Mapping[str, Any], plan: Plan) -> Iterator[int]:
    """`serve run` of the plan's file with these `args` (a ServiceConfig as plain values); yields the port.

    It stays in this session: Linux shares cores between sessions first, and then by niceness. So the caller, whom Ray's
    workers let go first, wakes as soon as its answer comes, as one on another machine would.

    Ray's processes leave their parent. This one takes them in, so that their CPU time counts as its children's, not as
    that of others on the machine, as far as Ray itself waits for the processes that it starts.

    Raises StageFailed with the end of its log when it does not become ready.
    """
    port = _free_port()
    _adopt_orphans()
    with tempfile.TemporaryDirectory() as name:
        file, log = Path(name) / "serve_config.yaml", Path(name) / "log"
        file.write_text(plan.serve_file(args, HOST, port), "utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.serve.scripts", "run", str(file)],
                env={**os.environ, "RAY_ADDRESS": "local"},  # never a cluster that happens to run here
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=os.setpgrp,
            )
            try:
                _wait_until_ready(port, process, log)
                yield port
            finally:
                _stop(process)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up_at and process.poll() is None:
        if _is_ready(port):
            return
        time.sleep(0.3)
    raise StageFailed(f"the service did not become ready:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C, as a user would; what is left of Ray after a minute is killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)

    _reap_children()


def _adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap_children() -> None:
    """Waits for all children, which are about to end."""
    give_up_at = time.monotonic() + REAP_TIMEOUT_S
    while time.monotonic() < give_up_at:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])

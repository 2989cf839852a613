"""The whole service as callers meet it: `serve run`, spoken to over HTTP, next to the same stages in one process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.bench.machine import cpu_times_s
from pipeline.bench.service import configured
from pipeline.bench.workload import of_fixed_length, open_served, utterances_of
from pipeline.errors import StageFailed
from pipeline.runtime.bundle import Precision

HOST = "127.0.0.1"
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 600.0
_LIGHT_CPUS = {"Ingress": 0.1, "TextFrontend": 0.2}


def measure_http(
    bundle: str,
    precision: Precision,
    text: str,
    duration_s: float,
    repeats: int,
    num_threads: int,
    num_requests: int = 1,
) -> dict[str, Any]:
    """`num_requests` at once over HTTP, `repeats` times over; one thread per heavy stage. pcm, streamed, no cache.

    Args:
        num_threads: cores that the replicas share; each heavy stage computes with one thread.
        duration_s: of audio, forced on each request.
    """
    opened = open_served(bundle)
    with of_fixed_length(opened, utterances_of(opened, text), duration_s) as fixed:
        config = configured(fixed, precision, is_streamed=True).model_dump(mode="json")
        voice = fixed.manifest.voices[0]
        with running_service(config, num_threads) as port:
            _speak(port, text[:2], voice, 0)  # warms up
            return _measure(port, text, voice, repeats, num_requests)


def _measure(port: int, text: str, voice: str, repeats: int, num_requests: int) -> dict[str, Any]:
    spoken: list[dict[str, float]] = []
    started, before = time.perf_counter(), cpu_times_s()
    with ThreadPoolExecutor(num_requests) as callers:
        for repeat in range(repeats):
            seeds = range(repeat * num_requests, (repeat + 1) * num_requests)
            spoken += callers.map(lambda seed: _speak(port, text, voice, seed), seeds)
    elapsed_s, after = time.perf_counter() - started, cpu_times_s()
    busy = None if before is None or after is None else (after[0] - before[0]) / (after[1] - before[1])
    return {
        "latencies_s": [request["latency_s"] for request in spoken],
        "first_audio_s": median(request["first_audio_s"] for request in spoken),
        "audio_s": median(request["audio_s"] for request in spoken),
        "s_per_request": elapsed_s / len(spoken),
        "cpu_busy_share": busy,
    }


def _speak(port: int, text: str, voice: str, seed: int) -> dict[str, float]:
    """Seconds until the first and the last byte of audio, as a client sees them."""
    body = json.dumps({"input": text, "voice": voice, "response_format": "pcm", "seed": seed})
    started = time.perf_counter()
    connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_TIMEOUT_S)
    connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise StageFailed(f"the service answered {response.status}: {response.read(500)!r}")
    num_bytes = len(response.read1(65536))
    first_audio_s = time.perf_counter() - started
    num_bytes += len(response.read())
    latency_s = time.perf_counter() - started
    rate = int(response.headers["X-Sample-Rate"])
    connection.close()
    return {"first_audio_s": first_audio_s, "latency_s": latency_s, "audio_s": num_bytes / 2 / rate}


@contextmanager
def running_service(config: dict[str, Any], num_cpus: int) -> Iterator[int]:
    """`serve run` of a configuration (ServiceConfig's `args`) on a Ray of its own; yields the port."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as name:
        file, log = Path(name) / "serve_config.yaml", Path(name) / "log"
        file.write_text(json.dumps(_serve_file(config, port, num_cpus)), "utf-8")  # JSON is YAML
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.serve.scripts", "run", str(file)],
                env={**os.environ, "RAY_ADDRESS": "local"},  # never a cluster that happens to run here
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                _wait_until_ready(port, process, log)
                yield port
            finally:
                _stop(process)


def _serve_file(config: dict[str, Any], port: int, num_cpus: int) -> dict[str, Any]:
    heavy = (num_cpus - sum(_LIGHT_CPUS.values())) / 2
    cpus = {**_LIGHT_CPUS, "AcousticModel": heavy, "Token2Wav": heavy}
    config["acoustic"]["num_threads"] = config["token2wav"]["num_threads"] = 1
    deployments = [
        {
            "name": name,
            "num_replicas": 1,
            "max_ongoing_requests": 256,
            "ray_actor_options": {"num_cpus": round(share - 0.005, 2)},
        }
        for name, share in cpus.items()
    ]
    application = {
        "name": "bench",
        "route_prefix": "/",
        "import_path": "deployments.app:build_app",
        "args": config,
        "deployments": deployments,
    }
    return {"http_options": {"host": HOST, "port": port}, "applications": [application]}


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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])

"""What Ray Serve and HTTP add: the same requests to the same stages in this process and to `serve run`, in turn."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pipeline.bench.machine import cpu_times_s
from pipeline.bench.plan import Plan
from pipeline.bench.service import Service, configured, speak
from pipeline.bench.serving import HOST, running_service
from pipeline.bench.workload import of_fixed_length, open_served, utterances_of
from pipeline.errors import StageFailed
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.synthesizer import Synthesizer

REQUEST_TIMEOUT_S = 600.0

Spoken = dict[str, float]  # as service.speak returns it
Round = Callable[[list[int], Callable[[], None]], list[Spoken]]  # (seeds, called after each) -> one for each seed


def measure_http(
    bundle: str, precision: Precision, text: str, duration_s: float, num_threads: int, loads: list[list[int]]
) -> dict[str, Any]:
    """Each load in this process and over HTTP, a round here and a round there. pcm, streamed, no result cache.

    Neighbouring rounds meet the same machine, so their difference is not what changed on it meanwhile.

    Args:
        duration_s: of audio, forced on each request.
        num_threads: cores that both ways share, as `Plan.shared` divides them.
        loads: pairs of how many requests at once and how many rounds of them.
    """
    opened = open_served(bundle)
    with of_fixed_length(opened, utterances_of(opened, text), duration_s) as fixed:
        config = configured(fixed, precision, is_streamed=True)
        plan = Plan.shared(num_threads, config.acoustic.max_batch_size)
        local = Service(
            config,
            fixed,
            plan.acoustic_threads,
            has_kv_cache=True,
            window_s=0.0,
            token2wav_threads=plan.token2wav_threads,
        )
        with closing(local), running_service(config.model_dump(mode="json"), plan) as port:
            inside, outside = _inside(local.synthesizer, fixed, text), _outside(port, fixed, text)
            for way in (inside, outside):
                way([0], lambda: None)  # warms up
            return {"loads": [_measure(inside, outside, *load) for load in loads]}


def _measure(inside: Round, outside: Round, num_requests: int, num_rounds: int) -> dict[str, Any]:
    ways = {"in process": _Way(inside), "HTTP": _Way(outside)}
    for index in range(num_rounds):
        seeds = list(range(index * num_requests, (index + 1) * num_requests))
        for way in ways.values():
            way.measure(seeds)
    return {"num_requests": num_requests, "ways": {name: way.figures() for name, way in ways.items()}}


@dataclass
class _Way:
    """One of the two ways, and what its rounds measured."""

    round: Round
    spoken: list[Spoken] = field(default_factory=list)
    s_per_request: list[float] = field(default_factory=list)
    busy_shares: list[float] = field(default_factory=list)

    def measure(self, seeds: list[int]) -> None:
        meter = _BusyMeter()
        started = time.perf_counter()
        self.spoken += self.round(seeds, meter.mark)
        self.s_per_request.append((time.perf_counter() - started) / len(seeds))
        self.busy_shares += meter.shares()

    def figures(self) -> dict[str, Any]:
        return {
            "latencies_s": [request["latency_s"] for request in self.spoken],
            "first_audio_s": median(request["first_audio_s"] for request in self.spoken),
            "audio_s": median(request["audio_s"] for request in self.spoken),
            "s_per_request": median(self.s_per_request),
            "cpu_busy_share": median(self.busy_shares) if self.busy_shares else None,
        }


class _BusyMeter:
    """Use of all cores of the machine from now until at most one request is left, for which no other one waits."""

    def __init__(self) -> None:
        self._marks = [cpu_times_s()]

    def mark(self) -> None:
        """A request was answered."""
        self._marks.append(cpu_times_s())

    def shares(self) -> list[float]:
        """One share, or none where the system does not tell."""
        start, end = self._marks[0], self._marks[max(1, len(self._marks) - 2)]
        if start is None or end is None or end[1] <= start[1]:
            return []
        return [(end[0] - start[0]) / (end[1] - start[1])]


def _inside(synthesizer: Synthesizer, bundle: Bundle, text: str) -> Round:
    async def one(seed: int, answered: Callable[[], None]) -> Spoken:
        spoken = await speak(synthesizer, bundle, text, seed)
        answered()
        return spoken

    async def together(seeds: list[int], answered: Callable[[], None]) -> list[Spoken]:
        return list(await asyncio.gather(*(one(seed, answered) for seed in seeds)))

    return lambda seeds, answered: asyncio.run(together(seeds, answered))


def _outside(port: int, bundle: Bundle, text: str) -> Round:
    def one(seed: int, answered: Callable[[], None]) -> Spoken:
        spoken = _request(port, bundle, text, seed)
        answered()
        return spoken

    def together(seeds: list[int], answered: Callable[[], None]) -> list[Spoken]:
        with ThreadPoolExecutor(len(seeds)) as callers:
            return list(callers.map(lambda seed: one(seed, answered), seeds))

    return together


def _request(port: int, bundle: Bundle, text: str, seed: int) -> Spoken:
    """Seconds until the first and the last byte of audio, as a client sees them."""
    voice = bundle.manifest.voices[0]
    body = json.dumps({"input": text, "voice": voice, "response_format": "pcm", "seed": seed})
    started = time.perf_counter()
    with _answer(port, body) as response:
        num_bytes = len(response.read1(65536))
        first_audio_s = time.perf_counter() - started
        num_bytes += len(response.read())
        latency_s = time.perf_counter() - started
        rate = int(response.headers["X-Sample-Rate"])
    return {"first_audio_s": first_audio_s, "latency_s": latency_s, "audio_s": num_bytes / 2 / rate}


@contextmanager
def _answer(port: int, body: str) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection(HOST, port, timeout=REQUEST_TIMEOUT_S)) as connection:
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise StageFailed(f"the service answered {response.status}: {response.read(500)!r}")
        yield response

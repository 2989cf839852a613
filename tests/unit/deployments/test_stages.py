from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from replica import FakeHandle, enter_replica

from deployments.acoustic_model import AcousticModel
from deployments.ingress import Ingress
from deployments.replica import replica_num_cpus
from deployments.text_frontend import TextFrontend
from deployments.token2wav import Token2Wav
from pipeline.acoustic.engine import Engine
from pipeline.acoustic.token_stream import TokenStream
from pipeline.config import AcousticConfig, ServiceConfig, TextConfig, Token2WavConfig
from pipeline.errors import Overloaded, StageFailed, VoiceNotFound
from pipeline.text.frontend import Frontend
from pipeline.token2wav.lane_jobs import LaneJobs
from pipeline.token2wav.token2wav import Decoded, DecodeJob, OnnxToken2Wav
from pipeline.types import AudioChunk, DecodeState, SpeechRequest, SpeechTokens, Utterance, Voice

NOW = ServiceConfig(acoustic=AcousticConfig(admission_window_ms=0))
BATCHED = ServiceConfig(
    acoustic=AcousticConfig(admission_window_ms=20),
    text=TextConfig(batch_window_ms=20),
    token2wav=Token2WavConfig(batch_window_ms=20),
)
both_ways = pytest.mark.parametrize("config", [NOW, BATCHED], ids=["now", "batched"])


@pytest.fixture(autouse=True)
def _replica(monkeypatch: pytest.MonkeyPatch) -> None:
    enter_replica(monkeypatch)


def utterance(text: str = "text") -> Utterance:
    return Utterance(text, (1, 2), Voice("anna", np.zeros(4, np.float32)), 0)


class FakeEngine:
    """Streams one group for each utterance; the text "full" is refused."""

    num_running = 2
    num_waiting = 3
    is_alive = True

    def __init__(self) -> None:
        self.submitted: list[list[str]] = []
        self.streams: list[TokenStream] = []
        self.has_submitted = asyncio.Event()

    def submit(self, utterances: Sequence[Utterance]) -> list[TokenStream]:
        self.submitted.append([one.text for one in utterances])
        streams = [TokenStream(asyncio.get_running_loop()) for _ in utterances]
        for one, stream in zip(utterances, streams, strict=True):
            stream.put(Overloaded("full") if one.text == "full" else SpeechTokens(np.arange(3), False))
        self.streams += streams
        self.has_submitted.set()
        return streams

    def is_healthy(self, max_silence_s: float) -> bool:
        return self.is_alive


def acoustic_model(config: ServiceConfig, engine: FakeEngine) -> AcousticModel:
    return AcousticModel(config, lambda config: cast(Engine, engine))


@both_ways
async def test_an_utterance_may_end_with_an_empty_group(config: ServiceConfig) -> None:
    engine = FakeEngine()
    groups = acoustic_model(config, engine).generate(utterance())
    await anext(groups)
    engine.streams[0].put(SpeechTokens(np.arange(0), True))
    assert [group.is_last async for group in groups] == [True]


@both_ways
async def test_leaving_a_generator_closes_its_stream(config: ServiceConfig) -> None:
    engine = FakeEngine()
    groups = acoustic_model(config, engine).generate(utterance())
    assert (await anext(groups)).ids.tolist() == [0, 1, 2]
    await groups.aclose()  # type: ignore[attr-defined]
    assert engine.streams[0].is_closed


@both_ways
async def test_a_refusal_reaches_its_caller_only(config: ServiceConfig) -> None:
    model = acoustic_model(config, FakeEngine())
    refused, heard = model.generate(utterance("full")), model.generate(utterance())
    results = await asyncio.gather(anext(refused), anext(heard), return_exceptions=True)
    assert isinstance(results[0], Overloaded)
    assert isinstance(results[1], SpeechTokens)


async def test_arrivals_of_a_window_are_submitted_together() -> None:
    engine = FakeEngine()
    model = acoustic_model(BATCHED, engine)
    await asyncio.gather(*(anext(model.generate(utterance(text))) for text in "abc"))
    assert engine.submitted == [["a", "b", "c"]]


async def test_an_engine_that_idles_is_not_waited_for() -> None:
    engine = FakeEngine()
    engine.num_running = engine.num_waiting = 0
    model = acoustic_model(BATCHED, engine)
    await asyncio.gather(*(anext(model.generate(utterance(text))) for text in "ab"))
    assert engine.submitted == [["a"], ["b"]]


async def test_a_caller_that_leaves_while_it_is_admitted_leaves_no_stream_open() -> None:
    engine = FakeEngine()
    model = acoustic_model(BATCHED, engine)

    async def read() -> list[SpeechTokens]:
        return [group async for group in model.generate(utterance())]

    reader = asyncio.ensure_future(read())
    await engine.has_submitted.wait()
    reader.cancel()  # the batch was submitted, its caller has not heard of it
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert engine.streams[0].is_closed


async def test_an_engine_that_does_not_answer_is_neither_ready_nor_healthy() -> None:
    engine = FakeEngine()
    model = acoustic_model(NOW, engine)
    await model.check_health()
    engine.is_alive = False
    for check in (model.ready, model.check_health):
        with pytest.raises(StageFailed, match="restarted"):
            await check()


async def test_autoscaling_learns_how_many_sequences_run_and_wait() -> None:
    stats = acoustic_model(NOW, FakeEngine()).record_autoscaling_stats()
    assert stats == {"running_sequences": 2, "waiting_sequences": 3}


class FakeFrontend:
    def __init__(self) -> None:
        self.threads: set[str] = set()

    def prepare(self, request: SpeechRequest) -> list[Utterance]:
        self.threads.add(threading.current_thread().name)
        if request.voice == "nobody":
            raise VoiceNotFound("nobody")
        return [utterance(request.text)]


@both_ways
async def test_text_is_prepared_on_one_thread_of_its_own(config: ServiceConfig) -> None:
    frontend = FakeFrontend()
    stage = TextFrontend(config, lambda config: cast(Frontend, frontend))
    requests = [SpeechRequest("a", "anna"), SpeechRequest("b", "nobody"), SpeechRequest("c", "anna")]
    results: list[Any] = await asyncio.gather(*map(stage.prepare, requests), return_exceptions=True)
    assert [results[0][0].text, type(results[1]), results[2][0].text] == ["a", VoiceNotFound, "c"]
    assert len(frontend.threads) == 1
    assert threading.current_thread().name not in frontend.threads


class FakeToken2Wav:
    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def submit(self, jobs: Sequence[DecodeJob]) -> list[Future[Decoded]]:
        self.batch_sizes.append(len(jobs))
        return LaneJobs(1).submit([partial(self._decode, job) for job in jobs])

    def _decode(self, job: DecodeJob, lane: int | None) -> Decoded:
        if not len(job.tokens.ids):
            raise StageFailed("empty")
        nothing = np.zeros((0, 80), np.float32)
        state = DecodeState(job.tokens.ids, len(job.tokens.ids), nothing, 0, nothing, 0, 0.0)
        return AudioChunk(job.tokens.ids.astype(np.int16), 22050), state


@pytest.mark.parametrize(("config", "batch_sizes"), [(NOW, [1, 1, 1]), (BATCHED, [3])], ids=["now", "batched"])
async def test_chunks_are_decoded_in_order_and_fail_alone(config: ServiceConfig, batch_sizes: list[int]) -> None:
    token2wav = FakeToken2Wav()
    stage = Token2Wav(config, lambda config: cast(OnnxToken2Wav, token2wav))
    calls = [stage.decode(SpeechTokens(np.arange(n), False), utterance(), None) for n in (2, 0, 4)]
    results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert [len(results[0][0].samples), type(results[1]), len(results[2][0].samples)] == [2, StageFailed, 4]
    assert token2wav.batch_sizes == batch_sizes


def ingress(*stages: FakeHandle) -> Ingress:
    return Ingress(ServiceConfig(), *stages)  # type: ignore[arg-type]


async def answer(*args: Any) -> None:
    """A stage that is ready."""


async def fail(*args: Any) -> None:
    raise StageFailed("the engine does not answer")


async def test_the_service_is_ready_when_every_stage_is() -> None:
    assert await ingress(*(FakeHandle(answer) for _ in range(3))).readiness() is None
    reason = await ingress(FakeHandle(answer), FakeHandle(fail), FakeHandle(answer)).readiness()
    assert reason == "the engine does not answer"


async def test_a_stage_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stall(*args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("deployments.ingress.READY_TIMEOUT_S", 0.02)
    handles = [FakeHandle(answer), FakeHandle(answer), FakeHandle(stall)]
    assert await ingress(*handles).readiness() == "a stage did not answer within 0.02 s."
    assert handles[2].responses[0].is_cancelled


def test_outside_a_replica_there_is_no_share_of_cpus() -> None:
    assert replica_num_cpus() is None

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.acoustic import engine as engine_module
from pipeline.acoustic.engine import Engine, LocalAcousticModel
from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.speech_lm import LMPrompt
from pipeline.acoustic.token_stream import TokenStream
from pipeline.config import ChunkSchedule
from pipeline.errors import InvalidRequest, Overloaded, StageFailed, TextTooLong
from pipeline.runtime.bundle import LMSpec
from pipeline.runtime.core_claims import CoreClaims
from pipeline.types import F32, I64, Prompt, Utterance, Voice

END = 20
SPEC = LMSpec(
    num_layers=1, num_heads=1, head_dim=8, hidden_size=8, num_text_tokens=99, num_speech_tokens=END, speaker_size=4
)
CHUNKS = ChunkSchedule(first_s=0.2, growth=1.5, max_s=0.5)
TOKEN_RATE = 25.0
VOICE = Voice("anna", np.zeros(4, np.float32))


class FakeLM:
    """Its logits are a hash of all that a slot was given, so a wrong slot gives other tokens."""

    num_speech_tokens = END
    max_context = 400

    def __init__(self) -> None:
        self.slots: list[list[int]] = []
        self.prefilled: list[int] = []  # the first text id of every sequence that was ever started
        self.poison: set[int] = set()  # text ids that fail a prefill
        self.batch_sizes: list[int] = []  # of the decode steps
        self.before_decode: Callable[[], object] = lambda: None
        self.before_retire: Callable[[], object] = lambda: None
        self.before_chunk: Callable[[], object] = lambda: None

    def prefill(self, prompts: Sequence[LMPrompt]) -> F32:
        started = [[*prompt.text_ids.tolist(), -1, *prompt.speech_prefix.tolist()] for prompt in prompts]
        if self.poison & {ids[0] for ids in started}:
            raise RuntimeError("poisoned")
        self.prefilled += [ids[0] for ids in started]
        self.slots += started
        return self.logits(started)

    def prefill_in_chunks(self, prompt: LMPrompt, chunk_size: int) -> Iterator[F32 | None]:
        for _ in range(0, prompt.num_positions, chunk_size):
            self.before_chunk()
            yield None
        yield self.prefill([prompt])

    def decode(self, token_ids: I64) -> F32:
        self.before_decode()
        self.batch_sizes.append(len(token_ids))
        for slot, token in zip(self.slots, token_ids.tolist(), strict=True):
            slot.append(token)
        return self.logits(self.slots)

    def retire(self, slot: int) -> None:
        self.before_retire()
        last = self.slots.pop()
        if slot < len(self.slots):
            self.slots[slot] = last

    def logits(self, slots: list[list[int]]) -> F32:
        rows = [np.random.default_rng(hash(tuple(slot)) % 2**63).normal(0, 2, END + 1) for slot in slots]
        return np.array(rows, np.float32)


@pytest.fixture
def lm() -> FakeLM:
    return FakeLM()


EngineFactory = Callable[..., Engine]


@pytest.fixture
def start(lm: FakeLM) -> Iterator[EngineFactory]:
    engines: list[Engine] = []

    def make(
        max_batch_size: int = 4,
        max_queued: int = 64,
        prefill_batch_size: int = 3,
        claims: CoreClaims | None = None,
    ) -> Engine:
        engines.append(
            Engine(
                lm,
                spec=SPEC,
                token_rate=TOKEN_RATE,
                max_batch_size=max_batch_size,
                max_queued=max_queued,
                chunks=CHUNKS,
                prefill_batch_size=prefill_batch_size,
                claims=claims,
            )
        )
        return engines[-1]

    yield make
    for engine in engines:
        engine.close(5)


def utterance(first_id: int, length: int = 3, *, seed: int = 0, prompt: Prompt | None = None) -> Utterance:
    ids = (first_id, *range(1, length))
    return Utterance("text", ids, Voice("anna", VOICE.embedding, prompt), seed)


def expected_tokens(spoken: Utterance) -> list[int]:
    """What the sequence gives in the plainest loop: one model, one sequence, one generator."""
    lm, sampler = FakeLM(), Sampler.seeded(SPEC.sampling, END, spoken.seed)
    logits = lm.prefill([LMPrompt(np.array(spoken.text_ids), VOICE.embedding, np.zeros(0, np.int64))])
    for i in range(20 * len(spoken.text_ids)):
        if sampler.draw(logits[0], may_end=i >= 2 * len(spoken.text_ids)) == END:
            break
        logits = lm.decode(np.array(sampler.history[-1:]))
    return sampler.history


async def read(stream: TokenStream) -> list[int]:
    return [token async for group in stream for token in group.ids.tolist()]


async def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        await asyncio.sleep(0.001)


def is_empty(engine: Engine) -> bool:
    return engine.num_running == engine.num_waiting == 0


async def test_a_sequence_gets_the_same_tokens_alone_and_among_others(start: EngineFactory, lm: FakeLM) -> None:
    engine, rng = start(), random.Random(0)
    spoken = [utterance(i, 1 + i % 5, seed=i) for i in range(24)]

    async def speak(one: Utterance) -> list[int]:
        await asyncio.sleep(rng.random() * 0.02)
        return await read(engine.submit([one])[0])

    async def speak_and_leave(one: Utterance) -> None:
        await asyncio.sleep(rng.random() * 0.02)
        stream = engine.submit([one])[0]
        await anext(stream)
        await stream.aclose()

    leaving = [speak_and_leave(utterance(50 + i, 4, seed=i)) for i in range(8)]
    results = await asyncio.gather(*map(speak, spoken), *leaving)
    assert results[: len(spoken)] == [expected_tokens(one) for one in spoken]
    await eventually(lambda: is_empty(engine))
    assert lm.slots == []


async def test_arrivals_of_one_call_share_a_prefill(start: EngineFactory, lm: FakeLM) -> None:
    sizes: list[int] = []
    prefill = lm.prefill
    lm.prefill = lambda prompts: (sizes.append(len(prompts)), prefill(prompts))[1]  # type: ignore[method-assign]
    engine = start(max_batch_size=8, prefill_batch_size=3)
    await asyncio.gather(*map(read, engine.submit([utterance(i) for i in range(5)])))
    assert sizes == [3, 2]


def that_fits(length: int) -> Utterance:
    """One whose speech ends before the context does."""
    spoken = (utterance(2, length, seed=seed) for seed in range(99))
    return next(one for one in spoken if len(expected_tokens(one)) + length + 3 <= FakeLM.max_context)


@pytest.fixture
def work(lm: FakeLM) -> list[str]:
    """What the model was asked for, in order: `prefill` of N positions, `chunk`, `decode`."""
    done: list[str] = []
    prefill = lm.prefill

    def record(prompts: Sequence[LMPrompt]) -> F32:
        done.append(f"prefill {len(prompts) * max(prompt.num_positions for prompt in prompts)}")
        return prefill(prompts)

    lm.prefill = record  # type: ignore[method-assign]
    lm.before_chunk = lambda: done.append("chunk")
    lm.before_decode = lambda: done.append("decode")
    return done


async def test_a_long_text_holds_a_running_stream_up_for_one_chunk_at_a_time(
    start: EngineFactory, lm: FakeLM, work: list[str]
) -> None:
    heard, long = utterance(1, 19, seed=3), that_fits(100)
    assert len(expected_tokens(heard)) > 12
    engine = start()
    streams = engine.submit([heard, long])
    assert await asyncio.gather(*map(read, streams)) == [expected_tokens(heard), expected_tokens(long)]
    first_chunk = work.index("chunk")
    assert work[first_chunk : first_chunk + 5] == ["chunk", "decode"] * 2 + ["prefill 103"]  # the fake's last part
    gaps = [len(gap.split()) for gap in " ".join(word.split()[0] for word in work).split("decode")]
    assert max(gaps) == 1


async def test_short_texts_share_a_prefill_of_at_most_a_chunk(start: EngineFactory, work: list[str]) -> None:
    engine = start(max_batch_size=8)
    await asyncio.gather(*map(read, engine.submit([utterance(i, 25) for i in range(5)])))
    assert [step for step in work if step != "decode"] == ["prefill 56", "prefill 56", "prefill 28"]


async def test_leaving_during_a_long_prefill_ends_it_and_the_next_text_is_spoken(
    start: EngineFactory, lm: FakeLM
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert go_on.wait(10)

    lm.before_chunk = wait
    engine = start(max_batch_size=1)
    long, short = engine.submit([utterance(1, 130), utterance(2)])
    await asyncio.to_thread(entered.wait, 5)
    await long.aclose()
    go_on.set()
    assert await read(short) == expected_tokens(utterance(2))
    assert lm.prefilled == [2]
    await eventually(lambda: is_empty(engine))


async def test_a_failing_chunk_fails_only_its_request(start: EngineFactory, lm: FakeLM) -> None:
    lm.poison = {66}
    streams = start().submit([utterance(66, 90), that_fits(90)])
    with pytest.raises(StageFailed, match=r"prefill .*poisoned"):
        await read(streams[0])
    assert await read(streams[1]) == expected_tokens(that_fits(90))


async def test_closing_fails_a_text_whose_prefill_is_under_way(start: EngineFactory, lm: FakeLM) -> None:
    entered, go_on = threading.Event(), threading.Event()
    lm.before_chunk = lambda: (entered.set(), go_on.wait(10))
    engine = start()
    (stream,) = engine.submit([utterance(1, 130)])
    await asyncio.to_thread(entered.wait, 5)
    engine.close(0)
    go_on.set()
    with pytest.raises(StageFailed, match="stopped"):
        await read(stream)


async def test_groups_grow_and_only_the_final_one_is_last(start: EngineFactory) -> None:
    spoken = next(one for one in (utterance(i, 30) for i in range(9)) if len(expected_tokens(one)) > 60)
    groups = [group async for group in start().submit([spoken])[0]]
    assert [group.is_last for group in groups] == [False] * (len(groups) - 1) + [True]
    assert [len(group.ids) for group in groups[:4]] == [5, 8, 11, 12]
    assert {len(group.ids) for group in groups[4:-1]} == {12}
    assert np.concatenate([group.ids for group in groups]).tolist() == expected_tokens(spoken)


async def test_length_stays_within_two_and_twenty_tokens_per_text_token(start: EngineFactory, lm: FakeLM) -> None:
    engine, logits = start(), lm.logits
    towards_end = 50 * np.eye(END + 1, dtype=np.float32)[END]
    lm.logits = lambda slots: logits(slots) + towards_end  # type: ignore[method-assign]
    assert len(await read(engine.submit([utterance(1, 5)])[0])) == 10
    lm.logits = lambda slots: logits(slots) - towards_end  # type: ignore[method-assign]
    assert len(await read(engine.submit([utterance(1, 5)])[0])) == 100
    assert len(await read(engine.submit([utterance(1, 30)])[0])) == 400 - 33 + 1  # the context is full


async def test_a_prompt_comes_before_the_text_and_does_not_count_for_length(start: EngineFactory, lm: FakeLM) -> None:
    seen: list[LMPrompt] = []
    prefill = lm.prefill
    lm.prefill = lambda prompts: (seen.extend(prompts), prefill(prompts))[1]  # type: ignore[method-assign]
    prompt = Prompt(np.array([7, 8]), np.arange(5), np.zeros((9, 80), np.float32))
    tokens = await read(start().submit([utterance(1, 2, prompt=prompt)])[0])
    assert seen[0].text_ids.tolist() == [7, 8, 1, 1]
    assert seen[0].speech_prefix.tolist() == [0, 1, 2, 3, 4]
    assert 4 <= len(tokens) <= 40


async def test_text_that_the_context_cannot_hold_is_refused_by_name(start: EngineFactory) -> None:
    engine = start()
    long, first, second = engine.submit([utterance(1, 150), utterance(1), utterance(2)])
    with pytest.raises(TextTooLong, match=r"150 text tokens .* acoustic\.max_context"):
        await read(long)
    assert await read(first) == expected_tokens(utterance(1))
    assert await read(second) == expected_tokens(utterance(2))


async def test_an_utterance_without_text_is_refused(start: EngineFactory) -> None:
    silent = Utterance("", (), VOICE, 0)
    with pytest.raises(InvalidRequest, match="0 text tokens"):
        await read(start().submit([silent])[0])


class Gate:
    """Holds the engine inside a decode step until it is opened."""

    def __init__(self, lm: FakeLM) -> None:
        self.entered, self._open = threading.Event(), threading.Event()
        lm.before_decode = self._wait

    def _wait(self) -> None:
        self.entered.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


async def test_a_full_queue_refuses_at_once_with_numbers_and_cure(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start(max_batch_size=2, max_queued=1)
    streams = engine.submit([utterance(i, seed=i) for i in range(4)])
    with pytest.raises(Overloaded, match=r"3 of 3 .*2 slots, 1 queued.*acoustic\.max_queued"):
        await asyncio.wait_for(anext(streams[3]), 1)
    await asyncio.to_thread(gate.entered.wait, 5)
    assert (engine.num_running, engine.num_waiting) == (2, 1)
    gate.open()
    assert [await read(s) for s in streams[:3]] == [expected_tokens(utterance(i, seed=i)) for i in range(3)]


async def test_a_stream_that_is_being_heard_continues_before_others_and_is_never_refused(
    start: EngineFactory, lm: FakeLM
) -> None:
    gate, engine = Gate(lm), start(max_batch_size=1, max_queued=1)
    first, waiting = engine.submit([utterance(1), utterance(2)])
    await asyncio.to_thread(gate.entered.wait, 5)
    (continuing,) = engine.submit([replace(utterance(3), is_continuation=True)])
    gate.open()
    results = await asyncio.gather(read(first), read(waiting), read(continuing))
    assert results == [expected_tokens(utterance(i)) for i in (1, 2, 3)]
    assert lm.prefilled == [1, 3, 2]


async def test_abort_frees_the_slot_within_one_step(start: EngineFactory, lm: FakeLM) -> None:
    steps, engine = threading.Semaphore(0), start(max_batch_size=1)
    lm.before_decode = lambda: steps.acquire(timeout=5)
    first, second = engine.submit([utterance(1, 9), utterance(2)])
    await eventually(lambda: lm.prefilled == [1])
    await first.aclose()
    steps.release()  # the step that was under way
    await eventually(lambda: lm.prefilled == [1, 2])
    steps.release(1000)
    assert await read(second) == expected_tokens(utterance(2))


async def test_cancelling_the_reader_frees_the_slot(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start()
    reader = asyncio.ensure_future(read(engine.submit([utterance(1)])[0]))
    await asyncio.to_thread(gate.entered.wait, 5)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    gate.open()
    await eventually(lambda: is_empty(engine))
    assert lm.slots == []


async def test_closing_a_local_generator_frees_the_slot(start: EngineFactory, lm: FakeLM) -> None:
    engine = start()
    groups = LocalAcousticModel(engine).generate(utterance(1, 30))
    assert (await anext(groups)).ids.tolist() == expected_tokens(utterance(1, 30))[:5]
    await groups.aclose()  # type: ignore[attr-defined]
    await eventually(lambda: is_empty(engine))


async def test_a_stream_closed_before_its_start_is_never_prefilled(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start(max_batch_size=1)
    streams = engine.submit([utterance(i) for i in (1, 2, 3)])
    await asyncio.to_thread(gate.entered.wait, 5)
    await streams[1].aclose()
    gate.open()
    assert await read(streams[2]) == expected_tokens(utterance(3))
    assert lm.prefilled == [1, 3]
    assert await read(streams[1]) == []


async def test_a_failing_prefill_fails_only_its_request(start: EngineFactory, lm: FakeLM) -> None:
    lm.poison = {66}
    streams = start().submit([utterance(i) for i in (1, 66, 2)])
    with pytest.raises(StageFailed, match=r"prefill .*poisoned"):
        await read(streams[1])
    assert await read(streams[0]) == expected_tokens(utterance(1))
    assert await read(streams[2]) == expected_tokens(utterance(2))


async def test_a_failing_decode_step_fails_the_running_and_the_engine_goes_on(start: EngineFactory, lm: FakeLM) -> None:
    failures = iter([RuntimeError("out of memory")])

    def fail_once() -> None:
        for failure in failures:
            raise failure

    lm.before_decode = fail_once
    engine = start(max_batch_size=2)
    streams = engine.submit([utterance(i) for i in (1, 2, 3)])
    for stream in streams[:2]:
        with pytest.raises(StageFailed, match=r"decode step .*out of memory"):
            await read(stream)
    assert await read(streams[2]) == expected_tokens(utterance(3))
    assert engine.is_healthy(5)
    assert lm.slots == []


async def test_unusable_logits_fail_only_their_sequence(start: EngineFactory, lm: FakeLM) -> None:
    logits = lm.logits

    def spoil(slots: list[list[int]]) -> F32:
        rows = logits(slots)
        rows[[slot[0] == 66 for slot in slots]] = np.nan
        return rows

    lm.logits = spoil  # type: ignore[method-assign]
    streams = start().submit([utterance(i) for i in (1, 66)])
    with pytest.raises(StageFailed, match=r"sampling .*no distribution"):
        await read(streams[1])
    assert await read(streams[0]) == expected_tokens(utterance(1))


async def test_nothing_leaks_after_a_thousand_submits_and_aborts(start: EngineFactory, lm: FakeLM) -> None:
    engine, rng = start(max_batch_size=8, max_queued=2000), random.Random(4)
    lm.poison = {66}
    num_refused = 0

    async def visit(i: int) -> None:
        nonlocal num_refused
        stream = engine.submit([utterance(66 if i % 29 == 0 else i, 2, seed=i)])[0]
        leaves_after = rng.choice([0, 1, 2, 99, 99])
        try:
            while leaves_after and not (await anext(stream)).is_last:
                leaves_after -= 1
        except StageFailed:
            num_refused += 1
        await stream.aclose()

    for first in range(0, 1000, 50):
        await asyncio.gather(*(visit(i) for i in range(first, first + 50)))
    await eventually(lambda: is_empty(engine))
    assert lm.slots == []
    assert 0 < num_refused <= 1000 / 29 + 1
    assert await read(engine.submit([utterance(5)])[0]) == expected_tokens(utterance(5))


async def test_a_reader_that_does_not_read_holds_nobody_up(start: EngineFactory) -> None:
    engine = start(max_batch_size=2)
    ignored, heard = engine.submit([utterance(1, 20), utterance(2)])
    assert await read(heard) == expected_tokens(utterance(2))
    await eventually(lambda: is_empty(engine))
    assert await read(ignored) == expected_tokens(utterance(1, 20))  # all of it is still there


def test_a_reader_whose_event_loop_is_gone_is_dropped(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start()

    async def submit_and_go() -> None:
        engine.submit([utterance(1, 20)])

    asyncio.run(submit_and_go())
    gate.open()
    asyncio.run(eventually(lambda: is_empty(engine)))
    assert engine.is_healthy(5)


async def test_health_reports_a_thread_that_died_and_submits_fail_at_once(start: EngineFactory, lm: FakeLM) -> None:
    def crash() -> None:
        raise MemoryError

    lm.before_retire = crash
    engine = start()
    assert engine.is_healthy(5)
    streams = engine.submit([utterance(1), utterance(2)])
    results = await asyncio.gather(*map(read, streams), return_exceptions=True)
    assert [type(result) for result in results] == [StageFailed] * 2
    await eventually(lambda: not engine.is_healthy(5))
    with pytest.raises(StageFailed, match="must be restarted"):
        await asyncio.wait_for(anext(engine.submit([utterance(3)])[0]), 1)


async def test_health_reports_a_step_that_hangs(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start()
    (stream,) = engine.submit([utterance(1)])
    await eventually(lambda: not engine.is_healthy(0.05))
    gate.open()
    assert await read(stream) == expected_tokens(utterance(1))
    await eventually(lambda: engine.is_healthy(2))


async def test_close_fails_what_is_inside(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start(max_batch_size=1)
    streams = engine.submit([utterance(1, 30), utterance(2)])
    await asyncio.to_thread(gate.entered.wait, 5)
    engine.close(0)
    gate.open()
    for stream in streams:
        with pytest.raises(StageFailed, match="stopped"):
            await read(stream)
    await eventually(lambda: is_empty(engine))


@pytest.fixture
def claims(tmp_path: Path) -> CoreClaims:
    return CoreClaims(tmp_path / "cores", 1)


@pytest.fixture
def others(tmp_path: Path) -> CoreClaims:
    return CoreClaims(tmp_path / "cores", 1)


@pytest.fixture
def outranked(
    start: EngineFactory, claims: CoreClaims, others: CoreClaims, monkeypatch: pytest.MonkeyPatch
) -> EngineFactory:
    """Starts an engine whose core somebody else has claimed, and that would wait for a minute."""

    def make(**sizes: int) -> Engine:
        monkeypatch.setattr(engine_module, "MAX_YIELD_S", 60.0)
        others.claim(1)
        return start(claims=claims, **sizes)

    return make


async def test_more_urgent_work_goes_before_tokens_of_who_has_heard_something(
    outranked: EngineFactory, lm: FakeLM, others: CoreClaims
) -> None:
    engine = outranked(max_batch_size=1)
    (stream,) = engine.submit([utterance(1, 20)])
    groups = aiter(stream)
    assert len((await anext(groups)).ids) == round(CHUNKS.first_s * TOKEN_RATE)  # nobody keeps it waiting for that
    num_steps = len(lm.slots[0])
    await asyncio.sleep(0.05)
    assert len(lm.slots[0]) == num_steps
    (newcomer,) = engine.submit([utterance(2, 20)])
    await asyncio.sleep(0.05)
    assert not is_empty(engine)
    assert engine.num_waiting == 1
    others.release()
    assert len([group async for group in groups]) > 0
    assert await read(newcomer) == expected_tokens(utterance(2, 20))


async def test_a_newcomer_does_not_wait_for_urgent_work(outranked: EngineFactory) -> None:
    engine = outranked()
    (stream,) = engine.submit([utterance(1, 20)])
    await anext(aiter(stream))
    await asyncio.sleep(0.05)
    (newcomer,) = engine.submit([utterance(2, 20)])
    assert len((await asyncio.wait_for(anext(aiter(newcomer)), 5)).ids) == round(CHUNKS.first_s * TOKEN_RATE)


async def test_first_tokens_have_a_moment_to_become_urgent_work(
    start: EngineFactory, lm: FakeLM, claims: CoreClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_YIELD_S", 60.0)
    monkeypatch.setattr(engine_module, "HANDOVER_S", 0.2)
    engine = start(claims=claims)
    (stream,) = engine.submit([utterance(1, 20)])
    groups = aiter(stream)
    await anext(groups)
    num_steps = len(lm.slots[0])
    await asyncio.sleep(0.05)
    assert len(lm.slots[0]) == num_steps
    assert len([group async for group in groups]) > 0


async def test_others_learn_that_the_engine_computes(
    start: EngineFactory, lm: FakeLM, claims: CoreClaims, others: CoreClaims
) -> None:
    gate, engine = Gate(lm), start(claims=claims)
    assert others.is_alone()
    (stream,) = engine.submit([utterance(1)])
    await asyncio.to_thread(gate.entered.wait, 5)
    assert not others.is_alone()
    assert claims.is_alone()
    gate.open()
    await read(stream)
    await eventually(others.is_alone)
    engine.submit([utterance(1, 30)])
    await eventually(lambda: not others.is_alone())
    engine.close(5)
    assert others.is_alone()


async def test_those_of_a_burst_decode_together(start: EngineFactory, lm: FakeLM) -> None:
    gate, engine = Gate(lm), start(max_batch_size=4, prefill_batch_size=1)
    streams = engine.submit([utterance(first_id, 20) for first_id in range(1, 4)])
    await asyncio.to_thread(gate.entered.wait, 5)
    gate.open()
    for first_id, stream in enumerate(streams, 1):
        assert await read(stream) == expected_tokens(utterance(first_id, 20))
    assert lm.batch_sizes[0] == 3


async def test_who_is_being_heard_does_not_wait_for_a_burst_to_be_prefilled(start: EngineFactory, lm: FakeLM) -> None:
    engine = start(max_batch_size=4, prefill_batch_size=1)
    (heard,) = engine.submit([utterance(1, 60)])
    await anext(aiter(heard))
    lm.batch_sizes.clear()
    streams = engine.submit([utterance(first_id, 20) for first_id in range(2, 5)])
    for stream in streams:
        await read(stream)
    until_all_run = lm.batch_sizes[: lm.batch_sizes.index(4)]
    assert {2, 3} <= set(until_all_run)


async def test_waiting_for_urgent_work_ends(
    start: EngineFactory, claims: CoreClaims, others: CoreClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "MAX_YIELD_S", 0.01)
    others.claim(1)
    engine = start(claims=claims)
    (stream,) = engine.submit([utterance(1, 3)])
    assert await read(stream) == expected_tokens(utterance(1, 3))


async def test_closing_does_not_wait_for_urgent_work(outranked: EngineFactory) -> None:
    engine = outranked()
    (stream,) = engine.submit([utterance(1, 20)])
    await anext(aiter(stream))
    engine.close(5)
    assert not engine.is_healthy(60)

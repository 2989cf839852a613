"""The one path of a request, with stages of ten lines each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from pipeline.errors import Overloaded, StageFailed
from pipeline.synthesizer import Synthesizer
from pipeline.types import AudioChunk, DecodeState, SpeechRequest, SpeechTokens, Utterance, Voice

RATE = 100
VOICE = Voice("voice", np.zeros(4, np.float32))
REQUEST = SpeechRequest("ab cd ef", "voice")


class WordFrontend:
    """A word is an utterance; a dot asks for a pause behind it."""

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        return [
            Utterance(word, tuple(map(ord, word)), VOICE, seed=1, pause_s=0.1 * word.count("."))
            for word in request.text.split()
        ]


class LetterLM:
    """One group per letter. Counts what was started, ended and is open."""

    def __init__(self, *, fails_at: str = "", num_extra: int = 0) -> None:
        self.started: list[Utterance] = []
        self.num_groups = 0
        self.num_open = 0
        self._fails_at = fails_at
        self._num_extra = num_extra

    async def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        self.started.append(utterance)
        self.num_open += 1
        ids = list(utterance.text_ids) + [ord("z")] * self._num_extra
        try:
            for index, token in enumerate(ids):
                await asyncio.sleep(0)
                if chr(token) == self._fails_at:
                    raise Overloaded("no slot is free: try again later.")
                self.num_groups += 1
                yield SpeechTokens(np.array([token]), index == len(ids) - 1)
        finally:
            self.num_open -= 1


class Echo:
    """The samples are the token ids; the state counts the groups of an utterance."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.states: list[int] = []
        self._fails_at = fails_at

    async def decode(
        self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None
    ) -> tuple[AudioChunk, DecodeState]:
        await asyncio.sleep(0)
        count = 0 if state is None else state.num_tokens
        self.states.append(count)
        if self._fails_at and ord(self._fails_at) in tokens.ids:
            raise StageFailed("token2wav failed: try again.")
        empty = np.zeros((0, 1), np.float32)
        state = DecodeState(tokens.ids, count + 1, empty, 0, empty, 0, 0.0)
        return AudioChunk(tokens.ids.astype(np.int16), RATE), state


async def letters(synthesizer: Synthesizer, text: str) -> list[str]:
    return [
        bytes(chunk.samples.astype(np.uint8)).decode() async for chunk in synthesizer.stream(SpeechRequest(text, "v"))
    ]


async def test_audio_comes_in_reading_order_and_each_utterance_starts_afresh() -> None:
    echo = Echo()
    assert await letters(Synthesizer(WordFrontend(), LetterLM(), echo), "ab cd") == ["a", "b", "c", "d"]
    assert echo.states == [0, 1, 0, 1]


async def test_a_pause_is_silence_behind_its_piece() -> None:
    chunks = await letters(Synthesizer(WordFrontend(), LetterLM(), Echo()), "a. b")
    assert chunks == ["a", ".", "\0" * round(0.1 * RATE), "b"]


async def test_only_the_first_piece_of_a_request_may_be_refused() -> None:
    lm = LetterLM()
    await letters(Synthesizer(WordFrontend(), lm, Echo()), "ab cd ef")
    assert [utterance.is_continuation for utterance in lm.started] == [False, True, True]


async def test_the_next_utterance_is_made_while_this_one_is_spoken() -> None:
    lm = LetterLM()
    stream = Synthesizer(WordFrontend(), lm, Echo()).stream(REQUEST)
    await anext(stream)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(lm.started) == 3
    await stream.aclose()


async def test_a_slow_listener_bounds_what_is_made_ahead() -> None:
    lm = LetterLM(num_extra=100)
    stream = Synthesizer(WordFrontend(), lm, Echo(), num_prefetched_groups=5).stream(REQUEST)
    await anext(stream)
    for _ in range(500):
        await asyncio.sleep(0)
    assert lm.num_groups <= 8
    await stream.aclose()


async def test_a_listener_that_leaves_closes_the_stages() -> None:
    lm = LetterLM(num_extra=100)
    stream = Synthesizer(WordFrontend(), lm, Echo()).stream(REQUEST)
    await anext(stream)
    await stream.aclose()
    assert lm.num_open == 0
    assert lm.num_groups < 50


async def test_a_cancelled_listener_closes_the_stages() -> None:
    lm = LetterLM(num_extra=10_000)

    async def listen() -> None:
        async for _ in Synthesizer(WordFrontend(), lm, Echo()).stream(REQUEST):
            await asyncio.sleep(0)

    task = asyncio.create_task(listen())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert lm.num_open == 0


async def test_the_error_of_a_stage_comes_out_after_the_audio_before_it() -> None:
    heard: list[str] = []
    with pytest.raises(Overloaded):
        async for chunk in Synthesizer(WordFrontend(), LetterLM(fails_at="d"), Echo()).stream(REQUEST):
            heard.append(chr(chunk.samples[0]))
    assert heard == ["a", "b", "c"]
    lm = LetterLM()
    with pytest.raises(StageFailed):
        async for _ in Synthesizer(WordFrontend(), lm, Echo(fails_at="c")).stream(REQUEST):
            pass
    assert lm.num_open == 0

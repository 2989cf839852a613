"""Continuous batching: one thread owns the scheduler, the speech LM and its KV cache.

A step prefills some of the newly arrived, if a slot is free, then decodes one token for every running sequence, unless
nobody is being heard and more wait to be prefilled: those of a burst decode together. A long text is prefilled in
chunks, one in a step, so that it holds up nobody who is being heard for longer than that. Arrivals wait in an inbox
that is drained before each step, so nothing around the model needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import numpy as np

from pipeline.acoustic.sampling import Sampler
from pipeline.acoustic.scheduler import Scheduler
from pipeline.acoustic.sequence import SpeechSequence, group_sizes
from pipeline.acoustic.speech_lm import LMPrompt, SpeechLM
from pipeline.acoustic.token_stream import TokenStream
from pipeline.config import ChunkSchedule
from pipeline.errors import InvalidRequest, Overloaded, StageFailed, TextTooLong, TTSError
from pipeline.runtime.bundle import LMSpec
from pipeline.runtime.core_claims import CoreClaims
from pipeline.runtime.threads import be_nice
from pipeline.types import F32, I64, SpeechTokens, Utterance

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5  # an idle engine still beats this often
MAX_YIELD_S, YIELD_POLL_S = 0.5, 0.01  # a step at least that often, whatever others claim
HANDOVER_S = 0.01  # in which first tokens reach token2wav, and its claim the engine

_Inbox = queue.SimpleQueue[Sequence[SpeechSequence]]


class Engine:
    """Makes speech tokens for many utterances at once; each gets the tokens that it would get alone.

    Args:
        lm: the model; from here on only the engine's thread touches it.
        spec: sampling settings, and the bounds on speech tokens per text token.
        token_rate: speech tokens per second; with `chunks` it says how many tokens leave at a time.
        max_batch_size: sequences that decode together.
        max_queued: sequences that may wait for a slot; one more is refused, unless it continues a stream that is
            being heard.
        prefill_batch_size: the most sequences that share one padded prefill.
        prefill_chunk: the most positions that are prefilled between two decode steps, of one long text or of several
            short ones.
        niceness: added to that of the engine's thread (Linux), so that what was begun before is finished first by whom
            the cores are shared with.
        claims: where others learn that the engine computes, and what they claim; while not as many as `num_cores` are
            free of claims, the engine waits before each step, MAX_YIELD_S at most.
    """

    def __init__(
        self,
        lm: SpeechLM,
        *,
        spec: LMSpec,
        token_rate: float,
        max_batch_size: int,
        max_queued: int,
        chunks: ChunkSchedule,
        prefill_batch_size: int = 4,
        prefill_chunk: int = 64,
        niceness: int = 0,
        claims: CoreClaims | None = None,
        num_cores: int = 1,
    ) -> None:
        self._lm = lm
        self._spec = spec
        self._token_rate = token_rate
        self._chunks = chunks
        self._max_batch_size = max_batch_size
        self._max_queued = max_queued
        self._prefill_chunk = prefill_chunk
        self._niceness = niceness
        self._claims = claims
        self._num_cores = num_cores
        self._is_computing = False
        self._handed_over_at = -HANDOVER_S  # when first tokens last left
        self._parts: Iterator[F32 | None] = iter(())  # of the prefill that is under way
        self._scheduler: Scheduler[SpeechSequence] = Scheduler(max_batch_size, prefill_batch_size)
        self._inbox: _Inbox = queue.SimpleQueue()
        self._door = threading.Lock()  # guards the two fields below, never held around the model
        self._num_admitted = 0  # sequences inside: in the inbox, waiting or running
        self._is_open = True
        self._is_closing = False
        self._beat_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="acoustic-engine", daemon=True)
        self._thread.start()

    # Any thread

    @property
    def num_running(self) -> int:
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        return max(0, self._num_admitted - self.num_running)

    def is_healthy(self, max_silence_s: float) -> bool:
        """Whether the engine's thread lives and has begun a step, or idled, within that time."""
        return self._thread.is_alive() and time.monotonic() - self._beat_at <= max_silence_s

    def close(self, timeout_s: float | None = None) -> None:
        """Ends the thread after the current step; what is inside fails with StageFailed."""
        self._is_closing = True
        self._inbox.put(())
        self._thread.join(timeout_s)

    # An event loop's thread

    def submit(self, utterances: Sequence[Utterance]) -> list[TokenStream]:
        """Admits the utterances together, so that they can share one prefill. Needs a running event loop.

        What cannot be admitted fails alone and at once, in its own stream: Overloaded when the queue is full,
        TextTooLong or InvalidRequest when the LM cannot take the text, StageFailed when the engine has stopped.
        """
        loop = asyncio.get_running_loop()
        streams = [TokenStream(loop) for _ in utterances]
        sequences = [self._sequence(*pair) for pair in zip(utterances, streams, strict=True)]
        self._admit([sequence for sequence in sequences if sequence])
        return streams

    def _sequence(self, utterance: Utterance, stream: TokenStream) -> SpeechSequence | None:
        """None, and the reason in the stream, when the LM cannot take this text."""
        prompt = _lm_prompt(utterance)
        try:
            min_tokens, max_tokens = self._token_bounds(len(utterance.text_ids), prompt)
        except TTSError as error:
            stream.put(error)
            return None
        sampler = Sampler.seeded(self._spec.sampling, self._lm.num_speech_tokens, utterance.seed)
        sizes = group_sizes(self._chunks, self._token_rate)
        return SpeechSequence(prompt, stream, sampler, min_tokens, max_tokens, sizes, utterance.is_continuation)

    def _token_bounds(self, text_length: int, prompt: LMPrompt) -> tuple[int, int]:
        """Fewest and most speech tokens, as the official inference bounds them and as the context allows."""
        min_tokens = int(self._spec.min_speech_per_text * text_length)
        max_tokens = int(self._spec.max_speech_per_text * text_length)
        if max_tokens < 1:
            raise InvalidRequest(f"{text_length} text tokens make no speech: send text that can be spoken.")
        num_free = self._lm.max_context - prompt.num_positions + 1  # the final token is never fed back
        if num_free <= min_tokens:
            raise TextTooLong(
                f"{text_length} text tokens need more than {min_tokens} speech tokens, the context of "
                f"{self._lm.max_context} positions leaves {max(num_free, 0)}: send shorter pieces or raise "
                "acoustic.max_context."
            )
        return min_tokens, min(max_tokens, num_free)

    def _admit(self, arrivals: Sequence[SpeechSequence]) -> None:
        capacity = self._max_batch_size + self._max_queued
        admitted: list[SpeechSequence] = []
        refused: list[SpeechSequence] = []
        with self._door:
            for sequence in arrivals:
                has_room = sequence.is_continuation or self._num_admitted < capacity
                (admitted if has_room and self._is_open else refused).append(sequence)
                self._num_admitted += has_room and self._is_open
            error = self._overloaded(capacity) if self._is_open else _stopped()
            self._inbox.put(admitted)
        for sequence in refused:
            sequence.stream.put(error)

    def _overloaded(self, capacity: int) -> Overloaded:
        return Overloaded(
            f"{self._num_admitted} of {capacity} sequences are running or waiting ({self._max_batch_size} slots, "
            f"{self._max_queued} queued): try again later, or raise acoustic.max_queued."
        )

    # The engine's thread

    def _run(self) -> None:
        be_nice(self._niceness)
        try:
            while not self._is_closing:
                self._beat_at = time.monotonic()
                self._receive()
                self._yield()
                self._step()
        except Exception:
            logger.exception("the acoustic engine stopped")
        finally:
            self._shut_down()

    def _receive(self) -> None:
        """Drains the inbox; waits for it a moment when there is nothing else to do."""
        self._tell(is_computing=not self._is_idle())
        self._drain(IDLE_WAIT_S if self._is_idle() else 0.0)
        self._tell(is_computing=not self._is_idle())

    def _is_idle(self) -> bool:
        return not (self._scheduler.running or self._scheduler.waiting or self._scheduler.begun)

    def _drain(self, timeout_s: float) -> None:
        """Takes what is in the inbox, or comes within that time."""
        try:
            arrivals = self._inbox.get(block=timeout_s > 0, timeout=timeout_s)
            while True:
                self._schedule(arrivals)
                arrivals = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _tell(self, *, is_computing: bool) -> None:
        if self._claims is None or is_computing == self._is_computing:
            return
        self._is_computing = is_computing
        if is_computing:
            self._claims.start_using()
        else:
            self._claims.stop_using()

    def _yield(self) -> None:
        """Leaves the cores to more urgent work: none of ours is while all who run have sent something to be heard.

        It ends, as no new tokens bring no new first audio; so it does when somebody comes.
        """
        until = time.monotonic() + MAX_YIELD_S
        while self._can_wait() and self._is_outranked() and not self._is_closing and time.monotonic() < until:
            self._drain(YIELD_POLL_S)

    def _is_outranked(self) -> bool:
        """Whether first audio is being made of what was sent, or soon will be."""
        if self._claims is None:
            return False
        return time.monotonic() - self._handed_over_at < HANDOVER_S or not self._claims.are_free(self._num_cores)

    def _can_wait(self) -> bool:
        running, begun = self._scheduler.running, self._scheduler.begun
        next_ones = self._scheduler.waiting[: self._max_batch_size - len(running)]
        return bool(running) and not any(
            sequence.is_awaited for sequence in (*running, *next_ones, *((begun,) if begun else ()))
        )

    def _schedule(self, arrivals: Sequence[SpeechSequence]) -> None:
        for sequence in arrivals:
            self._scheduler.add(sequence, is_continuation=sequence.is_continuation)

    def _step(self) -> None:
        self._drop_abandoned()
        if group := self._scheduler.next_group(self._fits):
            self._start(group)
        elif self._scheduler.begun is not None:
            self._go_on(self._scheduler.begun)
        self._drain(0.0)
        if self._scheduler.running and not self._has_more_to_start():
            self._decode()

    def _has_more_to_start(self) -> bool:
        """Whether the next step can prefill somebody, for whom those who run wait unheard."""
        scheduler = self._scheduler
        next_one = scheduler.waiting[:1]
        return (
            bool(next_one)
            and scheduler.begun is None
            and self.num_running < self._max_batch_size
            and self._fits(next_one)
            and all(sequence.is_awaited for sequence in scheduler.running)
        )

    def _fits(self, group: Sequence[SpeechSequence]) -> bool:
        """Whether one padded prefill of them is at most a chunk."""
        return len(group) * max(sequence.prompt.num_positions for sequence in group) <= self._prefill_chunk

    def _start(self, group: list[SpeechSequence]) -> None:
        if self._fits(group):
            self._prefill(group)
        else:  # one long text
            self._scheduler.begin(group[0])
            self._parts = self._lm.prefill_in_chunks(group[0].prompt, self._prefill_chunk)
            self._go_on(group[0])

    def _go_on(self, sequence: SpeechSequence) -> None:
        """The next part of the prefill that is under way."""
        try:
            logits = next(self._parts)
        except Exception as error:
            self._give_up()
            sequence.stream.put(_failure("prefill", error))
            return
        if logits is not None:
            self._begin_decoding([sequence], logits)

    def _give_up(self) -> None:
        """Forgets the prefill that is under way."""
        self._parts, self._scheduler.begun = iter(()), None
        self._release(1)

    def _drop_abandoned(self) -> None:
        self._release(self._scheduler.withdraw(lambda sequence: sequence.is_abandoned))
        if self._scheduler.begun is not None and self._scheduler.begun.is_abandoned:
            self._give_up()
        for slot in reversed(range(self.num_running)):
            if self._scheduler.running[slot].is_abandoned:
                self._retire(slot)

    def _prefill(self, group: list[SpeechSequence]) -> None:
        """One padded prefill; if it fails, each alone, so that only the culprit fails."""
        try:
            logits = self._lm.prefill([sequence.prompt for sequence in group])
        except Exception as error:
            if len(group) == 1:
                self._release(1)
                group[0].stream.put(_failure("prefill", error))
            else:
                for sequence in group:
                    self._prefill([sequence])
            return
        self._begin_decoding(group, logits)

    def _begin_decoding(self, group: Sequence[SpeechSequence], logits: F32) -> None:
        first_slot = self.num_running
        self._scheduler.start(group)
        self._sample(logits, first_slot)

    def _decode(self) -> None:
        token_ids: I64 = np.array([sequence.last_token for sequence in self._scheduler.running], np.int64)
        try:
            logits = self._lm.decode(token_ids)
        except Exception as error:
            failure = _failure("decode step", error)
            for slot in reversed(range(self.num_running)):
                self._retire(slot).stream.put(failure)
            return
        self._sample(logits, 0)

    def _sample(self, logits: F32, first_slot: int) -> None:
        """Draws a token for each row; the last slot first, so that retiring one moves none that is still to come."""
        for row in reversed(range(len(logits))):
            slot = first_slot + row
            end = self._advance(self._scheduler.running[slot], logits[row])
            if end is not None:
                self._retire(slot).stream.put(end)

    def _advance(self, sequence: SpeechSequence, logits: F32) -> SpeechTokens | TTSError | None:
        was_awaited = sequence.is_awaited
        try:
            return sequence.advance(logits)
        except Exception as error:
            return _failure("sampling", error)
        finally:
            if was_awaited and not sequence.is_awaited:
                self._handed_over_at = time.monotonic()

    def _retire(self, slot: int) -> SpeechSequence:
        """Frees the slot, before the reader hears of it."""
        self._lm.retire(slot)
        self._release(1)
        return self._scheduler.retire(slot)

    def _release(self, num_sequences: int) -> None:
        with self._door:
            self._num_admitted -= num_sequences

    def _shut_down(self) -> None:
        """Nobody waits for an engine that has stopped: whatever is inside fails."""
        with self._door:
            self._is_open = False
        while not self._inbox.empty():
            self._schedule(self._inbox.get())
        begun = () if self._scheduler.begun is None else (self._scheduler.begun,)
        for sequence in (*self._scheduler.running, *begun, *self._scheduler.waiting):
            sequence.stream.put(_stopped())
        self._scheduler = Scheduler(self._max_batch_size, self._scheduler.prefill_batch_size)
        self._num_admitted = 0
        self._tell(is_computing=False)


class LocalAcousticModel:
    """The synthesizer's AcousticModel over an engine in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        (stream,) = self._engine.submit([utterance])
        try:
            async for tokens in stream:
                yield tokens
        finally:
            await stream.aclose()


def _lm_prompt(utterance: Utterance) -> LMPrompt:
    text_ids: I64 = np.array(utterance.text_ids, np.int64)
    prompt = utterance.voice.prompt
    if prompt is None:
        return LMPrompt(text_ids, utterance.voice.embedding, np.zeros(0, np.int64))
    return LMPrompt(np.concatenate([prompt.text_ids, text_ids]), utterance.voice.embedding, prompt.speech_tokens)


def _failure(what: str, error: Exception) -> TTSError:
    logger.error("%s of the speech LM failed", what, exc_info=error)
    if isinstance(error, TTSError):
        return error
    return StageFailed(f"the {what} of the speech LM failed ({type(error).__name__}: {error}): try again.")


def _stopped() -> StageFailed:
    return StageFailed("the acoustic engine has stopped: its replica must be restarted.")

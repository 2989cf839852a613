"""The speech-token LM as the engine sees it, and its ONNX Runtime implementation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.acoustic.kv_cache import KVCache
from pipeline.acoustic.lm_step import LMStep
from pipeline.acoustic.lm_tables import LMTables, sinusoids
from pipeline.errors import InvalidRequest, Overloaded
from pipeline.runtime.bundle import Bundle, GraphName, LMSpec, Precision
from pipeline.runtime.prepared import open_sessions
from pipeline.runtime.session import Session, make_session
from pipeline.types import F32, I64

SESSIONS: tuple[GraphName, GraphName] = ("lm_prefix", "lm")
WARM_UP_TEXT = 20  # tokens, of a short sentence
NO_SPEECH: I64 = np.zeros(0, np.int64)
LENGTH_MULTIPLE = 8  # of padded prompts: with one row, matrix products take kernels that round differently


@dataclass(frozen=True, slots=True)
class LMPrompt:
    """What a sequence starts from."""

    text_ids: I64  # i64 [N], a zero-shot prompt's text included in front
    speaker: F32  # f32 [speaker_size], not normalized
    speech_prefix: I64  # i64 [P], a zero-shot prompt's speech tokens, usually none

    @property
    def num_positions(self) -> int:
        """Start mark, speaker, text, task mark, and the prompt's speech."""
        return 3 + len(self.text_ids) + len(self.speech_prefix)


class SpeechLM(Protocol):
    """Runs a changing batch of sequences. What a sequence gets is, bit for bit, what it would get alone."""

    num_speech_tokens: int  # also the end token's id
    max_context: int  # positions of one sequence

    def prefill(self, prompts: Sequence[LMPrompt]) -> F32:
        """Starts sequences in the next free slots. Logits f32 [n, num_speech_tokens + 1] of their first tokens."""
        ...

    def prefill_in_chunks(self, prompt: LMPrompt, chunk_size: int) -> Iterator[F32 | None]:
        """Starts one sequence, at most `chunk_size` positions at a time.

        Decode steps and retirements may come between, starts may not: a slot must stay free. Each turn does a part;
        the last one gives logits f32 [1, num_speech_tokens + 1], those before None. Dropped early, nothing has started.
        """
        ...

    def decode(self, token_ids: I64) -> F32:
        """Appends one token, i64 [B], to every running sequence in slot order. Logits f32 [B, ...] of the next."""
        ...

    def retire(self, slot: int) -> None:
        """Ends the sequence in this slot; the one in the last running slot moves there."""
        ...


@dataclass(frozen=True, slots=True)
class LMPrefix:
    """What `lm_prefix` makes of a batch of texts; see its graph for the padding."""

    text_encoder_out: F32  # f32 [B, T, input_size]
    prefill_input: F32  # f32 [B, T + 3, input_size]
    prefill_hidden: F32  # f32 [B, T + 3, hidden_size]


@dataclass(slots=True)
class _Graphs:
    """The model on some number of threads."""

    prefix: Session
    lm: Session
    step: LMStep | None = None  # of the last decode, as long as batch and table size stay


class OnnxSpeechLM:
    """The exported LM over a KV cache that its graph updates in place.

    Args:
        num_threads: at most one per attention head is used: with more, ONNX Runtime would split the keys of a head
            among threads when the batch is small, and round differently than in a larger batch.
        max_threads: of a run that begins while it `is_alone`; None: as many. The values are the same to the bit.
        is_alone: whether nobody else needs the cores now.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision,
        *,
        num_threads: int,
        max_batch_size: int,
        max_context: int,
        max_threads: int | None = None,
        is_alone: Callable[[], bool] = lambda: False,
    ) -> None:
        counts = _thread_counts(num_threads, max_threads, bundle.manifest.lm)
        prefixes, lms = (open_sessions(bundle, name, precision, counts) for name in SESSIONS)
        graphs = list(map(_Graphs, prefixes, lms))
        tables = LMTables.open(bundle, precision, num_positions_for(max_context))
        self._assemble(graphs, tables, bundle.manifest.lm, max_batch_size, max_context, is_alone)

    @classmethod
    def from_graphs(
        cls,
        graphs: Mapping[GraphName, Path | bytes],
        spec: LMSpec,
        *,
        num_threads: int = 1,
        max_batch_size: int = 1,
        max_context: int = 1024,
        max_threads: int | None = None,
        is_alone: Callable[[], bool] = lambda: False,
    ) -> OnnxSpeechLM:
        """The same without a bundle; a graph is a file or the bytes of one."""
        opened = [
            _Graphs(make_session(graphs["lm_prefix"], num_threads=count), make_session(graphs["lm"], num_threads=count))
            for count in _thread_counts(num_threads, max_threads, spec)
        ]
        tables = make_session(graphs["lm_tables"], num_threads=1)
        computed = LMTables.compute(tables, spec, num_positions_for(max_context))
        speech_lm = cls.__new__(cls)
        speech_lm._assemble(opened, computed, spec, max_batch_size, max_context, is_alone)
        return speech_lm

    def _assemble(
        self,
        graphs: Sequence[_Graphs],
        tables: LMTables,
        spec: LMSpec,
        max_batch_size: int,
        max_context: int,
        is_alone: Callable[[], bool],
    ) -> None:
        self.num_speech_tokens = spec.num_speech_tokens
        self.max_context = max_context
        self._spec = spec
        self._cache = KVCache(
            num_layers=spec.num_layers,
            num_slots=max_batch_size,
            num_heads=spec.num_heads,
            num_positions=num_positions_for(max_context),
            head_dim=spec.head_dim,
            dtype=graphs[0].lm.dtypes["past_key.0"],
        )
        self._graphs, self._tables = graphs, tables
        self._is_alone = is_alone

    @property
    def num_running(self) -> int:
        return self._cache.num_running

    @property
    def position_size(self) -> int:
        """Bytes of a position's keys and values."""
        return self._cache.position_size

    def prefill(self, prompts: Sequence[LMPrompt]) -> F32:
        return self._prefill(self._now(), prompts)

    def _now(self) -> _Graphs:
        """For a run that begins now."""
        return self._graphs[-1] if len(self._graphs) > 1 and self._is_alone() else self._graphs[0]

    def _prefill(self, graphs: _Graphs, prompts: Sequence[LMPrompt]) -> F32:
        self._check(prompts)
        lengths = np.array([prompt.num_positions for prompt in prompts], np.int64)
        width = _round_up(int(lengths.max()), LENGTH_MULTIPLE)
        step = self._make_step(graphs, self._cache.num_running, len(prompts), width, width)
        step.hidden.fill(0)
        for row, positions in zip(step.hidden, self._positions(graphs, prompts), strict=True):
            row[: len(positions)] = positions
        step.length[:] = lengths
        logits = step.run()
        self._cache.append(lengths)
        return logits

    def prefill_in_chunks(self, prompt: LMPrompt, chunk_size: int) -> Iterator[F32 | None]:
        """The same logits and cache, to the bit: a position's keys are summed in order, and later ones weigh zero.

        The text is encoded in the first turn, at once.
        """
        self._check([prompt])
        (positions,) = self._positions(self._now(), [prompt])
        yield None
        for start, stop in chunk_bounds(len(positions), chunk_size):
            width = _round_up(stop - start, LENGTH_MULTIPLE)
            step = self._make_step(self._now(), self._cache.spare_slot, 1, width, start + width)
            step.hidden.fill(0)
            step.hidden[0, : stop - start] = positions[start:stop]
            step.past_length[:], step.length[:] = start, stop - start
            logits = step.run()
            if stop < len(positions):
                yield None
        self._cache.adopt_spare(len(positions))
        yield logits

    def _positions(self, graphs: _Graphs, prompts: Sequence[LMPrompt]) -> Iterator[F32]:
        """What the decoder reads for each prompt: f32 [num_positions, hidden_size]."""
        prefix = _run_prefix(graphs.prefix, prompts)
        for prompt, hidden in zip(prompts, prefix.prefill_hidden, strict=True):
            speech = self._tables.speech_hidden[prompt.speech_prefix]
            yield np.concatenate([hidden[: 3 + len(prompt.text_ids)], speech])

    def warm_up(self) -> None:
        """Prefills and decodes two sequences and one, so that no request meets a session's first run."""
        num_text = min(WARM_UP_TEXT, self.max_context - 4)
        prompt = LMPrompt(np.zeros(num_text, np.int64), np.ones(self._spec.speaker_size, np.float32), NO_SPEECH)
        for graphs in self._graphs:
            self._prefill(graphs, [prompt] * min(2, self._cache.num_slots))
            while self.num_running:
                self._decode(graphs, np.zeros(self.num_running, np.int64))
                self.retire(0)

    def decode(self, token_ids: I64) -> F32:
        return self._decode(self._now(), token_ids)

    def _decode(self, graphs: _Graphs, token_ids: I64) -> F32:
        lengths = self._cache.lengths
        if (longest := int(lengths.max())) >= self.max_context:
            raise InvalidRequest(
                f"a sequence of {longest} positions cannot grow past max_context ({self.max_context}): raise it."
            )
        step = self._decode_step(graphs, len(lengths), self._tables.bucket(longest + 1))
        np.take(self._tables.speech_hidden, token_ids, axis=0, out=step.hidden[:, 0])
        step.past_length[:] = lengths
        logits = step.run()
        self._cache.advance()
        return logits.copy()

    def retire(self, slot: int) -> None:
        self._cache.retire(slot)

    def prefix(self, prompts: Sequence[LMPrompt]) -> LMPrefix:
        """Encodes texts and speakers, without starting anything."""
        return _run_prefix(self._now().prefix, prompts)

    def _check(self, prompts: Sequence[LMPrompt]) -> None:
        num_free = self._cache.num_slots - self._cache.num_running
        if not 0 < len(prompts) <= num_free:
            raise Overloaded(f"{len(prompts)} sequences do not fit into {num_free} free slots: try again later.")
        for prompt in prompts:
            if prompt.num_positions > self.max_context:
                raise InvalidRequest(
                    f"{len(prompt.text_ids)} text tokens and {len(prompt.speech_prefix)} prompt tokens take "
                    f"{prompt.num_positions} positions, max_context is {self.max_context}: send shorter pieces."
                )
            _check_ids("text", prompt.text_ids, self._spec.num_text_tokens)
            if len(prompt.speech_prefix):
                _check_ids("speech", prompt.speech_prefix, self._spec.num_speech_tokens)
            if prompt.speaker.shape != (self._spec.speaker_size,):
                raise InvalidRequest(
                    f"a speaker embedding of shape {prompt.speaker.shape} does not fit this model, which takes "
                    f"{self._spec.speaker_size} numbers: use a voice that was made for it."
                )

    def _decode_step(self, graphs: _Graphs, num_sequences: int, table_size: int) -> LMStep:
        step = graphs.step
        if step is None or len(step.hidden) != num_sequences or step.table_size != table_size:
            graphs.step = step = self._make_step(graphs, 0, num_sequences, 1, table_size)
            step.length.fill(1)
        return step

    def _make_step(
        self, graphs: _Graphs, first_slot: int, num_sequences: int, width: int, num_distances: int
    ) -> LMStep:
        step = LMStep(graphs.lm, num_sequences, width, self._spec, self._tables.bucket(num_distances))
        step.bind_tables(self._tables)
        step.bind_cache(self._cache, first_slot)
        return step


def _run_prefix(session: Session, prompts: Sequence[LMPrompt]) -> LMPrefix:
    lengths = np.array([len(prompt.text_ids) for prompt in prompts], np.int64)
    width = _round_up(int(lengths.max()), LENGTH_MULTIPLE)
    text: I64 = np.zeros((len(prompts), width), np.int64)
    for row, prompt in zip(text, prompts, strict=True):
        row[: len(prompt.text_ids)] = prompt.text_ids
    text_hidden_size = session.inputs["position_encoding"][1]
    outputs = session.run(
        {
            "text": text,
            "text_length": lengths,
            "speaker": np.stack([prompt.speaker for prompt in prompts]).astype(np.float32),
            "position_encoding": sinusoids(np.arange(1 - width, width), int(text_hidden_size)),
        }
    )
    return LMPrefix(**outputs)


def chunk_bounds(num_positions: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of each chunk. The first is the short one: behind a past, GroupQueryAttention takes no padding."""
    start = 0
    for stop in range((num_positions - 1) % chunk_size + 1, num_positions + 1, chunk_size):
        yield start, stop
        start = stop


def num_positions_for(max_context: int) -> int:
    """Positions of the cache, and distances of the tables: a padded prompt may go a little further."""
    return _round_up(max_context, LENGTH_MULTIPLE)


def _thread_counts(num_threads: int, max_threads: int | None, spec: LMSpec) -> list[int]:
    """One, or the usual number and the one for a run that is alone."""
    most = most_threads(spec.num_heads)
    return sorted({min(count, most) for count in (num_threads, max_threads or num_threads)})


def most_threads(num_heads: int) -> int:
    """Threads up to which ONNX Runtime keeps each attention head on one thread, whatever the batch.

    On CPUs with two kinds of cores it counts each thread four times (TaskGranularityFactor).
    """
    is_hybrid = Path("/sys/devices/cpu_atom").exists()
    return max(1, num_heads // 4 if is_hybrid else num_heads)


def _check_ids(what: str, ids: I64, num_tokens: int) -> None:
    if not len(ids) or ids.min() < 0 or ids.max() >= num_tokens:
        bad = f"{ids.min()} to {ids.max()}" if len(ids) else "none"
        raise InvalidRequest(
            f"{what} token ids are {bad}, this model knows 0 to {num_tokens - 1}: check the tokenizer."
        )


def _round_up(number: int, multiple: int) -> int:
    return math.ceil(number / multiple) * multiple

"""Ways to run the product that the ladder compares with each other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from pipeline.acoustic.engine import Engine
from pipeline.acoustic.speech_lm import LMPrompt, OnnxSpeechLM
from pipeline.acoustic.token_stream import TokenStream
from pipeline.build import precision_of
from pipeline.cache.results import Result, ResultCache, open_results, service_identity
from pipeline.config import ResultsConfig, ServiceConfig
from pipeline.runtime.bundle import Bundle
from pipeline.synthesizer import Synthesizer
from pipeline.types import F32, I64, AudioChunk, SpeechRequest, SpeechTokens, Utterance


class UncachedLM:
    """The speech LM without a KV cache: every step reads each sequence again from its beginning."""

    def __init__(self, lm: OnnxSpeechLM) -> None:
        self._lm = lm
        self._prompts: list[LMPrompt] = []
        self.num_speech_tokens, self.max_context = lm.num_speech_tokens, lm.max_context

    def prefill(self, prompts: Sequence[LMPrompt]) -> F32:
        self._prompts += prompts
        return self._run(prompts)

    def prefill_in_chunks(self, prompt: LMPrompt, chunk_size: int) -> Iterator[F32 | None]:
        """At once: there is no cache that could take a part."""
        yield self.prefill([prompt])

    def decode(self, token_ids: I64) -> F32:
        self._prompts = [
            LMPrompt(prompt.text_ids, prompt.speaker, np.append(prompt.speech_prefix, token))
            for prompt, token in zip(self._prompts, token_ids, strict=True)
        ]
        return self._run(self._prompts)

    def retire(self, slot: int) -> None:
        last = self._prompts.pop()
        if slot < len(self._prompts):
            self._prompts[slot] = last

    def _run(self, prompts: Sequence[LMPrompt]) -> F32:
        logits = self._lm.prefill(prompts)
        for slot in reversed(range(len(prompts))):
            self._lm.retire(slot)
        return logits


class WindowedAcousticModel:
    """Arrivals of a window share one prefill: what the acoustic model's deployment does, in process."""

    def __init__(self, engine: Engine, window_s: float) -> None:
        self._engine = engine
        self._window_s = window_s
        self._arrivals: list[tuple[Utterance, asyncio.Future[TokenStream]]] = []

    async def generate(self, utterance: Utterance) -> AsyncIterator[SpeechTokens]:
        loop = asyncio.get_running_loop()
        if not self._arrivals:
            loop.call_later(self._window_s, self._admit)
        admitted: asyncio.Future[TokenStream] = loop.create_future()
        self._arrivals.append((utterance, admitted))
        async for tokens in await admitted:
            yield tokens

    def _admit(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        streams = self._engine.submit([utterance for utterance, _ in arrivals])
        for (_, admitted), stream in zip(arrivals, streams, strict=True):
            admitted.set_result(stream)


class Streaming(Protocol):
    def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]: ...


class CachingSynthesizer:
    """A synthesizer behind the result cache, as the ingress has it, with raw samples for an encoding."""

    def __init__(self, synthesizer: Synthesizer, results: ResultCache, sample_rate: int) -> None:
        self._synthesizer = synthesizer
        self._results = results
        self._sample_rate = sample_rate

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk, None]:
        utterances = await self._synthesizer.prepare(request)
        key = self._results.key(utterances, "pcm", None, is_streamed=True)
        if (result := await self._results.get(key)) is not None:
            for part in result.parts:
                yield AudioChunk(np.frombuffer(part, np.int16), self._sample_rate)
            return
        parts = []
        async for chunk in self._synthesizer.speak(utterances):
            parts.append(chunk.samples.tobytes())
            yield chunk
        await self._results.put(key, Result(tuple(parts), 0.0))


@contextmanager
def caching(synthesizer: Synthesizer, config: ServiceConfig, bundle: Bundle) -> Iterator[CachingSynthesizer]:
    """With an empty SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        identity = service_identity(config, bundle, precision_of(config.model, bundle))
        results = open_results(ResultsConfig(store=f"{folder}/results.db"), identity)
        assert results is not None
        yield CachingSynthesizer(synthesizer, results, bundle.manifest.sample_rate)

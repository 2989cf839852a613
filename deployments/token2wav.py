"""Token2wav as a Ray Serve deployment: stateless between calls, so any replica decodes any chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from deployments.batching import Batcher, BatchWindow
from deployments.replica import replica_num_cpus
from pipeline.build import build_token2wav, open_bundle
from pipeline.config import ServiceConfig
from pipeline.runtime.threads import num_threads_for
from pipeline.token2wav.token2wav import Decoded, DecodeJob, OnnxToken2Wav
from pipeline.types import DecodeState, SpeechTokens, Utterance


def make_token2wav(config: ServiceConfig) -> OnnxToken2Wav:
    num_threads = num_threads_for(replica_num_cpus(), config.token2wav.num_threads)
    return build_token2wav(config, open_bundle(config.model), num_threads)


class Token2Wav:
    def __init__(self, config: ServiceConfig, make: Callable[[ServiceConfig], OnnxToken2Wav] = make_token2wav) -> None:
        self._token2wav = make(config)
        window = BatchWindow(batch_size=config.token2wav.batch_size, batch_window_ms=config.token2wav.batch_window_ms)
        self._decode = Batcher(self._decode_batch, window)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._decode.reconfigure(user_config)

    async def decode(self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None) -> Decoded:
        return await self._decode(DecodeJob(tokens, utterance, state))

    async def _decode_batch(self, jobs: list[DecodeJob]) -> Sequence[Decoded | Exception]:
        futures = map(asyncio.wrap_future, self._token2wav.submit(jobs))
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        return [_not_cancelled(outcome) for outcome in outcomes]

    async def ready(self) -> None:
        """Answers when the replica can decode."""

    async def check_health(self) -> None:
        await self._decode.check_health()


def _not_cancelled(outcome: Decoded | BaseException) -> Decoded | Exception:
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome

"""The text frontend as a Ray Serve deployment: text in, utterances out, on one thread off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from deployments.batching import Batcher, BatchWindow
from pipeline.build import build_frontend, open_bundle
from pipeline.config import ServiceConfig
from pipeline.text.frontend import Frontend
from pipeline.text.lexicon_entry import Entry
from pipeline.text.preview import Preview
from pipeline.types import SpeechRequest, Utterance


def make_frontend(config: ServiceConfig) -> Frontend:
    frontend = build_frontend(config, open_bundle(config.model))
    frontend.warm_up()  # dictionaries load on first use, which no request should wait for
    return frontend


class TextFrontend:
    """The stage, and its lexicon, whose store may be slow to answer: those calls keep off the thread of the texts."""

    def __init__(self, config: ServiceConfig, make: Callable[[ServiceConfig], Frontend] = make_frontend) -> None:
        self._frontend = make(config)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="text-frontend")
        window = BatchWindow(batch_size=config.text.batch_size, batch_window_ms=config.text.batch_window_ms)
        self._prepare = Batcher(self._prepare_batch, window)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._prepare.reconfigure(user_config)

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        return await self._prepare(request)

    async def preview(self, text: str, language: str | None, normalize: bool) -> Preview:
        preview = partial(self._frontend.preview, text, language, normalize=normalize)
        return await asyncio.get_running_loop().run_in_executor(self._executor, preview)

    async def lexicon_entries(self, after: str, limit: int) -> Sequence[Entry]:
        return await asyncio.to_thread(self._frontend.lexicon.entries, after, limit)

    async def lexicon_entry(self, word: str) -> Entry | None:
        return await asyncio.to_thread(self._frontend.lexicon.get, word)

    async def put_lexicon_entry(self, entry: Entry) -> None:
        await asyncio.to_thread(self._frontend.lexicon.put, entry)

    async def delete_lexicon_entry(self, word: str) -> bool:
        return await asyncio.to_thread(self._frontend.lexicon.delete, word)

    async def _prepare_batch(self, requests: list[SpeechRequest]) -> Sequence[Sequence[Utterance] | Exception]:
        """One trip to the thread for the requests of a window."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._prepare_each, requests)

    def _prepare_each(self, requests: Sequence[SpeechRequest]) -> Sequence[Sequence[Utterance] | Exception]:
        return [self._prepare_one(request) for request in requests]

    def _prepare_one(self, request: SpeechRequest) -> Sequence[Utterance] | Exception:
        try:
            return self._frontend.prepare(request)
        except Exception as error:
            return error

    async def ready(self) -> None:
        """Answers when the replica can take text."""

    async def check_health(self) -> None:
        await self._prepare.check_health()

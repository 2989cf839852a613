"""What a caller of the engine holds: an async iterator that is filled from the engine's thread."""

from __future__ import annotations

import asyncio

from pipeline.types import SpeechTokens


class TokenStream:
    """Groups of one utterance's speech tokens, in order; exactly the final one has `is_last`.

    One task of the event loop `loop` reads, any thread puts. The queue between them needs no bound: a whole utterance
    is a few kilobytes. Closing the stream, or cancelling the task that reads it, aborts the sequence; the engine frees
    its slot within one step.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: asyncio.Queue[SpeechTokens | Exception] = asyncio.Queue()
        self.is_closed = False

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> SpeechTokens:
        if self.is_closed:
            raise StopAsyncIteration
        try:
            item = await self._items.get()
        except asyncio.CancelledError:
            self.is_closed = True
            raise
        if isinstance(item, Exception):
            self.is_closed = True
            raise item
        self.is_closed = item.is_last
        return item

    async def aclose(self) -> None:
        self.is_closed = True

    def put(self, item: SpeechTokens | Exception) -> None:
        """Hands over the next group, or the error that ends the stream. Never blocks."""
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:  # the event loop is closed, and the reader went with it
            self.is_closed = True

"""`@serve.batch` around one function of a replica, with settings that can change while the replica runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

T = TypeVar("T")
R = TypeVar("R")


class BatchWindow(BaseModel):
    """A stage's `user_config` in serve_config.yaml may hold these fields. A window of 0 ms waits for nobody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(gt=0)
    batch_window_ms: float = Field(ge=0)

    @property
    def is_open(self) -> bool:
        return self.batch_window_ms > 0 and self.batch_size > 1


class Batcher(Generic[T, R]):
    """Calls `function` with the items of a window, or with each item at once while the window is closed.

    `function` returns one result or exception per item, in order, so that a bad item does not fail its batch. It must
    not be a generator: Ray would hold the batch together until its longest member ends.

    Args:
        is_worthwhile: whether an item that comes now shall wait for others; asked for each item while the window is
            open.
    """

    def __init__(
        self,
        function: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        window: BatchWindow,
        is_worthwhile: Callable[[], bool] = lambda: True,
    ) -> None:
        self._function = function
        self._is_worthwhile = is_worthwhile
        self._batched: Any = serve.batch(function)  # type: ignore[arg-type]
        self._set(window)

    async def __call__(self, item: T) -> R:
        if self._window.is_open and self._is_worthwhile():
            outcome: R | Exception = await self._batched(item)
        else:
            (outcome,) = await self._function([item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._set(BatchWindow.model_validate({**self._window.model_dump(), **user_config}))

    def _set(self, window: BatchWindow) -> None:
        self._window = window
        self._batched.set_max_batch_size(window.batch_size)
        self._batched.set_batch_wait_timeout_s(window.batch_window_ms / 1000)

    async def check_health(self) -> None:
        """When Ray's batching task dies, every later call hangs while the replica looks healthy (ray issue 66140)."""
        if self._window.is_open and not await self._batched._is_batching_task_alive():
            raise RuntimeError("the task of @serve.batch has died: this replica must be restarted")

"""Stand-ins for what Ray Serve puts around a replica: its context, handles and their responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest
from ray import serve


def enter_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """`@serve.batch` asks for the context of the replica that it runs in."""
    context = SimpleNamespace(_deployment_config=SimpleNamespace(max_ongoing_requests=1000))
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)


class FakeResponse:
    def __init__(self, result: Awaitable[Any]) -> None:
        self._result = result
        self.is_cancelled = False

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result.__await__()

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeStream:
    def __init__(self, items: AsyncGenerator[Any, None]) -> None:
        self._items = items
        self.is_cancelled = False

    def __aiter__(self) -> AsyncGenerator[Any, None]:
        return self._items

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeHandle:
    """A deployment handle over one coroutine function, or one generator function, whatever method is called."""

    def __init__(self, method: Callable[..., Any], response: type = FakeResponse) -> None:
        self._method, self._response = method, response
        self.responses: list[Any] = []
        self.called_with: dict[str, bool] = {}

    def options(self, **options: bool) -> FakeHandle:
        self.called_with = options
        return self

    def __getattr__(self, name: str) -> FakeHandle:
        return self

    def remote(self, *args: Any) -> Any:
        self.responses.append(self._response(self._method(*args)))
        return self.responses[-1]

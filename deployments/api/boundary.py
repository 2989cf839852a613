"""The outermost layer of a request: its id, its log line, its metrics, and what becomes of an error."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.api.errors import error_response, status_of

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that went away; it is only logged and counted
_USABLE_ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


class Observer(Protocol):
    """Where the service's figures go. Calls must be quick: they run in the event loop."""

    def first_audio(self, latency_s: float) -> None:
        """From the arrival of a speech request to its first audio."""
        ...

    def audio_sent(self, duration_s: float) -> None:
        """Seconds of audio that one request was sent, also when its client left early."""
        ...

    def request_done(self, endpoint: str, status: int, duration_s: float) -> None:
        """`endpoint` is a short name such as create_speech, or none. Status 499: the client left before the end."""
        ...


class NoObserver:
    def first_audio(self, latency_s: float) -> None:
        pass

    def audio_sent(self, duration_s: float) -> None:
        pass

    def request_done(self, endpoint: str, status: int, duration_s: float) -> None:
        pass


class Boundary:
    """ASGI middleware. An error before the response has begun becomes its JSON; after that the connection is cut.

    Args:
        sends_request_id: put x-request-id on responses; False where a proxy in front already does.
    """

    def __init__(self, app: ASGIApp, observer: Observer, sends_request_id: bool) -> None:
        self._app = app
        self._observer = observer
        self._sends_request_id = sends_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = scope.setdefault("state", {})["request_id"] = _request_id(scope)
        response = _Response(send, request_id if self._sends_request_id else None)
        started_s = time.monotonic()
        try:
            await self._app(scope, receive, response.send)
        except ClientDisconnect:
            response.abandon()
        except asyncio.CancelledError:
            response.abandon()
            raise
        except Exception as error:
            log_error(error, request_id)
            if response.has_started:
                response.status = status_of(error)
                raise
            await error_response(error, request_id)(scope, receive, response.send)
        finally:
            self._observer.request_done(_endpoint_name(scope), response.status, time.monotonic() - started_s)


class _Response:
    """Passes one response on, and knows how far it got."""

    def __init__(self, send: Send, request_id: str | None) -> None:
        self.status = 500
        self.has_started = False
        self._has_ended = False
        self._send = send
        self._request_id = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started, self.status = True, message["status"]
            if self._request_id is not None:
                MutableHeaders(scope=message)[REQUEST_ID] = self._request_id
        elif message["type"] == "http.response.body":
            self._has_ended = not message.get("more_body", False)
        try:
            await self._send(message)
        except OSError:  # how ASGI servers since version 2.4 of the specification say that the client is gone
            raise ClientDisconnect from None

    def abandon(self) -> None:
        """The client is gone; servers tell that of every response that has ended, too."""
        if not self._has_ended:
            self.status = CLIENT_CLOSED_REQUEST


def _endpoint_name(scope: Scope) -> str:
    return getattr(scope.get("endpoint"), "__name__", "none")


def _request_id(scope: Scope) -> str:
    """The caller's id if it is fit for logs and headers, otherwise a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _USABLE_ID.fullmatch(given) else uuid.uuid4().hex


def log_error(error: Exception, request_id: str) -> None:
    if status_of(error) == 500:
        logger.error("request %s failed", request_id, exc_info=error)
    else:
        logger.info("request %s: %s", request_id, error)

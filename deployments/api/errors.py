"""Errors as JSON in OpenAI's shape, by one table from code to HTTP status."""

from __future__ import annotations

from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployments.api.catalogue import shorten
from pipeline.errors import InvalidRequest, TTSError

RETRY_AFTER_S = 1  # a waiting sequence gets a slot as soon as another ends


class BodyTooLarge(InvalidRequest):
    code = "body_too_large"


class EntryNotFound(TTSError):
    code = "entry_not_found"


class NotReady(TTSError):
    code = "not_ready"


class _Answer(NamedTuple):
    status: int
    type: str
    param: str | None = None  # the field at fault, where the code implies it


_INTERNAL = _Answer(500, "server_error")
_ANSWERS = {
    "invalid_request": _Answer(400, "invalid_request_error"),
    "text_too_long": _Answer(400, "invalid_request_error", "input"),
    "unsupported_format": _Answer(400, "invalid_request_error", "response_format"),
    "voice_not_found": _Answer(404, "invalid_request_error", "voice"),
    "model_not_found": _Answer(404, "invalid_request_error", "model"),
    "entry_not_found": _Answer(404, "invalid_request_error", "word"),
    "body_too_large": _Answer(413, "invalid_request_error"),
    "overloaded": _Answer(429, "rate_limit_error"),
    "not_ready": _Answer(503, "server_error"),
    "lexicon_unavailable": _Answer(503, "server_error"),
    "deadline_exceeded": _Answer(504, "server_error"),
}


def status_of(error: Exception) -> int:
    return _answer_to(error).status


def error_body(error: Exception, request_id: str) -> dict[str, object]:
    """{"error": {...}}. An internal error tells the caller nothing but the id to report it with."""
    answer = _answer_to(error)
    if answer is _INTERNAL or not isinstance(error, TTSError):
        message = f"The request failed because of an internal error. Report it with request id {request_id}."
        return _body(message, answer.type, None, "internal_error")
    return _body(error.message, answer.type, getattr(error, "param", answer.param), error.code)


def error_response(error: Exception, request_id: str) -> JSONResponse:
    status = status_of(error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return JSONResponse(error_body(error, request_id), status, headers)


async def http_exception_response(request: Request, error: Exception) -> Response:
    """What Starlette's router refuses (no such path, method not allowed), in the same shape."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    message = f"{request.method} {shorten(request.scope['path'])}: {error.detail}."
    return JSONResponse(_body(message, "invalid_request_error", None, code), error.status_code, error.headers)


def _answer_to(error: Exception) -> _Answer:
    """By the error's own code, or the nearest base's that the table has."""
    codes = (getattr(base, "code", None) for base in type(error).__mro__)
    return next((_ANSWERS[code] for code in codes if code in _ANSWERS), _INTERNAL)


def _body(message: str, type: str, param: str | None, code: str) -> dict[str, object]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}

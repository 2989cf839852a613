"""The body of a request, from bytes to a checked model: size, encoding, JSON, fields, characters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from deployments.api.catalogue import shorten
from deployments.api.errors import BodyTooLarge
from pipeline.errors import InvalidRequest, TextTooLong

# Halves of surrogate pairs (JSON can spell them), and control characters other than white space.
_NO_TEXT = re.compile("[\ud800-\udfff\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")

Body = TypeVar("Body", bound=BaseModel)


class InvalidField(InvalidRequest):
    """One field of the body, or one parameter, is wrong; `param` is its name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class FieldTooLong(InvalidField, TextTooLong):
    """A text field has too many characters."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Stops reading as soon as the body is over the limit, whether or not the client told its length."""
    declared = request.headers.get("content-length", "")
    body = bytearray()
    is_too_large = declared.isdecimal() and int(declared) > max_bytes
    if not is_too_large:
        async for part in request.stream():
            body += part
            if is_too_large := len(body) > max_bytes:
                break
    if is_too_large:
        raise BodyTooLarge(f"the body has more than {max_bytes} bytes: send the text in parts.")
    return bytes(body)


def parse_body(body: bytes, model: type[Body], noun: str) -> Body:
    """`body` as a `model`, which messages call `noun`. Raises InvalidRequest; InvalidField where one is at fault."""
    fields = _json_object(body, noun)
    for name, value in fields.items():
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise InvalidRequest(f"unknown field {shorten(name)}; {noun} has: {known}.")
        if isinstance(value, str):
            check_characters(name, value)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "missing":
            raise InvalidField(name, f"{name} is missing.") from None
        raise InvalidField(name, f"{name}: {first['msg']}, got {shorten(first['input'])}.") from None


def check_characters(name: str, text: str) -> None:
    if found := _NO_TEXT.search(text):
        kind = "half of a surrogate pair" if found[0] >= "\ud800" else "a control character"
        raise InvalidField(
            name,
            f"{name} has {kind} (\\u{ord(found[0]):04x}) at position {found.start()}, which is no text: remove it.",
        )


def check_text(name: str, text: str, max_length: int) -> None:
    """Raises InvalidField for what is too long or has nothing to speak."""
    if len(text) > max_length:
        raise FieldTooLong(name, f"{name} has {len(text)} characters, the limit is {max_length}: send it in parts.")
    if not text.strip():
        raise InvalidField(name, f"{name} is empty: send some text.")
    if not any(character.isalnum() for character in text):
        raise InvalidField(name, f"{name} {shorten(text)} has nothing to speak: it needs a letter or a digit.")


def _json_object(body: bytes, noun: str) -> dict[str, Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: byte {error.start} is wrong ({error.reason}).") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest(f"the body is not {noun}: its JSON is nested too deeply.") from None
    except ValueError as error:  # an integer with thousands of digits
        raise InvalidRequest(f"the body is not usable JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body must be {noun} as a JSON object, got {shorten(value)}.")
    return value


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise InvalidRequest(f"field {shorten(key)} is given twice: send it once.")
        fields[key] = value
    return fields


def _refuse_constant(name: str) -> None:
    raise InvalidRequest(f"the body is not JSON: {name} is no JSON number.")

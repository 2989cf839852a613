"""The body of a speech request: what OpenAI's clients send, and our additions, checked before any work is done."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deployments.api.catalogue import Catalogue, ModelCard, shorten
from pipeline.audio.encode import FORMATS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from pipeline.errors import InvalidRequest, TextTooLong
from pipeline.types import SpeechRequest

# Halves of surrogate pairs (JSON can spell them), and control characters other than white space.
_NO_TEXT = re.compile("[\ud800-\udfff\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


class InvalidField(InvalidRequest):
    """One field of the body is wrong; `param` is its name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


def _voice_name(value: Any) -> Any:
    return value["id"] if isinstance(value, dict) and value.keys() == {"id"} else value


_VOICE_SCHEMA: dict[str, Any] = {
    "type": ["string", "object"],
    "properties": {"id": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}


class SpeechBody(BaseModel):
    """Text to speak, in which voice, and how the audio comes back."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str | None = Field(None, description="Id of a model; by default the first that the service lists.")
    input: str = Field(description="The text to speak.")
    voice: Annotated[str, BeforeValidator(_voice_name)] = Field(
        description='Name of a voice, also as {"id": name}.', json_schema_extra=_VOICE_SCHEMA
    )
    response_format: str = Field(
        "mp3", description="Container and codec of the audio.", json_schema_extra={"enum": [*FORMATS]}
    )
    speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False, description="Pace; the pitch stays.")
    stream_format: Literal["audio", "sse"] = Field("audio", description="Bare audio, or server-sent events.")
    instructions: str | None = Field(None, description="Must be empty: the model takes no instructions.")
    seed: int | None = Field(None, ge=0, lt=1 << 63, description="Makes the audio reproducible.")
    language: Literal["zh", "en", "ja", "ko", "yue"] | None = Field(
        None, description="Language of text that does not show it itself."
    )
    normalize: bool = Field(True, description="Write out numbers, dates and symbols as they are read.")
    sample_rate: int | None = Field(
        None, ge=MIN_SAMPLE_RATE, le=MAX_SAMPLE_RATE, description="Hz; by default the model's, or the format's next."
    )
    stream: bool = Field(True, description="false: send the audio when it is complete, with its length in the header.")


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """A checked request: what to speak, and how to send it."""

    speech: SpeechRequest
    card: ModelCard
    format: str
    output_rate: int | None  # Hz; None: what suits model and format
    is_streamed: bool
    is_sse: bool


def parse_speech_order(body: bytes, catalogue: Catalogue, max_text_length: int) -> SpeechOrder:
    """Raises InvalidRequest (with `param` where one field is at fault), ModelNotFound, VoiceNotFound, TextTooLong."""
    query = _validated(_json_object(body))
    card = catalogue.find(query.model)
    card.check_voice(query.voice)
    _check_text(query.input, max_text_length)
    _check_meaning(query, card)
    return SpeechOrder(
        speech=SpeechRequest(query.input, query.voice, query.speed, query.seed, query.language, query.normalize),
        card=card,
        format=query.response_format,
        output_rate=query.sample_rate,
        is_streamed=query.stream,
        is_sse=query.stream_format == "sse",
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: byte {error.start} is wrong ({error.reason}).") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("the body is not a speech request: its JSON is nested too deeply.") from None
    except ValueError as error:  # an integer with thousands of digits
        raise InvalidRequest(f"the body is not usable JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"the body must be a JSON object with model, input and voice, got {shorten(value)}.")
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


def _validated(fields: dict[str, Any]) -> SpeechBody:
    for name, value in fields.items():
        if name not in SpeechBody.model_fields:
            known = ", ".join(SpeechBody.model_fields)
            raise InvalidRequest(f"unknown field {shorten(name)}; a speech request has: {known}.")
        if isinstance(value, str):
            _check_characters(name, value)
    try:
        return SpeechBody.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "missing":
            raise InvalidField(name, f"{name} is missing.") from None
        raise InvalidField(name, f"{name}: {first['msg']}, got {shorten(first['input'])}.") from None


def _check_characters(name: str, text: str) -> None:
    if found := _NO_TEXT.search(text):
        kind = "half of a surrogate pair" if found[0] >= "\ud800" else "a control character"
        raise InvalidField(
            name,
            f"{name} has {kind} (\\u{ord(found[0]):04x}) at position {found.start()}, which is no text: remove it.",
        )


def _check_text(text: str, max_text_length: int) -> None:
    if len(text) > max_text_length:
        raise TextTooLong(f"input has {len(text)} characters, the limit is {max_text_length}: send it in parts.")
    if not text.strip():
        raise InvalidField("input", "input is empty: send some text.")
    if not any(character.isalnum() for character in text):
        raise InvalidField("input", f"input {shorten(text)} has nothing to speak: it needs a letter or a digit.")


def _check_meaning(query: SpeechBody, card: ModelCard) -> None:
    if query.instructions and query.instructions.strip():
        raise InvalidField("instructions", f"model {card.id!r} takes no instructions: leave the field out.")
    if query.language is not None and query.language not in card.languages:
        known = ", ".join(card.languages)
        raise InvalidField("language", f"model {card.id!r} does not speak {query.language!r}; it speaks: {known}.")
    if query.stream_format == "sse" and not query.stream:
        raise InvalidField("stream", "stream is false, but stream_format 'sse' streams: choose one of them.")

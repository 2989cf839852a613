"""The OpenAPI 3.1 document of the routes, made from what the service really accepts."""

from __future__ import annotations

from typing import Any

from deployments.api.catalogue import Catalogue
from deployments.api.openapi_parts import (
    ERROR,
    INTEGER,
    STRING,
    STRINGS,
    error_answer,
    failure,
    json_body,
    json_operation,
    list_of,
    object_of,
)
from deployments.api.schema import SpeechBody
from deployments.api.text_openapi import text_paths
from pipeline.audio.encode import FORMATS
from pipeline.config import LimitsConfig

_SPEECH = """Speaks a text. By default the audio is sent while it is still being made: WAV then carries 0xFFFFFFFF as
its lengths and FLAC no number of samples; `stream: false` sends it whole, with true lengths and Content-Length. pcm is
signed 16-bit little-endian mono at the rate that the header X-Sample-Rate tells (OpenAI's is 24000: ask for it with
`sample_rate`). Opus is Ogg Opus. With `stream_format: sse` the events are speech.audio.delta (`audio` is base64 of the
bytes), then speech.audio.done, or error if the speech could not be finished; in `usage`, input tokens are characters
of the text and output tokens are speech tokens. A seed gives the same audio again. Audio that breaks off without the
end of its response is incomplete."""

_SPEECH_FAILURES = ("400", "404", "413", "429", "500", "504")


def openapi_document(
    catalogue: Catalogue, limits: LimitsConfig, max_text_length: int, lexicon_poll_s: float
) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "CosyVoice Serve", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": {
            "/v1/audio/speech": {"post": _speech_operation(catalogue, limits, max_text_length)},
            "/v1/audio/voices": {"get": json_operation("listVoices", "Voices of all models.", list_of(_VOICE))},
            **text_paths(max_text_length, lexicon_poll_s),
            "/v1/models": {"get": json_operation("listModels", "Models of this service.", list_of(_MODEL))},
            "/v1/models/{id}": {"get": _model_operation()},
            "/healthz": {"get": json_operation("healthz", "The process is alive.", _STATUS)},
            "/readyz": {"get": _readyz_operation()},
        },
        "components": {"schemas": {"Error": ERROR}},
    }


def _speech_operation(catalogue: Catalogue, limits: LimitsConfig, max_text_length: int) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    content: dict[str, Any] = {spec.media_type: binary for spec in FORMATS.values()}
    content["text/event-stream"] = {"schema": {"type": "string"}}
    headers = {
        "X-Sample-Rate": {"description": "Hz, of the audio in the body.", "schema": {"type": "integer"}},
        "X-Cache": {
            "description": "Of a request with a seed, where results are kept: hit, or miss.",
            "schema": {"type": "string"},
        },
    }
    return {
        "operationId": "createSpeech",
        "summary": "Speak a text.",
        "description": f"{_SPEECH}\n\nA body has at most {limits.max_body_bytes} bytes.",
        "requestBody": json_body(_speech_schema(catalogue, max_text_length)),
        "responses": {
            "200": {"description": "Audio, or events.", "headers": headers, "content": content},
            **{status: failure(status) for status in _SPEECH_FAILURES},
        },
    }


def _speech_schema(catalogue: Catalogue, max_text_length: int) -> dict[str, Any]:
    schema = SpeechBody.model_json_schema()
    fields = schema["properties"]
    fields["input"] |= {"minLength": 1, "maxLength": max_text_length}
    fields["model"]["examples"] = [card.id for card in catalogue.models]
    fields["voice"]["examples"] = [voice for card in catalogue.models for voice in card.voices]
    return schema


def _model_operation() -> dict[str, Any]:
    parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    operation = json_operation("getModel", "One model.", _MODEL, "404")
    return operation | {"parameters": [parameter]}


def _readyz_operation() -> dict[str, Any]:
    operation = json_operation("readyz", "Every stage can speak.", _STATUS)
    operation["responses"]["503"] = error_answer("Not ready; the message has the reason.")
    return operation


_STATUS = object_of(status=STRING)
_VOICE = object_of(id=STRING, name=STRING, object={"const": "voice"}, model=STRING, languages=STRINGS)
_MODEL = object_of(
    id=STRING,
    object={"const": "model"},
    created=INTEGER,
    owned_by=STRING,
    description=STRING,
    voices=STRINGS,
    languages=STRINGS,
    sample_rate=INTEGER,
)

"""The OpenAPI 3.1 document of the routes, made from what the service really accepts."""

from __future__ import annotations

from typing import Any

from deployments.api.catalogue import Catalogue
from deployments.api.schema import SpeechBody
from pipeline.audio.encode import FORMATS
from pipeline.config import LimitsConfig

_SPEECH = """Speaks a text. By default the audio is sent while it is still being made: WAV then carries 0xFFFFFFFF as
its lengths and FLAC no number of samples; `stream: false` sends it whole, with true lengths and Content-Length. pcm is
signed 16-bit little-endian mono at the rate that the header X-Sample-Rate tells (OpenAI's is 24000: ask for it with
`sample_rate`). Opus is Ogg Opus. With `stream_format: sse` the events are speech.audio.delta (`audio` is base64 of the
bytes), then speech.audio.done, or error if the speech could not be finished; in `usage`, input tokens are characters
of the text and output tokens are speech tokens. A seed gives the same audio again. Audio that breaks off without the
end of its response is incomplete."""

_FAILURES = {
    "400": "The request is wrong; `param` names the field.",
    "404": "No such model or voice.",
    "413": "The body is too large.",
    "429": "All slots and the queue are taken: try again after Retry-After seconds.",
    "500": "An internal error; the message has the request id.",
    "504": "No audio was ready in time.",
}


def openapi_document(catalogue: Catalogue, limits: LimitsConfig, max_text_length: int) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {"title": "CosyVoice Serve", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": {
            "/v1/audio/speech": {"post": _speech_operation(catalogue, limits, max_text_length)},
            "/v1/audio/voices": {"get": _json_operation("listVoices", "Voices of all models.", _list_of(_VOICE))},
            "/v1/models": {"get": _json_operation("listModels", "Models of this service.", _list_of(_MODEL))},
            "/v1/models/{id}": {"get": _model_operation()},
            "/healthz": {"get": _json_operation("healthz", "The process is alive.", _STATUS)},
            "/readyz": {"get": _readyz_operation()},
        },
        "components": {"schemas": {"Error": _ERROR}},
    }


def _speech_operation(catalogue: Catalogue, limits: LimitsConfig, max_text_length: int) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    content: dict[str, Any] = {spec.media_type: binary for spec in FORMATS.values()}
    content["text/event-stream"] = {"schema": {"type": "string"}}
    rate = {"description": "Hz, of the audio in the body.", "schema": {"type": "integer"}}
    return {
        "operationId": "createSpeech",
        "summary": "Speak a text.",
        "description": f"{_SPEECH}\n\nA body has at most {limits.max_body_bytes} bytes.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _speech_schema(catalogue, max_text_length)}},
        },
        "responses": {
            "200": {"description": "Audio, or events.", "headers": {"X-Sample-Rate": rate}, "content": content},
            **{status: _failure(status) for status in _FAILURES},
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
    operation = _json_operation("getModel", "One model.", _MODEL)
    operation["responses"]["404"] = _failure("404")
    return operation | {"parameters": [parameter]}


def _readyz_operation() -> dict[str, Any]:
    operation = _json_operation("readyz", "Every stage can speak.", _STATUS)
    operation["responses"]["503"] = _error_answer("Not ready; the message has the reason.")
    return operation


def _json_operation(name: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    success = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {"operationId": name, "summary": summary, "responses": {"200": success}}


def _failure(status: str) -> dict[str, Any]:
    answer = _error_answer(_FAILURES[status])
    if status == "429":
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return answer


def _error_answer(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return _object(object={"const": "list"}, data={"type": "array", "items": items})


_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_INTEGER = {"type": "integer"}
_STATUS = _object(status=_STRING)
_VOICE = _object(id=_STRING, name=_STRING, object={"const": "voice"}, model=_STRING, languages=_STRINGS)
_MODEL = _object(
    id=_STRING,
    object={"const": "model"},
    created=_INTEGER,
    owned_by=_STRING,
    description=_STRING,
    voices=_STRINGS,
    languages=_STRINGS,
    sample_rate=_INTEGER,
)
_ERROR = _object(
    error=_object(message=_STRING, type=_STRING, param={"type": ["string", "null"]}, code=_STRING),
)

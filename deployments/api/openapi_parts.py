"""The pieces that the operations of the OpenAPI document are made of."""

from __future__ import annotations

from typing import Any

_FAILURES = {
    "400": "The request is wrong; `param` names the field.",
    "404": "No such model, voice or word.",
    "413": "The body is too large.",
    "429": "All slots and the queue are taken: try again after Retry-After seconds.",
    "500": "An internal error; the message has the request id.",
    "504": "No audio was ready in time.",
}


def json_operation(name: str, summary: str, schema: dict[str, Any], *failures: str) -> dict[str, Any]:
    """An operation that answers 200 with JSON, or one of the statuses `failures`."""
    success = {"description": summary, "content": {"application/json": {"schema": schema}}}
    responses = {"200": success, **{status: failure(status) for status in failures}}
    return {"operationId": name, "summary": summary, "responses": responses}


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def failure(status: str) -> dict[str, Any]:
    answer = error_answer(_FAILURES[status])
    if status == "429":
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": INTEGER}}
    return answer


def error_answer(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def object_of(**properties: Any) -> dict[str, Any]:
    """All properties are required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def array_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def list_of(items: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """OpenAI's list object."""
    return object_of(object={"const": "list"}, data=array_of(items), **properties)


STRING = {"type": "string"}
STRINGS = array_of(STRING)
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
BOOLEAN = {"type": "boolean"}
STRING_OR_NULL = {"type": ["string", "null"]}
ERROR = object_of(error=object_of(message=STRING, type=STRING, param=STRING_OR_NULL, code=STRING))

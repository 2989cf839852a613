"""The OpenAPI operations of the text preview and the user lexicon."""

from __future__ import annotations

from typing import Any

from deployments.api.openapi_parts import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    array_of,
    json_body,
    json_operation,
    list_of,
    object_of,
)
from deployments.api.text_schema import DEFAULT_PAGE, MAX_PAGE, EntryBody, PreviewBody
from pipeline.text.lexicon_entry import MAX_VALUE_LENGTH, MAX_WORD_LENGTH

_PREVIEW_TEXT = """Shows what the model would be given for a text, without speaking it: the language of each span, the
text as it is read, and for each piece its tokens and readings with where each reading came from (markup, lexicon: the
user's, common: the shipped words, phrase, model, rule, character, tokenizer)."""

_LEXICON = """A word of the user lexicon is read as its entry says. `pinyin` has one tone-number syllable for each
Chinese character of the word, `phonemes` are ARPAbet for one word of Latin letters, `respelling` is other text to read
in its place. Words in lower case match any capitals. A change is in force in every replica that shares the store
within {poll_s:g} s (`in_force_within_s`)."""

_READING = object_of(text=STRING, reading=STRING_OR_NULL, source=STRING)
_PIECE = object_of(text=STRING, readings=array_of(_READING), symbols=STRINGS, text_ids=array_of(INTEGER))
_PREVIEW = object_of(
    object={"const": "text.preview"},
    text=STRING,
    spans=array_of(object_of(text=STRING, language=STRING)),
    normalized=STRING,
    pieces=array_of(_PIECE),
)
_ENTRY_FIELDS: dict[str, Any] = {
    "object": {"const": "lexicon.entry"},
    "word": STRING,
    "kind": {"enum": ["pinyin", "phonemes", "respelling"]},
    "value": STRING,
}
_ENTRY = object_of(**_ENTRY_FIELDS)
_PAGE = list_of(_ENTRY, has_more=BOOLEAN)
_STORED = object_of(**_ENTRY_FIELDS, in_force_within_s=NUMBER)
_DELETED = object_of(object={"const": "lexicon.entry"}, word=STRING, deleted={"const": True}, in_force_within_s=NUMBER)


def text_paths(max_text_length: int, lexicon_poll_s: float) -> dict[str, Any]:
    description = {"description": _LEXICON.format(poll_s=lexicon_poll_s)}
    return {
        "/v1/text/preview": {"post": _preview_operation(max_text_length)},
        "/v1/lexicon": {"get": _list_operation() | description},
        "/v1/lexicon/{word}": {
            "parameters": [_parameter("word", "path", {"type": "string", "maxLength": MAX_WORD_LENGTH})],
            "get": json_operation("getLexiconEntry", "The entry of a word.", _ENTRY, "400", "404", "500"),
            "put": _put_operation() | description,
            "delete": json_operation("deleteLexiconEntry", "Forget a word.", _DELETED, "400", "404", "500"),
        },
    }


def _preview_operation(max_text_length: int) -> dict[str, Any]:
    schema = PreviewBody.model_json_schema()
    for name in ("text", "input"):
        schema["properties"][name] = {
            "type": "string",
            "minLength": 1,
            "maxLength": max_text_length,
            "description": schema["properties"][name]["description"],
        }
    operation = json_operation("previewText", "How a text will be read.", _PREVIEW, "400", "413", "429", "500")
    return operation | {"description": _PREVIEW_TEXT, "requestBody": json_body(schema)}


def _list_operation() -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE}
    operation = json_operation("listLexicon", "The user's words, by code point.", _PAGE, "400", "500")
    return operation | {"parameters": [_parameter("after", "query", STRING), _parameter("limit", "query", limit)]}


def _put_operation() -> dict[str, Any]:
    schema = EntryBody.model_json_schema()
    schema["properties"]["value"] |= {"minLength": 1, "maxLength": MAX_VALUE_LENGTH}
    operation = json_operation("putLexiconEntry", "Say how a word is read.", _STORED, "400", "413", "500")
    return operation | {"requestBody": json_body(schema)}


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    description = {"after": "The last word of the page before.", "limit": "Entries of a page.", "word": "As written."}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description[name],
        "schema": schema,
    }

"""How a text will be read, and the words that are read otherwise: the preview and the user lexicon over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployments.api.body import check_characters, check_text, parse_body, read_body
from deployments.api.catalogue import Catalogue, shorten
from deployments.api.errors import EntryNotFound
from deployments.api.schema import check_language
from deployments.api.text_schema import EntryBody, PreviewBody, parse_page
from pipeline.config import LimitsConfig
from pipeline.text.lexicon_entry import Entry, normal_form
from pipeline.text.preview import Preview


class TextStage(Protocol):
    """The text frontend, here or across Ray. Every method raises TTSError."""

    async def preview(self, text: str, language: str | None, normalize: bool) -> Preview: ...

    async def lexicon_entries(self, after: str, limit: int) -> Sequence[Entry]:
        """By code point, those that sort after the word `after`."""
        ...

    async def lexicon_entry(self, word: str) -> Entry | None: ...

    async def put_lexicon_entry(self, entry: Entry) -> None: ...

    async def delete_lexicon_entry(self, word: str) -> bool:
        """Whether there was such an entry."""
        ...


class PreviewText:
    """POST /v1/text/preview. Refuses what a speech request with this text would be refused for."""

    def __init__(self, stage: TextStage, catalogue: Catalogue, limits: LimitsConfig, max_text_length: int) -> None:
        self._stage = stage
        self._catalogue = catalogue
        self._limits = limits
        self._max_text_length = max_text_length

    async def preview_text(self, request: Request) -> Response:
        query = parse_body(await read_body(request, self._limits.max_body_bytes), PreviewBody, "a preview request")
        name, text = query.named_text()
        check_text(name, text, self._max_text_length)
        check_language(query.language, self._catalogue.find(None))
        preview = await self._stage.preview(text, query.language, query.normalize)
        return JSONResponse({"object": "text.preview", **asdict(preview)})


class Lexicon:
    """The user lexicon: /v1/lexicon and /v1/lexicon/{word}."""

    def __init__(self, stage: TextStage, limits: LimitsConfig, poll_s: float) -> None:
        self._stage = stage
        self._limits = limits
        self._poll_s = poll_s
        self._methods = {"GET": self._get, "HEAD": self._get, "PUT": self._put, "DELETE": self._delete}

    async def list_lexicon(self, request: Request) -> Response:
        after, limit = parse_page(request.query_params)
        found = await self._stage.lexicon_entries(after, limit + 1)
        data = [_entry_json(entry) for entry in found[:limit]]
        return JSONResponse({"object": "list", "data": data, "has_more": len(found) > limit})

    async def lexicon_entry(self, request: Request) -> Response:
        check_characters("word", word := request.path_params["word"])
        return await self._methods[request.method](request, normal_form(word))

    async def _get(self, request: Request, word: str) -> Response:
        entry = await self._stage.lexicon_entry(word)
        if entry is None:
            raise _not_found(word)
        return JSONResponse(_entry_json(entry))

    async def _put(self, request: Request, word: str) -> Response:
        query = parse_body(await read_body(request, self._limits.max_body_bytes), EntryBody, "a lexicon entry")
        entry = Entry.checked(word, query.kind, query.value)
        await self._stage.put_lexicon_entry(entry)
        return JSONResponse(_entry_json(entry) | {"in_force_within_s": self._poll_s})

    async def _delete(self, request: Request, word: str) -> Response:
        if not await self._stage.delete_lexicon_entry(word):
            raise _not_found(word)
        deleted = {"object": "lexicon.entry", "word": word, "deleted": True, "in_force_within_s": self._poll_s}
        return JSONResponse(deleted)


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {"object": "lexicon.entry", **asdict(entry)}


def _not_found(word: str) -> EntryNotFound:
    return EntryNotFound(f"the user lexicon has no word {shorten(word)}: GET /v1/lexicon lists those it has.")

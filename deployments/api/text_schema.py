"""What the preview and the lexicon accept: bodies, and the page of a list."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from deployments.api.body import InvalidField, check_characters
from deployments.api.catalogue import shorten
from deployments.api.schema import Language
from pipeline.errors import InvalidRequest
from pipeline.text.lexicon_entry import Kind

DEFAULT_PAGE, MAX_PAGE = 100, 1000


class PreviewBody(BaseModel):
    """A text to look at, as `text` or, like a speech request, as `input`."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["input"]}]},
    )

    text: str | None = Field(None, description="The text to read.")
    input: str | None = Field(None, description="The same under the name that speech requests give it.")
    language: Language | None = Field(None, description="Language of text that does not show it itself.")
    normalize: bool = Field(True, description="Write out numbers, dates and symbols as they are read.")

    def named_text(self) -> tuple[str, str]:
        """Which field has the text, and the text."""
        if self.text is not None and self.input is not None:
            raise InvalidField("input", "text and input are the same field: send one of them.")
        if self.input is not None:
            return "input", self.input
        if self.text is None:
            raise InvalidField("text", "text is missing.")
        return "text", self.text


class EntryBody(BaseModel):
    """How a word is read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    kind: Kind = Field(description="What `value` is: tone-number pinyin, ARPAbet phones, or text to read instead.")
    value: str = Field(description="Such as `chong2 qing4`, `N JH IH1 N K S` or `A I`.")


def parse_page(parameters: Mapping[str, str]) -> tuple[str, int]:
    """The query's `after` and `limit`. Raises InvalidRequest; InvalidField where one is at fault."""
    for name in parameters:
        if name not in ("after", "limit"):
            raise InvalidRequest(f"unknown parameter {shorten(name)}; a list takes: after, limit.")
    check_characters("after", after := parameters.get("after", ""))
    limit = parameters.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 9 and 1 <= int(limit) <= MAX_PAGE):
        raise InvalidField("limit", f"limit must be a whole number from 1 to {MAX_PAGE}, got {shorten(limit)}.")
    return after, int(limit)

"""The body of a speech request: what OpenAI's clients send, and our additions, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from deployments.api.body import InvalidField, check_text, parse_body
from deployments.api.catalogue import Catalogue, ModelCard
from pipeline.audio.encode import FORMATS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from pipeline.types import SpeechRequest

Language = Literal["zh", "en", "ja", "ko", "yue"]


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
    language: Language | None = Field(None, description="Language of text that does not show it itself.")
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
    query = parse_body(body, SpeechBody, "a speech request")
    card = catalogue.find(query.model)
    card.check_voice(query.voice)
    check_text("input", query.input, max_text_length)
    _check_meaning(query, card)
    return SpeechOrder(
        speech=SpeechRequest(query.input, query.voice, query.speed, query.seed, query.language, query.normalize),
        card=card,
        format=query.response_format,
        output_rate=query.sample_rate,
        is_streamed=query.stream,
        is_sse=query.stream_format == "sse",
    )


def _check_meaning(query: SpeechBody, card: ModelCard) -> None:
    if query.instructions and query.instructions.strip():
        raise InvalidField("instructions", f"model {card.id!r} takes no instructions: leave the field out.")
    check_language(query.language, card)
    if query.stream_format == "sse" and not query.stream:
        raise InvalidField("stream", "stream is false, but stream_format 'sse' streams: choose one of them.")


def check_language(language: str | None, card: ModelCard) -> None:
    if language is not None and language not in card.languages:
        known = ", ".join(card.languages)
        raise InvalidField("language", f"model {card.id!r} does not speak {language!r}; it speaks: {known}.")

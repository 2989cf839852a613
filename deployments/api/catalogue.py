"""What the service can speak: models and their voices, as the API lists them."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import Repr
from typing import Any

from pipeline.errors import ModelNotFound, VoiceNotFound

_QUOTE = Repr()
_QUOTE.maxstring = 80
_QUOTE.maxlevel = 2


@dataclass(frozen=True, slots=True)
class ModelCard:
    id: str
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    sample_rate: int  # Hz, of the audio that the synthesizer yields
    token_rate: float  # speech tokens per second of audio
    created: int = 0  # Unix time, s
    description: str = ""

    def as_json(self) -> dict[str, Any]:
        """OpenAI's model object, and what a speech client needs besides."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "cosyvoice-serve",
            "description": self.description,
            "voices": list(self.voices),
            "languages": list(self.languages),
            "sample_rate": self.sample_rate,
        }

    def check_voice(self, name: str) -> None:
        if name not in self.voices:
            raise VoiceNotFound(
                f"voice {shorten(name)} does not exist; model {self.id!r} has: {', '.join(self.voices)}."
            )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """At least one model; the first is spoken with when a request names none."""

    models: tuple[ModelCard, ...]

    def find(self, model_id: str | None) -> ModelCard:
        if model_id is None:
            return self.models[0]
        for card in self.models:
            if card.id == model_id:
                return card
        known = ", ".join(card.id for card in self.models)
        raise ModelNotFound(f"model {shorten(model_id)} does not exist; this service has: {known}.")

    def models_as_json(self) -> dict[str, Any]:
        return {"object": "list", "data": [card.as_json() for card in self.models]}

    def voices_as_json(self) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [
                {"id": voice, "name": voice, "object": "voice", "model": card.id, "languages": list(card.languages)}
                for card in self.models
                for voice in card.voices
            ],
        }


def shorten(value: object) -> str:
    """How an error message quotes what a caller sent: printable, on one line, and neither long nor deep."""
    return _QUOTE.repr(value)

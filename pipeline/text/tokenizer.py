"""The seam between text and model: what a tokenizer does, and which one a bundle's manifest names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pipeline.runtime.bundle import Bundle
from pipeline.text.phoneme import PhonemeTokenizer
from pipeline.text.readings import Reading
from pipeline.text.whisper_bpe import WhisperTokenizer


class Tokenizer(Protocol):
    @property
    def takes_readings(self) -> bool:
        """Whether `encode` speaks given readings; otherwise words are respelled before they get here."""
        ...

    def encode(self, text: str, readings: Sequence[Reading] | None = None) -> list[int]:
        """Ids of normalized text, empty where the model has no sound for it. `readings` is one per character."""
        ...

    def symbols(self, text: str, readings: Sequence[Reading] | None = None) -> list[str]:
        """What the ids stand for, to look at."""
        ...


TOKENIZERS: Mapping[str, Callable[[Path], Tokenizer]] = MappingProxyType(
    {"phoneme": PhonemeTokenizer.open, "whisper-bpe": WhisperTokenizer.open}
)


def make_tokenizer(bundle: Bundle) -> Tokenizer:
    """The tokenizer that the bundle's manifest names, from the files in its folder."""
    return TOKENIZERS[bundle.manifest.tokenizer](bundle.path)

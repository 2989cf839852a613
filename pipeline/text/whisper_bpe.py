"""Whisper's multilingual byte-pair encoding, the tokenizer of official CosyVoice-300M checkpoints."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BundleError
from pipeline.text.readings import Reading

if TYPE_CHECKING:
    import tiktoken

RANKS_FILE = "whisper.tiktoken"

# GPT-2's pre-tokenizer, which Whisper shares (openai/whisper, whisper/tokenizer.py, MIT).
_PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


class WhisperTokenizer:
    """Text to byte-pair ids. Whisper's special tokens do not exist here: `<|endoftext|>` is ordinary text.

    It takes characters, so readings act by respelling before it.
    """

    takes_readings = False

    def __init__(self, ranks: dict[bytes, int]) -> None:
        self._encoding = _encoding(ranks)

    @classmethod
    def open(cls, folder: Path) -> WhisperTokenizer:
        return cls(read_ranks(folder / RANKS_FILE))

    def encode(self, text: str, readings: Sequence[Reading] | None = None) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def symbols(self, text: str, readings: Sequence[Reading] | None = None) -> list[str]:
        """The bytes of each id; a character that is cut between two ids shows as U+FFFD."""
        ids = self.encode(text, readings)
        return [self._encoding.decode_single_token_bytes(index).decode("utf-8", "replace") for index in ids]


def _encoding(ranks: dict[bytes, int]) -> tiktoken.Encoding:
    import tiktoken

    return tiktoken.Encoding("whisper", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})


def read_ranks(file: Path) -> dict[bytes, int]:
    """Merge ranks from lines of `base64 rank`. tiktoken's own loader would write a copy into a cache folder."""
    if not file.is_file():
        raise BundleError(f"{file} is missing: export the bundle again.")
    try:
        pairs = (line.split() for line in file.read_bytes().splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}
    except (ValueError, binascii.Error) as error:
        raise BundleError(f"{file} is damaged ({error}): export the bundle again.") from None

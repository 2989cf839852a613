"""Finds the tokenizer files of a checkpoint and writes them into a bundle."""

from __future__ import annotations

import gzip
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pipeline.errors import BundleError
from pipeline.text.phoneme import TOKENS_FILE
from pipeline.text.whisper_bpe import RANKS_FILE, read_ranks

WHISPER_SIZE = 51866  # text tokens of the official 300M models: Whisper's ranks and special tokens
UNITS_FILE = "units.json"  # what the speech tokens stand for, where a model's recipe knows it
_SPOKEN = ("zh", "en", "ja", "yue", "ko")
SHIPPED_RANKS = "multilingual.tiktoken.gz"  # openai-whisper's file (MIT)


def tokenizer_of(checkpoint_dir: Path) -> Literal["whisper-bpe", "phoneme"]:
    """A checkpoint with a table of text symbols takes phonemes; official ones have none and take byte pairs."""
    return "phoneme" if (checkpoint_dir / TOKENS_FILE).is_file() else "whisper-bpe"


def languages_of(checkpoint_dir: Path) -> tuple[str, ...]:
    """Those with symbols of their own in the table of a phoneme tokenizer."""
    symbols = (checkpoint_dir / TOKENS_FILE).read_text("utf-8").splitlines()
    prefixes = dict.fromkeys(symbol.partition(":")[0] for symbol in symbols if ":" in symbol)
    return tuple(language for language in _SPOKEN if language in prefixes)


def write_tokenizer_files(
    checkpoint_dir: Path, bundle_dir: Path, *, num_text_tokens: int, ranks: Path | None = None
) -> None:
    """Writes what the tokenizer needs.

    Args:
        ranks: a tiktoken file; None takes the one in the checkpoint folder, else Whisper's.

    Raises:
        BundleError: the ranks do not fit the model, or a model with another vocabulary came without them.
    """
    if tokenizer_of(checkpoint_dir) == "phoneme":
        for name in (TOKENS_FILE, UNITS_FILE):
            if (checkpoint_dir / name).is_file():
                shutil.copyfile(checkpoint_dir / name, bundle_dir / name)
        return
    source = ranks or next(iter(sorted(checkpoint_dir.glob("*.tiktoken"))), None)
    if source is not None:
        _check(source, num_text_tokens)
        shutil.copyfile(source, bundle_dir / RANKS_FILE)
    elif num_text_tokens <= WHISPER_SIZE:
        packed = files("pipeline.export").joinpath("data", SHIPPED_RANKS).read_bytes()
        (bundle_dir / RANKS_FILE).write_bytes(gzip.decompress(packed))
    else:
        raise BundleError(
            f"{checkpoint_dir} has {num_text_tokens} text tokens, more than Whisper's tokenizer ({WHISPER_SIZE}): name "
            "its own tiktoken file with `--ranks FILE` (CosyVoice-300M-25Hz: multilingual_zh_ja_yue_char_del.tiktoken)."
        )


def _check(file: Path, num_text_tokens: int) -> None:
    ranks = read_ranks(file)
    if not ranks or max(ranks.values()) >= num_text_tokens:
        raise BundleError(
            f"{file} has ranks up to {max(ranks.values(), default=0)}, the model knows {num_text_tokens} text tokens: "
            "give the file that belongs to this checkpoint."
        )

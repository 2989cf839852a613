"""Finds the tokenizer files of a checkpoint and copies them into a bundle."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Literal

from pipeline.errors import BundleError
from pipeline.runtime.bundle import sha256_of
from pipeline.text.phoneme import TOKENS_FILE
from pipeline.text.whisper_bpe import RANKS_FILE, RANKS_SHA256

_ASSET = "multilingual.tiktoken"  # its name in openai-whisper's package
_CURE = "install it with `pip install --no-deps openai-whisper`, or name the file with `--ranks FILE`"


def tokenizer_of(checkpoint_dir: Path) -> Literal["whisper-bpe", "phoneme"]:
    """A checkpoint with a table of text symbols takes phonemes; official ones have none and take Whisper's BPE."""
    return "phoneme" if (checkpoint_dir / TOKENS_FILE).is_file() else "whisper-bpe"


def copy_tokenizer_files(checkpoint_dir: Path, bundle_dir: Path, whisper_ranks: Path | None = None) -> None:
    if tokenizer_of(checkpoint_dir) == "phoneme":
        shutil.copyfile(checkpoint_dir / TOKENS_FILE, bundle_dir / TOKENS_FILE)
    else:
        shutil.copyfile(find_whisper_ranks(checkpoint_dir, whisper_ranks), bundle_dir / RANKS_FILE)


def find_whisper_ranks(checkpoint_dir: Path, explicit: Path | None = None) -> Path:
    """The ranks file that was named, else the checkpoint's own, else openai-whisper's; verified by its sha256."""
    if explicit is not None:
        candidates = [explicit]
    else:
        candidates = [checkpoint_dir / RANKS_FILE, checkpoint_dir / _ASSET, *_installed_assets()]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        looked = ", ".join(map(str, candidates))
        raise BundleError(f"Whisper's tokenizer file is not there (looked at {looked}): {_CURE}.")
    if (digest := sha256_of(file)) != RANKS_SHA256:
        raise BundleError(f"{file} is not Whisper's multilingual tokenizer file (its sha256 is {digest}): {_CURE}.")
    return file


def _installed_assets() -> list[Path]:
    """Looks the package up without importing it: that would import torch and more."""
    spec = importlib.util.find_spec("whisper")
    folders = spec.submodule_search_locations if spec is not None else None
    return [Path(folder) / "assets" / _ASSET for folder in folders or ()]

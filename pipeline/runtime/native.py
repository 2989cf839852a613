"""The operators of pipeline/native: where their library is, if it was compiled and this CPU computes them."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "native"


@cache
def library() -> Path | None:
    """A library of operators for ONNX Runtime. None without a compiler at installation, or AVX-512 with VNNI now."""
    files = (FOLDER / f"_ops{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((file for file in files if file.is_file() and is_supported(file)), None)


def is_supported(file: Path) -> bool:
    """Whether a library of operators loads on this system and runs on this CPU."""
    try:
        return bool(ctypes.CDLL(str(file)).cosyvoice_ops_supported())
    except (OSError, AttributeError):  # compiled for another system
        return False

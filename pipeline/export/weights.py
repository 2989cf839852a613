"""Reads the .pt files of a checkpoint: plain tensors only, whole, finite and of the shapes that the yaml asks for."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import BundleError

LFS_POINTER = b"version https://git-lfs"
TORCHSCRIPT_ENTRY = "/constants.pkl"
MAX_NAMED = 3  # offending tensors that an error lists

_UNSAFE = re.compile("[Uu]nsupported (global|class)|unrecognized function")  # what weights_only says when it refuses

Weights = dict[str, Tensor]


def read_pickle(file: Path) -> Any:
    """What torch.save wrote, running nothing from it. Raises BundleError naming the file and the cure."""
    _check_stored(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _UNSAFE.search(str(error)):
            raise BundleError(
                f"{file} holds more than tensors, and loading it could run code: use the file of the official "
                "release, or save the state dict alone (torch.save(model.state_dict(), ...))."
            ) from None
        raise _damaged(file, error) from None
    except Exception as error:  # a damaged file can fail anywhere in the unpickler
        raise _damaged(file, error) from None


def _check_stored(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            head = stream.read(len(LFS_POINTER))
        if head == LFS_POINTER:
            raise BundleError(f"{file} is a git-lfs pointer, not the weights: run `git lfs pull` in {file.parent}.")
        if not head:
            raise BundleError(f"{file} is empty: download it again.")
        if zipfile.is_zipfile(file):
            _check_archive(file)
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}): check its permissions and the disk.") from None


def _check_archive(file: Path) -> None:
    """Checksums, which torch does not verify, at about a gigabyte a second; and that there is no program inside."""
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
            is_program = any(name.endswith(TORCHSCRIPT_ENTRY) for name in archive.namelist())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(file, error) from None
    if broken is not None:
        raise BundleError(f"{file} is corrupted ({broken} has a wrong checksum): download it again.")
    if is_program:
        raise BundleError(f"{file} is a TorchScript program: use the official weights of that name.")


def _damaged(file: Path, error: Exception) -> BundleError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return BundleError(f"{file} is truncated or corrupted ({reason}): download it again.")


def read_weights(file: Path) -> Weights:
    """The state dict in `file`, as f32."""
    weights = read_pickle(file)
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights):
        raise BundleError(f"{file} holds no state dict: use the file of the official release.")
    wrong = [name for name, value in weights.items() if not _is_dense_float(value)]
    if wrong:
        raise BundleError(
            f"{file} holds entries that are no dense float tensors ({_some(wrong)}): save the state dict alone, "
            "without training counters or optimizer state."
        )
    return {name: value.detach().float().contiguous() for name, value in weights.items()}


def _is_dense_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.layout is torch.strided


def vocoder_names(weights: Weights) -> Weights:
    """The vocoder's tensors under today's names.

    A vocoder saved with its discriminators has the prefix `generator.`; older torch calls the two halves of a
    normalized weight `weight_g` and `weight_v`.
    """
    prefix = "generator."
    if any(name.startswith(prefix) for name in weights):
        weights = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    return {_parametrized(name): value for name, value in weights.items()}


def _parametrized(name: str) -> str:
    module, _, parameter = name.rpartition(".")
    half = {"weight_g": "original0", "weight_v": "original1"}.get(parameter)
    return f"{module}.parametrizations.weight.{half}" if half else name


def load_weights(module: nn.Module, weights: Weights, file: Path) -> None:
    """Gives `module` exactly these weights. Raises BundleError where names, shapes or values are wrong."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    _check_names(expected, weights, file)
    wrong = [
        f"{name}: cosyvoice.yaml says {list(shape)}, {file.name} has {list(weights[name].shape)}"
        for name, shape in expected.items()
        if tuple(weights[name].shape) != shape
    ]
    if wrong:
        raise BundleError(
            f"{file} does not fit cosyvoice.yaml beside it ({_some(wrong)}): take both from the same release."
        )
    broken = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise BundleError(f"{file} has NaN or infinite weights ({_some(broken)}): download it again.")
    try:
        module.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise _damaged(file, error) from None


def _check_names(expected: Mapping[str, object], weights: Weights, file: Path) -> None:
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    problems = [f"{label} {_some(names)}" for label, names in (("lacks", missing), ("also has", unknown)) if names]
    if problems:
        raise BundleError(
            f"{file} does not fit cosyvoice.yaml beside it ({'; '.join(problems)}): take both from the same "
            "CosyVoice-300M release."
        )


def _some(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return "; ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")

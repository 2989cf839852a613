"""Makes what the benchmark measures: a checkpoint in the official format with random weights, and its bundle.

Random weights cost what trained ones cost, but say nothing: their output is never written as audio.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pipeline.bench.dimensions import Size, config_text
from pipeline.build import BUNDLED_PATH
from pipeline.export.checkpoint import CONFIG, VOICES
from pipeline.export.export import export
from pipeline.model.config import read_config
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import HiFTGenerator
from pipeline.model.lm import TransformerLM
from pipeline.runtime.bundle import Precision
from pipeline.text.phoneme import TOKENS_FILE

Progress = Callable[[str], None]

SEED = 300
VOICE = "random"
MEAN_F0_HZ = 150.0  # voiced, so that the source makes its sines as it does for speech
_PACKAGE = Path(__file__).parents[1]
_EXPORTER = ("export", "model", "runtime/bundle.py")  # what decides how a bundle comes out


@dataclass(frozen=True, slots=True)
class BenchModel:
    """Where the random checkpoint and its bundle lie."""

    checkpoint: Path
    bundle: Path


def prepare(size: Size, workdir: Path, precisions: Sequence[Precision], *, progress: Progress = print) -> BenchModel:
    """Checkpoint and bundle in `workdir`, made unless they are there.

    A bundle is made again when the code that exports it has changed; the older one is removed.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoint = _checkpoint(size, workdir, progress)
    name = f"{size}-bundle-"
    bundle = workdir / f"{name}{_digest(config_text(size), *precisions, *_exporter_sources())}"
    if not bundle.exists():
        export(checkpoint, bundle, precisions=precisions, name=f"random-{size}", progress=progress)
        for older in workdir.glob(f"{name}*"):
            if older != bundle:
                shutil.rmtree(older)
    return BenchModel(checkpoint, bundle)


def _checkpoint(size: Size, workdir: Path, progress: Progress) -> Path:
    text = config_text(size)
    target = workdir / f"{size}-checkpoint-{_digest(text, str((SEED, MEAN_F0_HZ)))}"
    if not target.exists():
        progress(f"making random weights of size {size} in {target}")
        with _new_folder(target) as folder:
            _write_checkpoint(text, folder, size)
    return target


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears as `target` once it is complete."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_checkpoint(text: str, folder: Path, size: Size) -> None:
    (folder / CONFIG).write_text(text, "utf-8")
    config = read_config(folder / CONFIG)
    torch.manual_seed(SEED)
    _save(TransformerLM(config.lm), folder / "llm.pt")
    _save(MaskedDiffWithXvec(config.flow), folder / "flow.pt")
    hift = HiFTGenerator(config.hift)
    nn.init.constant_(hift.f0_predictor.classifier.bias, MEAN_F0_HZ)
    _save(hift, folder / "hift.pt")
    torch.save({VOICE: {"embedding": torch.randn(1, config.lm.speaker_size)}}, folder / VOICES)
    if size == "tiny":
        shutil.copyfile(BUNDLED_PATH / TOKENS_FILE, folder / TOKENS_FILE)


def _save(module: nn.Module, file: Path) -> None:
    torch.save(module.state_dict(), file)


def _exporter_sources() -> Iterator[str]:
    for name in _EXPORTER:
        path = _PACKAGE / name
        for file in [path] if path.is_file() else sorted(path.glob("*.py")):
            yield file.read_text("utf-8")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]

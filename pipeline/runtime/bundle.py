"""A bundle: the folder that serving loads. `manifest.json` describes it, ONNX graphs compute it.

`manifest.json` is written last and the folder appears under its final name in one rename, so that a killed export
leaves nothing that loads.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import BundleError, VoiceNotFound
from pipeline.types import Profile, Prompt, Voice

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
VOICES = "voices.npz"

GraphName = Literal["lm_prefix", "lm_tables", "lm", "flow_encoder", "flow_estimator", "f0_predictor", "vocoder"]
Precision = Literal["fp32", "int8", "int4"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingSpec(_Spec):
    """Repetition-aware sampling, VALL-E 2 (arXiv 2406.05370), section 4.2."""

    top_p: float = 0.8
    top_k: int = 25
    window: int = 10
    tau_r: float = 0.1


class LMSpec(_Spec):
    """Dimensions of the speech-token language model. The end token's id is `num_speech_tokens`."""

    num_layers: int
    num_heads: int
    head_dim: int  # as the KV cache stores it: padded up to a multiple of 8
    hidden_size: int
    num_text_tokens: int
    num_speech_tokens: int
    speaker_size: int
    sampling: SamplingSpec = SamplingSpec()
    min_speech_per_text: float = 2.0
    max_speech_per_text: float = 20.0


class FlowSpec(_Spec):
    """Conditional flow matching from noise (t = 0) to a mel spectrogram (t = 1)."""

    mel_bins: int = 80
    mel_hop: int = 256  # samples between mel frames; the official code fixes it, whatever the vocoder makes of a frame
    num_steps: int = 10
    schedule: Literal["cosine", "linear"] = "cosine"
    guidance: float = 0.7  # classifier-free guidance rate; 0 evaluates the conditional half alone
    profile: Profile = "exact"  # how the flow is solved where the configuration does not say


class VocoderSpec(_Spec):
    """HiFT: harmonic source + filter. `context_frames` is one side of the decoder's receptive field, in mel frames."""

    hop_length: int  # samples per mel frame
    num_harmonics: int  # sines: the fundamental and its overtones, so nb_harmonics + 1
    sine_amplitude: float
    noise_std: float
    voiced_threshold_hz: float
    harmonic_weights: tuple[float, ...]  # the linear layer that merges the sines
    harmonic_bias: float
    context_frames: int
    f0_context_frames: int


class FileInfo(_Spec):
    sha256: str
    size: int


class Manifest(_Spec):
    format_version: int = FORMAT_VERSION
    name: str
    description: str = ""
    sample_rate: int = 22050
    token_rate: float  # speech tokens per second
    languages: tuple[str, ...]
    tokenizer: Literal["whisper-bpe", "phoneme"]
    lm: LMSpec
    flow: FlowSpec
    vocoder: VocoderSpec
    voices: tuple[str, ...]
    graphs: dict[Precision, dict[GraphName, str]]
    files: dict[str, FileInfo] = Field(default_factory=dict)
    source: dict[str, Any] = Field(default_factory=dict)

    def num_mel_frames(self, num_tokens: int) -> int:
        """Mel frames of the first `num_tokens` tokens, truncated as the official inference does."""
        return int(num_tokens / self.token_rate * self.sample_rate / self.flow.mel_hop)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. `open` checks names and sizes; `verify` also checks every sha256."""

    path: Path
    manifest: Manifest
    prepared_in: tuple[Path, ...] = ()  # where its graphs are kept as this machine computes them, first choice first
    is_lowered: bool = True  # whether pipeline/native computes what it can of them, where this CPU has its operators

    @classmethod
    def open(cls, path: str | Path, prepared_in: Sequence[Path] = (), *, is_lowered: bool = True) -> Bundle:
        folder = Path(path)
        manifest_path = folder / MANIFEST
        if not manifest_path.is_file():
            raise BundleError(
                f"{folder} is no bundle: it has no {MANIFEST}. "
                f"Make one with `cosyvoice-serve export CHECKPOINT_DIR {folder}`."
            )
        try:
            raw = json.loads(manifest_path.read_text("utf-8"))
        except ValueError as error:
            raise BundleError(f"{manifest_path} is damaged ({error}): export the bundle again.") from None
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            raise BundleError(
                f"{manifest_path} has format version {version}, this release reads {FORMAT_VERSION}: export again."
            )
        try:
            bundle = cls(folder, Manifest.model_validate(raw), tuple(prepared_in), is_lowered)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise BundleError(f"{manifest_path}: {where}: {first['msg']}. Export the bundle again.") from None
        for name, info in bundle.manifest.files.items():
            bundle._check_size(name, info)
        return bundle

    def _check_size(self, name: str, info: FileInfo) -> None:
        file = self.path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing: copy the bundle again or export it again.")
        if (size := file.stat().st_size) != info.size:
            raise BundleError(f"{file} has {size} bytes, its manifest says {info.size}: copy the bundle again.")

    def verify(self) -> None:
        for name, info in self.manifest.files.items():
            if sha256_of(self.path / name) != info.sha256:
                raise BundleError(f"{self.path / name} is corrupted (sha256 differs): copy the bundle again.")

    def graph(self, name: GraphName, precision: Precision) -> Path:
        graphs = self.manifest.graphs
        if precision not in graphs:
            raise BundleError(
                f"bundle {self.path} has no precision {precision!r}, only {', '.join(graphs)}: "
                f"export it with `--precision {precision}`."
            )
        return self.path / graphs[precision][name]

    @cached_property
    def voices(self) -> dict[str, Voice]:
        with np.load(self.path / VOICES, allow_pickle=False) as arrays:
            return {name: _read_voice(name, index, arrays) for index, name in enumerate(self.manifest.voices)}

    def voice(self, name: str) -> Voice:
        if name not in self.voices:
            known = ", ".join(self.voices)
            raise VoiceNotFound(f"voice {name!r} does not exist; model {self.manifest.name!r} has: {known}.")
        return self.voices[name]


def _read_voice(name: str, index: int, arrays: Mapping[str, Any]) -> Voice:
    prompt = None
    if f"{index}.prompt_text_ids" in arrays:
        prompt = Prompt(
            arrays[f"{index}.prompt_text_ids"],
            arrays[f"{index}.prompt_speech_tokens"],
            arrays[f"{index}.prompt_mel"],
        )
    return Voice(name, arrays[f"{index}.embedding"], prompt)


def write_voices(folder: Path, voices: list[Voice]) -> None:
    """Stores the voices as plain arrays, keyed by their index in the manifest's list."""
    arrays: dict[str, Any] = {}
    for index, voice in enumerate(voices):
        arrays[f"{index}.embedding"] = voice.embedding.astype(np.float32)
        if voice.prompt is not None:
            arrays[f"{index}.prompt_text_ids"] = voice.prompt.text_ids.astype(np.int64)
            arrays[f"{index}.prompt_speech_tokens"] = voice.prompt.speech_tokens.astype(np.int64)
            arrays[f"{index}.prompt_mel"] = voice.prompt.mel.astype(np.float32)
    np.savez(folder / VOICES, **arrays)


@contextmanager
def new_bundle(path: str | Path) -> Iterator[Path]:
    """A folder beside `path` to write into; on success it becomes `path`, replacing an older bundle there."""
    target = Path(path).absolute()
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise BundleError(f"{target} exists and is no bundle: choose another folder, nothing was written.")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if target.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)) / "old"
            os.replace(target, retired)
            os.replace(folder, target)
            shutil.rmtree(retired.parent)
        else:
            os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Adds size and sha256 of every file in the folder and writes manifest.json. Returns what it wrote."""
    files = {
        file.relative_to(folder).as_posix(): FileInfo(sha256=sha256_of(file), size=file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    manifest = manifest.model_copy(update={"files": files})
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")
    return manifest


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(stream)


def _sha256(stream: Any) -> str:  # Python 3.10 has no hashlib.file_digest
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()

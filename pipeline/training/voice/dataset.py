"""The corpus on disk: arrays of many utterances end to end with offsets, mapped into memory and shared by processes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BundleError
from pipeline.types import F32, I16, I64

LANGUAGES = ("zh", "en", "ja", "ko", "yue", "mixed")
TOKENS_FILE, SPEAKERS_FILE = "tokens.txt", "speakers.json"

_DTYPES: dict[str, type[np.generic]] = {
    "text": np.int16,
    "speech": np.int16,
    "align": np.int16,
    "mel": np.float16,
    "f0": np.float16,
    "audio": np.int16,
    "sentence": np.uint8,
}
_FRAMED = {"align": "speech", "f0": "mel"}  # arrays that share the offsets of another
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance. Token n covers mel frames [n * 882 / 256, (n + 1) * 882 / 256)."""

    text: I64  # i64 [N], ids of tokens.txt
    speech: I64  # i64 [S], one per 40 ms
    align: I64  # i64 [S], index into text
    speaker: int
    language: int  # index into LANGUAGES
    sentence: str
    mel: F32 | None = None  # f32 [T, 80]
    f0: F32 | None = None  # f32 [T], Hz, 0 where unvoiced
    audio: I16 | None = None  # i16 [n], T = n // 256


@dataclass
class Shard:
    """Collects utterances and writes them as one file; all of them have audio, or none."""

    _items: list[Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        self._items.append(item)

    def write(self, file: Path) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "speaker": np.array([item.speaker for item in self._items], np.int8),
            "language": np.array([item.language for item in self._items], np.int8),
        }
        for name, dtype in _DTYPES.items():
            parts = [_part(item, name) for item in self._items]
            if any(part is None for part in parts):
                continue
            whole = [np.asarray(part).astype(dtype) for part in parts]
            arrays[name] = np.concatenate(whole)
            if name not in _FRAMED:
                arrays[f"{name}_offset"] = np.cumsum([0, *map(len, whole)]).astype(np.int64)
        np.savez(file, allow_pickle=False, **arrays)


def _part(item: Item, name: str) -> NDArray[Any] | None:
    if name == "sentence":
        return np.frombuffer(item.sentence.encode(), np.uint8)
    part: NDArray[Any] | None = getattr(item, name)
    return part


@dataclass(frozen=True)
class Dataset:
    """Utterances of all files of one split, e.g. `train`, `held-out` or `text`."""

    shards: tuple[Mapping[str, NDArray[Any]], ...]

    @classmethod
    def open(cls, folder: Path, split: str) -> Dataset:
        files = sorted(folder.glob(f"{split}-[0-9]*.npz")) or sorted(folder.glob(f"{split}.npz"))
        if not files:
            raise BundleError(f"{folder} has no {split}.npz: run the step `corpus` first.")
        return cls(tuple(_map(file) for file in files))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[Item]:
        return (self.item(k) for k in range(len(self)))

    def item(self, index: int) -> Item:
        """Mel and audio are None in a text-only set."""
        shard_index = int(np.searchsorted(self._starts, index, "right")) - 1
        shard, k = self.shards[shard_index], index - int(self._starts[shard_index])

        def cut(name: str, dtype: type[np.generic]) -> Any:
            offset = shard[f"{_FRAMED.get(name, name)}_offset"]
            return np.asarray(shard[name][offset[k] : offset[k + 1]]).astype(dtype)

        has_audio = "audio" in shard
        return Item(
            text=cut("text", np.int64),
            speech=cut("speech", np.int64),
            align=cut("align", np.int64),
            speaker=int(shard["speaker"][k]),
            language=int(shard["language"][k]),
            sentence=cut("sentence", np.uint8).tobytes().decode(),
            mel=cut("mel", np.float32) if has_audio else None,
            f0=cut("f0", np.float32) if has_audio else None,
            audio=cut("audio", np.int16) if has_audio else None,
        )

    @cached_property
    def num_speech(self) -> I64:
        """Speech tokens of each utterance: i64 [len]; for batches of like length."""
        return np.concatenate([np.diff(shard["speech_offset"]) for shard in self.shards])

    @cached_property
    def num_text(self) -> I64:
        """Text ids of each utterance: i64 [len]."""
        return np.concatenate([np.diff(shard["text_offset"]) for shard in self.shards])

    @cached_property
    def _starts(self) -> I64:
        return np.cumsum([0, *(len(shard["speaker"]) for shard in self.shards)])


def _map(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an uncompressed npz, read from the page cache when they are touched."""
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as stream:
                version = np.lib.format.read_magic(stream)
                shape, fortran, dtype = _HEADER_READERS[version](stream)
                header = stream.tell()
            start = _data_start(file, entry) + header
            name = entry.filename.removesuffix(".npy")
            arrays[name] = (
                np.memmap(file, dtype, "r", start, shape, "F" if fortran else "C")
                if np.prod(shape)
                else np.zeros(shape, dtype)
            )
    return arrays


def _data_start(file: Path, entry: zipfile.ZipInfo) -> int:
    """After the local header, whose name and extra field have lengths of their own (APPNOTE 4.3.7)."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise BundleError(f"{file} is compressed: write it with `corpus` again.")
    with file.open("rb") as stream:
        stream.seek(entry.header_offset + 26)
        name, extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
    return entry.header_offset + 30 + name + extra


def read_tokens(folder: Path) -> list[str]:
    """Text symbols by id."""
    return (folder / TOKENS_FILE).read_text("utf-8").splitlines()


def write_tokens(folder: Path, symbols: Sequence[str]) -> None:
    (folder / TOKENS_FILE).write_text("\n".join(symbols) + "\n", "utf-8")

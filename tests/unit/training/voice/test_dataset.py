from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import BundleError
from pipeline.training.voice.dataset import Dataset, Item, Shard, read_tokens, write_tokens


def item(seed: int, *, has_audio: bool = True) -> Item:
    rng = np.random.default_rng(seed)
    num_tokens = int(rng.integers(3, 9))
    num_frames = num_tokens * 882 // 256
    return Item(
        text=rng.integers(0, 400, 4),
        speech=rng.integers(0, 4096, num_tokens),
        align=np.sort(rng.integers(0, 4, num_tokens)),
        speaker=seed % 7,
        language=seed % 6,
        sentence=f"第{seed}句",
        mel=rng.standard_normal((num_frames, 80)).astype(np.float32) if has_audio else None,
        f0=rng.uniform(80, 300, num_frames).astype(np.float32) if has_audio else None,
        audio=rng.integers(-(2**15), 2**15, num_tokens * 882).astype(np.int16) if has_audio else None,
    )


def write(items: list[Item], file: Path) -> None:
    shard = Shard()
    for one in items:
        shard.add(one)
    shard.write(file)


def test_an_utterance_comes_back_as_it_was_written(tmp_path: Path) -> None:
    items = [item(seed) for seed in range(5)]
    write(items, tmp_path / "train-00.npz")
    dataset = Dataset.open(tmp_path, "train")
    assert len(dataset) == 5
    for written, read in zip(items, dataset, strict=True):
        assert (read.speaker, read.language, read.sentence) == (written.speaker, written.language, written.sentence)
        for name in ("text", "speech", "align", "audio"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        np.testing.assert_allclose(read.mel, written.mel, atol=2e-3)
        np.testing.assert_allclose(read.f0, written.f0, rtol=1e-3)
        assert read.mel is not None
        assert read.mel.dtype == np.float32


def test_files_of_a_split_follow_each_other(tmp_path: Path) -> None:
    items = [item(seed) for seed in range(6)]
    write(items[:2], tmp_path / "train-00.npz")
    write(items[2:], tmp_path / "train-01.npz")
    write([item(9)], tmp_path / "held-out-00.npz")
    dataset = Dataset.open(tmp_path, "train")
    assert [one.sentence for one in dataset] == [one.sentence for one in items]
    assert dataset.num_speech.tolist() == [len(one.speech) for one in items]
    assert dataset.num_text.tolist() == [4] * 6


def test_tokens_alone_have_no_audio(tmp_path: Path) -> None:
    write([item(1, has_audio=False)], tmp_path / "text-00.npz")
    read = Dataset.open(tmp_path, "text").item(0)
    assert (read.mel, read.f0, read.audio) == (None, None, None)
    assert len(read.align) == len(read.speech)


def test_what_is_read_may_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    write([item(1)], tmp_path / "train-00.npz")
    dataset = Dataset.open(tmp_path, "train")
    dataset.item(0).text[:] = 0
    assert dataset.item(0).text.any()


def test_a_missing_split_names_the_step_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="corpus"):
        Dataset.open(tmp_path, "train")


def test_a_compressed_file_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "train-00.npz", speaker=np.zeros(3, np.int8))
    with pytest.raises(BundleError, match="compressed"):
        Dataset.open(tmp_path, "train")


def test_a_symbols_line_is_its_id(tmp_path: Path) -> None:
    write_tokens(tmp_path, ["<pad>", "^", "zh:a1"])
    assert read_tokens(tmp_path) == ["<pad>", "^", "zh:a1"]

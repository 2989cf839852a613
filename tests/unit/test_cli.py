"""The command line, in process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.__main__ import main
from pipeline.build import BUNDLED_PATH
from pipeline.runtime.bundle import Bundle


def test_voices_lists_the_voices_of_a_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices"]) == 0
    assert capsys.readouterr().out.split() == list(Bundle.open(BUNDLED_PATH).manifest.voices)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "opus"])
def test_say_writes_what_the_suffix_says(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / f"speech.{suffix}"
    assert main(["say", "你好。", "-o", str(output), "--seed", "1"]) == 0
    assert "s of speech" in capsys.readouterr().err
    if suffix != "flac":  # a streamed FLAC states no length, which libsndfile needs
        samples, _ = soundfile.read(output)
        assert np.abs(samples).max() > 0.1
    assert output.stat().st_size > 1000


def test_the_same_seed_says_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for file, seed in zip(files, ("5", "5", "6"), strict=True):
        assert main(["say", "今天天气不错。", "-o", str(file), "--seed", seed]) == 0
    a, b, c = (file.read_bytes() for file in files)
    assert a == b != c


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["say", "你好", "-o", "speech.xyz"], "speech.xyz"),
        (["say", "你好", "-o", "speech.wav", "--speed", "9"], "9"),
        (["say", "你好", "-o", "speech.wav", "--voice", "nobody"], "nobody"),
        (["say", "。。。", "-o", "speech.wav"], "。。。"),
        (["say", "你好", "-o", "speech.wav", "--bundle", "/nowhere"], "/nowhere"),
        (["voices", "--bundle", "/nowhere"], "export"),
    ],
)
def test_a_mistake_is_named_and_leaves_no_file(
    arguments: list[str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    captured = capsys.readouterr().err
    assert "error:" in captured
    assert named in captured
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("pipeline.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(tmp_path), str(tmp_path / "bundle")]) == 1
    assert "pip install 'cosyvoice-serve[export]'" in capsys.readouterr().err

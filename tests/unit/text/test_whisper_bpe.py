from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.export import tokenizer_files
from pipeline.export.tokenizer_files import copy_tokenizer_files, find_whisper_ranks, tokenizer_of
from pipeline.runtime.bundle import sha256_of
from pipeline.text.whisper_bpe import RANKS_FILE, WhisperTokenizer

MERGES = (b"he", b"ll", b"hell", b"hello", b" w", b"or", b"\xe4\xbd", b"\xe4\xbd\xa0")


def write_ranks(file: Path) -> Path:
    """A small table in the format of Whisper's: 256 bytes, then merges."""
    tokens = [bytes([value]) for value in range(256)] + list(MERGES)
    file.write_bytes(b"\n".join(base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(tokens)))
    return file


@pytest.fixture
def tokenizer(tmp_path: Path) -> WhisperTokenizer:
    write_ranks(tmp_path / RANKS_FILE)
    return WhisperTokenizer.open(tmp_path)


def test_merges_apply_in_the_order_of_their_ranks(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.encode("hello world") == [259, 260, 261, *b"ld"]
    assert tokenizer.encode("你") == [263]
    assert tokenizer.symbols("hello world") == ["hello", " w", "or", "l", "d"]


def test_contractions_words_numbers_and_marks_are_encoded_apart(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.encode("he'll12,") == [256, ord("'"), 257, *b"12,"]


def test_special_tokens_are_ordinary_text(tokenizer: WhisperTokenizer) -> None:
    assert tokenizer.encode("<|endoftext|>") == list(b"<|endoftext|>")


def test_loading_writes_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))
    write_ranks(tmp_path / RANKS_FILE)
    assert WhisperTokenizer.open(tmp_path).encode("") == []
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("content", [b"AA== x\n", b"A 0\n", b"AA==\n"])
def test_a_damaged_ranks_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RANKS_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=r"whisper\.tiktoken is damaged"):
        WhisperTokenizer.open(tmp_path)


def test_a_missing_ranks_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"whisper\.tiktoken is missing"):
        WhisperTokenizer.open(tmp_path)


def test_export_without_the_ranks_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_files, "_installed_assets", list)
    with pytest.raises(BundleError, match=r"pip install --no-deps openai-whisper.*--ranks FILE"):
        find_whisper_ranks(tmp_path)


def test_export_refuses_another_file(tmp_path: Path) -> None:
    other = write_ranks(tmp_path / "other.tiktoken")
    with pytest.raises(BundleError, match=r"other\.tiktoken is not Whisper's"):
        find_whisper_ranks(tmp_path, other)


def test_export_copies_the_named_the_checkpoints_or_the_installed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, installed = write_ranks(tmp_path / "named"), write_ranks(tmp_path / "installed")
    monkeypatch.setattr(tokenizer_files, "RANKS_SHA256", sha256_of(named))
    monkeypatch.setattr(tokenizer_files, "_installed_assets", lambda: [installed])
    assert find_whisper_ranks(tmp_path, named) == named
    assert find_whisper_ranks(tmp_path) == installed
    own = write_ranks(tmp_path / RANKS_FILE)
    assert find_whisper_ranks(tmp_path) == own
    (tmp_path / "bundle").mkdir()
    copy_tokenizer_files(tmp_path, tmp_path / "bundle")
    assert (tmp_path / "bundle" / RANKS_FILE).read_bytes() == own.read_bytes()


def test_a_table_of_symbols_makes_a_phoneme_checkpoint(tmp_path: Path) -> None:
    assert tokenizer_of(tmp_path) == "whisper-bpe"
    (tmp_path / "tokens.txt").write_text("<pad>\n^\n")
    assert tokenizer_of(tmp_path) == "phoneme"
    (tmp_path / "bundle").mkdir()
    copy_tokenizer_files(tmp_path, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "tokens.txt").read_text() == "<pad>\n^\n"


def test_the_installed_packages_file_is_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "whisper"
    (package / "assets").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    installed = write_ranks(package / "assets" / "multilingual.tiktoken")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(tokenizer_files, "RANKS_SHA256", sha256_of(installed))
    assert find_whisper_ranks(tmp_path) == installed

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.export.tokenizer_files import tokenizer_of, write_tokenizer_files
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


def test_export_takes_the_named_ranks_then_the_checkpoints_then_whispers(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_tokenizer_files(tmp_path, bundle, num_text_tokens=51866)
    digest = hashlib.sha256((bundle / RANKS_FILE).read_bytes()).hexdigest()
    assert digest == "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126"  # openai-whisper 20250625
    own = write_ranks(tmp_path / "own.tiktoken")
    write_tokenizer_files(tmp_path, bundle, num_text_tokens=51866)
    assert (bundle / RANKS_FILE).read_bytes() == own.read_bytes()
    named = tmp_path / "named"
    named.write_bytes(own.read_bytes() + b"\n")
    write_tokenizer_files(tmp_path, bundle, num_text_tokens=51866, ranks=named)
    assert (bundle / RANKS_FILE).read_bytes() == named.read_bytes()


def test_export_refuses_ranks_that_do_not_fit_the_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"60515 text tokens.*--ranks FILE"):
        write_tokenizer_files(tmp_path, tmp_path, num_text_tokens=60515)
    other = write_ranks(tmp_path / "other.tiktoken")
    with pytest.raises(BundleError, match=r"other\.tiktoken has ranks up to"):
        write_tokenizer_files(tmp_path, tmp_path, num_text_tokens=10, ranks=other)


def test_a_table_of_symbols_makes_a_phoneme_checkpoint(tmp_path: Path) -> None:
    assert tokenizer_of(tmp_path) == "whisper-bpe"
    (tmp_path / "tokens.txt").write_text("<pad>\n^\n")
    assert tokenizer_of(tmp_path) == "phoneme"
    (tmp_path / "bundle").mkdir()
    write_tokenizer_files(tmp_path, tmp_path / "bundle", num_text_tokens=2)
    assert (tmp_path / "bundle" / "tokens.txt").read_text() == "<pad>\n^\n"

"""The token table of the bundled voice, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.text.inventory import text_symbols


@pytest.fixture(scope="session")
def voice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice")
    (folder / "tokens.txt").write_text("\n".join(text_symbols()) + "\n", "utf-8")
    return folder

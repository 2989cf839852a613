"""Where the Chinese characters of a script get their readings from, around those that were given."""

from __future__ import annotations

from pipeline.text.script import Script


def pronounce(script: Script) -> Script:
    """Leaves every other character to the tokenizer, whose rules are those that the bundled voice was trained with."""
    return script

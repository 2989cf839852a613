"""One word of the lexicon: what can be said of it, in normal form."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import InvalidRequest
from pipeline.text.mandarin import is_hanzi
from pipeline.text.readings import Reading, parse_phones, parse_pinyin, parse_sounds

log = logging.getLogger(__name__)

Kind = Literal["pinyin", "phonemes", "respelling"]
MAX_WORD_LENGTH = 32
MAX_VALUE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One word. `value` is tone-number pinyin, phones as in `readings`, or the text to read instead; see `checked`."""

    word: str
    kind: Kind
    value: str

    @classmethod
    def checked(cls, word: str, kind: str, value: str) -> Entry:
        """The entry in normal form. Raises InvalidRequest with the reason for what cannot be spoken."""
        word, value = normal_form(word), normal_form(value)
        _check_text("word", word, MAX_WORD_LENGTH)
        _check_text("value", value, MAX_VALUE_LENGTH)
        for known, check in _CHECKS.items():
            if kind == known:
                return cls(word, known, check(word, value))
        raise InvalidRequest(f"kind {kind!r} is unknown; known are: {', '.join(_CHECKS)}.")

    def readings(self) -> tuple[Reading, ...]:
        """One per character of the word; a respelling has none."""
        if self.kind == "pinyin":
            return tuple(self.value.split())
        return (self.value, *[""] * (len(self.word) - 1))


def stored_entry(word: str, *fields: object) -> Entry | None:
    """The entry that a store has for a word, None where it is damaged."""
    try:
        kind, value = fields
        return Entry.checked(word, str(kind), str(value))
    except (ValueError, InvalidRequest) as error:
        log.warning("the lexicon's entry of %r is left out, delete it: %s", word, error)
        return None


def normal_form(text: str) -> str:
    """How words and values are stored and compared."""
    return unicodedata.normalize("NFC", text.strip())


def _check_text(name: str, text: str, max_length: int) -> None:
    if len(text) > max_length:
        raise InvalidRequest(f"{name} {text[:20]!r}... has {len(text)} characters: at most {max_length}.")
    if not any(map(str.isalnum, text)):
        raise InvalidRequest(f"{name} {text!r} has no letter, character or number that could be spoken.")
    if not text.isprintable():
        raise InvalidRequest(f"{name} {text!r} holds control characters: leave them out.")


def _checked_pinyin(word: str, value: str) -> str:
    if not all(map(is_hanzi, word)):
        raise InvalidRequest(f"word {word!r} is not Chinese characters alone: give it a respelling instead of pinyin.")
    try:
        syllables = parse_pinyin(value)
    except ValueError as error:
        raise InvalidRequest(f"pinyin {value!r} of {word!r}: {error}.") from None
    if len(syllables) != len(word):
        raise InvalidRequest(f"pinyin {value!r} has {len(syllables)} syllables, {word!r} has {len(word)} characters.")
    return " ".join(syllables)


def _checked_phones(word: str, value: str) -> str:
    if not (word.replace("'", "").isalpha() and word[0] != "'"):
        raise InvalidRequest(f"word {word!r} is not one word of letters: give it a respelling instead of phonemes.")
    try:
        return " ".join(parse_phones(value)) if word.isascii() else parse_sounds(value)
    except ValueError as error:
        cure = "" if word.isascii() else "; give it kana, hangul, jyutping, or a respelling instead of phonemes"
        raise InvalidRequest(f"phonemes {value!r} of {word!r}: {error}{cure}.") from None


def _checked_respelling(word: str, value: str) -> str:
    return value


_CHECKS: dict[Kind, Callable[[str, str], str]] = {
    "pinyin": _checked_pinyin,
    "phonemes": _checked_phones,
    "respelling": _checked_respelling,
}

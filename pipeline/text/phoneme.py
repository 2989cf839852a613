"""The phoneme tokenizer of the bundled voice: Mandarin initials and finals, English phones, pauses.

One path from text to ids, the same in training and in serving. Readings may be handed in, one per character of the
text; where none is given the voice's own pronunciation rules decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from pipeline.errors import BundleError
from pipeline.text import english, mandarin
from pipeline.text.english import English, english_symbols, load_english
from pipeline.text.mandarin import Mandarin, load_mandarin, mandarin_symbols
from pipeline.text.readings import Reading, reading_symbols

TOKENS_FILE = "tokens.txt"
START = "^"
_MARKS = {
    **dict.fromkeys("。.\n", "."),
    **dict.fromkeys("！!", "!"),
    **dict.fromkeys("？?", "?"),
    **dict.fromkeys("，、；：;:,…—", ","),
}
_UNIT = re.compile(r"[\u3400-\u9fff]+|[A-Za-z]+(?:'[A-Za-z]+)*|[。！？，、；：;:.!?,…—\n]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_HANZI = re.compile(r"[\u3400-\u9fff]")
_MAX_WORD_DIGITS = 12
_MAX_CACHED_SYMBOLS = 4096


class TokenTable:
    """Ids of text symbols, with a neighbour for a rare symbol that the voice never heard in training."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = ids
        self.id_of = lru_cache(_MAX_CACHED_SYMBOLS)(self._id_of)

    @classmethod
    def open(cls, file: Path) -> TokenTable:
        """Reads one symbol per line; the line's index is the id."""
        if not file.is_file():
            raise BundleError(f"{file} is missing: export the bundle again.")
        return cls({symbol: index for index, symbol in enumerate(file.read_text("utf-8").splitlines())})

    def _id_of(self, symbol: str) -> int | None:
        if symbol in ("?", "!"):
            symbol = "."  # the voice was trained with full stops only
        for candidate in (symbol, *_neighbours(symbol)):
            if candidate in self._ids:
                return self._ids[candidate]
        return None


def _neighbours(symbol: str) -> list[str]:
    """The same sound with another tone or stress, then the plain vowel."""
    if not symbol.startswith("en:"):
        return [symbol[:-1] + tone for tone in "51423"]
    with_stress = [symbol[:-1] + stress for stress in "102"]
    plain = re.match(r"en:[A-Za-z@0-9]", symbol)
    return with_stress + ([plain.group() + stress for stress in ("", "1", "0")] if plain else [])


class PhonemeTokenizer:
    """Text to the ids of `tokens.txt`."""

    takes_readings = True

    def __init__(self, table: TokenTable, english: English, mandarin: Mandarin) -> None:
        self._table = table
        self._english = english
        self._mandarin = mandarin

    @classmethod
    def open(cls, folder: Path) -> PhonemeTokenizer:
        return cls(TokenTable.open(folder / TOKENS_FILE), load_english(), load_mandarin())

    def encode(self, text: str, readings: Sequence[Reading] | None = None) -> list[int]:
        """Ids of the text; empty when nothing in it can be spoken. `readings` is one per character."""
        ids = map(self._table.id_of, self.symbols(text, readings))
        return [index for index in ids if index is not None]

    def symbols(self, text: str, readings: Sequence[Reading] | None = None) -> list[str]:
        """Start mark, then the symbols of each clause and its closing mark; the last one is a full stop."""
        text = text.replace("’", "'")
        if readings is None:
            readings = [None] * len(text)
        text, readings = _expand_numbers(text, readings)
        symbols, mark_at, is_clause_open = [START], 0, False
        for unit in _UNIT.finditer(text):
            if mark := _MARKS.get(unit.group()):
                if is_clause_open:
                    mark_at, is_clause_open = len(symbols), False
                    symbols.append(mark)
                elif mark_at and mark != ",":
                    symbols[mark_at] = mark
            elif spoken := self._unit_symbols(unit.group(), readings[unit.start() : unit.end()]):
                symbols += spoken
                is_clause_open = True
        if is_clause_open:
            symbols.append(".")
        elif mark_at:
            symbols[mark_at] = "."
        return symbols if len(symbols) > 1 else []

    def _unit_symbols(self, unit: str, readings: Sequence[Reading]) -> Sequence[str]:
        if not mandarin.is_hanzi(unit[0]):
            return self._word_symbols(unit, readings)
        symbols: list[str] = []
        for is_given, group in groupby(zip(unit, readings, strict=True), key=lambda pair: pair[1] is not None):
            run, given = zip(*group, strict=True)
            if is_given:
                symbols += [symbol for reading in given for symbol in reading_symbols(reading or "")]
            else:
                symbols += [s for syllable in self._mandarin.spoken("".join(run)) for s in mandarin_symbols(syllable)]
        return symbols

    def _word_symbols(self, word: str, readings: Sequence[Reading]) -> Sequence[str]:
        given = [reading for reading in readings if reading is not None]
        if given:
            return reading_symbols(" ".join(given))
        return english_symbols(self._english.pronounce(word))


def _expand_numbers(text: str, readings: Sequence[Reading]) -> tuple[str, Sequence[Reading]]:
    """Plain digits as words, for text that was not normalized; the words have no reading of their own."""
    is_chinese = _HANZI.search(text) is not None
    parts: list[str] = []
    expanded: list[Reading] = []
    end = 0
    for number in _NUMBER.finditer(text):
        words = _chinese_number(number.group()) if is_chinese else f" {_english_number(number.group())} "
        parts += (text[end : number.start()], words)
        expanded += [*readings[end : number.start()], *[None] * len(words)]
        end = number.end()
    return "".join((*parts, text[end:])), [*expanded, *readings[end:]]


def _is_digit_string(digits: str) -> bool:
    return len(digits) > _MAX_WORD_DIGITS or (len(digits) > 1 and digits[0] == "0")


def _chinese_number(number: str) -> str:
    whole, _, decimals = number.partition(".")
    words = mandarin.digit_words(whole) if _is_digit_string(whole) else mandarin.number_words(int(whole))
    return f"{words}点{mandarin.digit_words(decimals)}" if decimals else words


def _english_number(number: str) -> str:
    whole, _, decimals = number.partition(".")
    words = english.digit_words(whole) if _is_digit_string(whole) else english.number_words(int(whole))
    return f"{words} point {english.digit_words(decimals)}" if decimals else words

"""The phoneme tokenizer of the bundled voice: the sounds of five languages, marks and pauses.

One path from text to ids, the same in training and in serving. Readings may be handed in, one per character of the
text; where none is given they come from the script that the text alone makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import BundleError
from pipeline.text import english, korean, mandarin
from pipeline.text.english import load_english
from pipeline.text.inventory import PAUSE, START
from pipeline.text.kana import kana_symbols
from pipeline.text.pronounce import spoken_pinyin
from pipeline.text.reader import pronounce
from pipeline.text.readings import Reading, reading_symbols
from pipeline.text.script import Script
from pipeline.text.spans import spans

TOKENS_FILE = "tokens.txt"
_MARKS = {
    **dict.fromkeys("。.\n", "."),
    **dict.fromkeys("！!", "!"),
    **dict.fromkeys("？?", "?"),
    **dict.fromkeys("，、；：;:,…—", ","),
    PAUSE: PAUSE,
}
_RANK = {mark: rank for rank, mark in enumerate((PAUSE, ",", ".", "!", "?"))}
_SCRIPTS = {
    "han": "\u3400-\u9fff",
    "kana": "ぁ-ゖァ-ヺー々〆〇",
    "hangul": "가-힣",
}
_UNIT = re.compile(rf"[{''.join(_SCRIPTS.values())}]+|[A-Za-z]+(?:'[A-Za-z]+)*|[。！？，、；：:;.!?,…—\n|]")
_RUN = re.compile("|".join(f"(?P<{name}>[{chars}]+)" for name, chars in _SCRIPTS.items()))
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
        for candidate in (symbol, *_neighbours(symbol)):
            if candidate in self._ids:
                return self._ids[candidate]
        return None


def _neighbours(symbol: str) -> list[str]:
    """The same sound with another tone."""
    if symbol.startswith("zh:"):
        return [symbol[:-1] + tone for tone in "51423"]
    if symbol.startswith("yue:"):
        return [symbol[:-1] + tone for tone in "361254"]
    return []


class PhonemeTokenizer:
    """Text to the ids of `tokens.txt`."""

    takes_readings = True

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        english = load_english()
        self._word = lru_cache(_MAX_CACHED_SYMBOLS)(lambda word: tuple(f"en:{phone}" for phone in english.phones(word)))

    @classmethod
    def open(cls, folder: Path) -> PhonemeTokenizer:
        """Raises BundleError if the folder has no table."""
        return cls(TokenTable.open(folder / TOKENS_FILE))

    def encode(self, text: str, readings: Sequence[Reading] | None = None) -> list[int]:
        """Ids of the text; empty when nothing in it can be spoken. `readings` is one per character."""
        ids = map(self._table.id_of, self.symbols(text, readings))
        return [index for index in ids if index is not None]

    def symbols(self, text: str, readings: Sequence[Reading] | None = None) -> list[str]:
        """Start mark, then the symbols of each clause and its closing mark; the last one ends a sentence."""
        text, readings = _expand_numbers(text.replace("’", "'"), readings or [None] * len(text))
        if readings.count(None) == len(readings) and _RUN.search(text):
            readings = _script_readings(text)
        symbols = [START]
        for match in _UNIT.finditer(text):
            unit = match.group()
            if mark := _MARKS.get(unit):
                _put_mark(symbols, mark)
            else:
                start, end = match.span()
                symbols += self._unit_symbols(unit, readings[start:end])
        if len(symbols) == 1:
            return []
        _put_mark(symbols, PAUSE)
        if symbols[-1] in (PAUSE, ","):
            symbols[-1] = "."
        return symbols

    def _unit_symbols(self, unit: str, readings: Sequence[Reading]) -> Iterable[str]:
        if unit[0].isascii():
            if readings.count(None) == len(readings):
                return self._word(unit)
            return reading_symbols(" ".join([reading for reading in readings if reading is not None]))
        if None not in readings:
            return chain.from_iterable(map(reading_symbols, filter(None, readings)))
        return _mixed_symbols(unit, readings)


def _mixed_symbols(unit: str, readings: Sequence[Reading]) -> Iterator[str]:
    """Of characters that have readings beside others that have none."""
    for is_given, group in groupby(zip(unit, readings, strict=True), key=lambda pair: pair[1] is not None):
        pairs = list(group)
        if is_given:
            for reading in filter(None, (reading for _, reading in pairs)):
                yield from reading_symbols(reading)
        else:
            for part in _RUN.finditer("".join(char for char, _ in pairs)):
                yield from _SYMBOLS_OF[part.lastgroup or ""](part.group())


def _put_mark(symbols: list[str], mark: str) -> None:
    """Closes what was said; of marks in a row the strongest counts."""
    last = symbols[-1]
    if last in _RANK:
        if _RANK[mark] > _RANK[last]:
            symbols[-1] = mark
    elif last != START:
        symbols.append(mark)


def _script_readings(text: str) -> Sequence[Reading]:
    return pronounce(Script.join(Script.plain(part, language) for part, language in spans(text))).readings


@lru_cache(maxsize=1024)
def _mandarin(run: str) -> tuple[str, ...]:
    """Of kanji without a reading, mostly one or two between kana: each would cost a run of the model."""
    return tuple(symbol for syllable in spoken_pinyin(run) for symbol in reading_symbols(syllable))


# script -> symbols of a run of it that has no reading
_SYMBOLS_OF: Mapping[str, Callable[[str], Iterable[str]]] = MappingProxyType(
    {"han": _mandarin, "kana": kana_symbols, "hangul": korean.symbols}
)


def _expand_numbers(text: str, readings: Sequence[Reading]) -> tuple[str, Sequence[Reading]]:
    """Plain digits as words, for text that was not normalized; the words have no reading of their own."""
    if not _NUMBER.search(text):
        return text, readings
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

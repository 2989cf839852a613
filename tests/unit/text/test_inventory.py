from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.text.cantonese import jyutping_symbols, load_cantonese
from pipeline.text.inventory import MARKS, text_symbols
from pipeline.text.kana import kana_symbols
from pipeline.text.korean import syllable_symbols
from pipeline.text.mandarin import mandarin_symbols
from pipeline.text.phoneme import TokenTable
from pipeline.text.phrases import DATA, read_table


@pytest.fixture(scope="module")
def table(voice_folder: Path) -> TokenTable:
    return TokenTable.open(voice_folder / "tokens.txt")


def test_ids_of_a_trained_voice_stay_where_they_are() -> None:
    symbols = text_symbols()
    assert symbols[:7] == list(MARKS)
    first_of = {language: symbols.index(f"{language}:{sound}") for language, sound in _FIRST.items()}
    assert first_of == {"zh": 7, "en": 191, "ja": 260, "ko": 300, "yue": 346}
    assert len(symbols) == len(set(symbols)) == 645


_FIRST = {"zh": "b", "en": "B", "ja": "k", "ko": "g", "yue": "b"}


def test_every_korean_syllable_can_be_spoken() -> None:
    known = set(text_symbols())
    assert all(known.issuperset(syllable_symbols(chr(code))) for code in range(0xAC00, 0xD7A4))


def test_every_mora_can_be_spoken() -> None:
    spoken = {symbol for code in range(0x30A1, 0x30FD) for symbol in kana_symbols(chr(code))}
    assert spoken <= set(text_symbols())


def test_every_syllable_of_the_chinese_dictionary_has_an_id_or_a_neighbour(table: TokenTable) -> None:
    syllables = {syllable for value in read_table(DATA / "characters.tsv.gz").values() for syllable in value.split()}
    lost = {s for s in syllables for symbol in mandarin_symbols(s) if table.id_of(symbol) is None}
    assert not lost


def test_every_syllable_of_the_cantonese_dictionary_has_an_id_or_a_neighbour(table: TokenTable) -> None:
    syllables = {s for char in map(chr, range(0x4E00, 0xA000)) for s in load_cantonese().read(char) if s}
    lost = {s for s in syllables for symbol in jyutping_symbols(s) if table.id_of(symbol) is None}
    assert lost <= {"en1", "em2"}  # two colloquial syllables that no other tone has

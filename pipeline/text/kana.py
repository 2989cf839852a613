"""Kana and the sounds they write: morae to text symbols and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from pipeline.text.inventory import JA_LONG, JA_NASAL, JA_STOP, JA_VOWELS

_KANA = re.compile("[ぁ-ゖァ-ヺー]+")
LONG_MARK, SMALL_TSU, SYLLABIC_N = "ー", "ッ", "ン"
_HIRAGANA = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}

# A row is a consonant and its kana before a, i, u, e, o; "-" where it has none.
_ROWS = """
_  ア イ ウ エ オ
k  カ キ ク ケ コ
ky キャ - キュ キェ キョ
kw クァ クィ - クェ クォ
s  サ スィ ス セ ソ
sh シャ シ シュ シェ ショ
t  タ ティ トゥ テ ト
ty - - テュ - -
ch チャ チ チュ チェ チョ
ts ツァ ツィ ツ ツェ ツォ
n  ナ ニ ヌ ネ ノ
ny ニャ - ニュ ニェ ニョ
h  ハ ヒ - ヘ ホ
hy ヒャ - ヒュ ヒェ ヒョ
f  ファ フィ フ フェ フォ
m  マ ミ ム メ モ
my ミャ - ミュ ミェ ミョ
y  ヤ - ユ イェ ヨ
r  ラ リ ル レ ロ
ry リャ - リュ リェ リョ
w  ワ ウィ - ウェ ウォ
g  ガ ギ グ ゲ ゴ
gy ギャ - ギュ ギェ ギョ
gw グァ - - - -
z  ザ ズィ ズ ゼ ゾ
j  ジャ ジ ジュ ジェ ジョ
d  ダ ディ ドゥ デ ド
dy - - デュ - -
b  バ ビ ブ ベ ボ
by ビャ - ビュ ビェ ビョ
p  パ ピ プ ペ ポ
py ピャ - ピュ ピェ ピョ
v  ヴァ ヴィ ヴ ヴェ ヴォ
"""
# Other spellings of the same sounds, among them obsolete kana and small ones that stand alone.
_SPELLINGS = {
    **{
        "ヂ": "ジ",
        "ヂャ": "ジャ",
        "ヂュ": "ジュ",
        "ヂョ": "ジョ",
        "ヂェ": "ジェ",
        "ヅ": "ズ",
        "ヲ": "オ",
        "ヰ": "イ",
        "ヱ": "エ",
    },
    **{"クヮ": "クァ", "グヮ": "グァ", "フュ": "ヒュ", "ヴュ": "ビュ", "ヵ": "カ", "ヶ": "ケ"},
    **dict(zip("ァィゥェォャュョヮ", "アイウエオヤユヨワ", strict=True)),
}


@lru_cache(maxsize=1)
def _sounds() -> Mapping[str, tuple[str, ...]]:
    """Text symbols of each mora in katakana."""
    sounds: dict[str, tuple[str, ...]] = {}
    for row in _ROWS.split("\n")[1:-1]:
        consonant, *morae = row.split()
        for vowel, mora in zip(JA_VOWELS, morae, strict=True):
            sounds[mora] = (f"ja:{vowel}",) if consonant == "_" else (f"ja:{consonant}", f"ja:{vowel}")
    del sounds["-"]
    sounds |= {other: sounds[mora] for other, mora in _SPELLINGS.items()}
    return {**sounds, LONG_MARK: (f"ja:{JA_LONG}",), SMALL_TSU: (f"ja:{JA_STOP}",), SYLLABIC_N: (f"ja:{JA_NASAL}",)}


@lru_cache(maxsize=1)
def _kana_of() -> Mapping[tuple[str, ...], str]:
    return {sounds: mora for mora, sounds in reversed(list(_sounds().items()))}


@lru_cache(maxsize=1)
def _mora() -> re.Pattern[str]:
    return re.compile("|".join(sorted(_sounds(), key=len, reverse=True)))


def katakana(text: str) -> str:
    """The text with katakana in place of hiragana."""
    return text.translate(_HIRAGANA)


def is_kana(text: str) -> bool:
    """Whether the text is kana alone, but for white space."""
    return _KANA.fullmatch("".join(text.split())) is not None


@lru_cache(maxsize=8192)
def kana_symbols(text: str) -> tuple[str, ...]:
    """Text symbols of kana as they are written, so は is ha; what is no kana is left out. ー lengthens a vowel."""
    symbols: list[str] = []
    for mora in _mora().findall(katakana(text)):
        if mora != LONG_MARK or not symbols or symbols[-1][3:] in (*JA_VOWELS, JA_LONG):
            symbols += _sounds()[mora]
    return tuple(symbols)


def kana(symbols: Iterable[str]) -> str:
    """Katakana that sound like Japanese text symbols. Raises ValueError for what is no mora."""
    written = ""
    consonant: tuple[str, ...] = ()
    for symbol in symbols:
        mora = _kana_of().get((*consonant, symbol))
        if mora is None and consonant:
            raise ValueError(f"{' '.join((*consonant, symbol))} is no Japanese mora")
        written, consonant = (written, (symbol,)) if mora is None else (written + mora, ())
    return written

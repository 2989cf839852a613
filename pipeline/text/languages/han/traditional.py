"""Traditional characters for what the rules add to a text that is written in them."""

from __future__ import annotations

from functools import lru_cache

_TRADITIONAL = str.maketrans(
    "点两万亿负摄华欧镑韩币卢铢纳码顷仑吨钟时兹电尔贝转帧减于约号划线杠问无穷积纪级马属从爱里个刻贰导连乘张阵条项韦图论远类纽",
    "點兩萬億負攝華歐鎊韓幣盧銖納碼頃侖噸鐘時茲電爾貝轉幀減於約號劃線槓問無窮積紀級馬屬從愛里個刻貳導連乘張陣條項韋圖論遠類紐",
)


@lru_cache(maxsize=4096)
def traditional(reading: str) -> str:
    return reading.translate(_TRADITIONAL)


def is_traditional(text: str) -> bool:
    """Whether more characters are only in the traditional national set (Big5) than only in the simplified (GB 2312)."""
    return not text.isascii() and sum(map(_leaning, text)) > 0


@lru_cache(maxsize=8192)
def _leaning(char: str) -> int:
    """1 for traditional, -1 for simplified, 0 for what both have or neither."""
    return _encodes(char, "big5") - _encodes(char, "gb2312") if "\u4e00" <= char <= "\u9fff" else 0


def _encodes(char: str, charset: str) -> bool:
    try:
        char.encode(charset)
    except UnicodeEncodeError:
        return False
    return True

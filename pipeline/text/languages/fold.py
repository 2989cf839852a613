"""Folds the many ways Unicode writes the same thing, for every language: full-width forms, presentation forms,
invisible characters, emoji, markup remnants, repeated punctuation."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache, lru_cache

_FULL_WIDTH = "＂＃＄％＆＇＊＋－．／＜＝＞＠＼＾＿｀｛｜｝～￥"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufffc\ufffd"
)
_SPACES = "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_LINES = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_SAME = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "‒": "-", "﹣": "-", "⁃": "-", "〜": "~", "∼": "~", "∶": ":", "︰": ":",
    "µ": "μ", "Ω": "Ω", "℃": "°C", "℉": "°F", "º": "°", "˚": "°", "¥": "¥", "﹩": "$", "·": "·", "・": "・", "✕": "×",
    "✖": "×", "╳": "×", "➕": "+", "➖": "-", "➗": "÷", "⁄": "/", "∕": "/", "№": "No.", "″": "\"", "′": "'",
    "＇": "'", "﹪": "%", "﹢": "+", "⩽": "≤", "⩾": "≥", "≦": "≤", "≧": "≥", "‥": "…", "⋯": "…", "ß": "ss",
}  # fmt: skip
# Emoji, dingbats, box drawing, arrows drawn as emoji, flags, tags, variation selectors, keycap; ★ ✓ × stay for rules.
_EMOJI = re.compile(
    "[\u20e3\u2300-\u23ff\u2500-\u25b2\u25b4-\u2604\u2607-\u263f\u2643-\u26ff\u2701-\u2712\u2719-\u2756\u2758-"
    "\u2775\u2794-\u27bf\u2b05-\u2bff"
    "\ufe00-\ufe0f\U0001f000-\U0001faff\U000e0000-\U000e0fff]+"
)
_COMPATIBILITY = re.compile(
    "[\u2100-\u2102\u2104-\u2108\u210a-\u2115\u2117-\u2121\u2123-\u2125\u2127-\u213f\u2145-\u214f\u3200-"
    "\u33ff\uf900-\ufaff\ufb00-\ufb4f\uff5f-\uffef"
    "\U0001d400-\U0001d7ff\U0001f100-\U0001f1e5\U0002f800-\U0002fa1f]+"
)
_ROUND_ZERO = re.compile("(?<=[一二三四五六七八九〇零])[○◯]")
_ROW_OF_ONE = re.compile("([\u3200-\u33ff℃℉№]\ufe0f?)\\1{2,}|(×)\\2{4,}")  # ㊗️㊗️㊗️ is said once
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_CIRCLED = re.compile("[\u2460-\u2473\u2474-\u249b\u24eb-\u24ff\u2776-\u2793]")  # ① ⑴ ⒈ ⓫ ⓵ ❶ ➀ ➊
# What most texts beyond ASCII are without, so that they need none of the changes but to composed characters.
_RARE = re.compile(
    rf"{_OTHER_DIGIT.pattern}|[\ud800-\udfff○◯❤♥℃℉№]|×{{5}}|{_EMOJI.pattern[:-1]}|{_COMPATIBILITY.pattern[:-1]}|{_CIRCLED.pattern}"
)
_I_LOVE = re.compile(r"(?<=我)(?:❤|♥)\ufe0f?(?=\w)|(?<=\bI)\s?(?:❤|♥)\ufe0f?\s?(?=\w)")
_TAG = re.compile(
    r"</?(?:br|p|div|span|b|i|u|em|strong|a|li|ul|ol|h[1-6]|sub|sup|img|font|code|pre|table|tr|td|th|hr)"
    r"\b[^<>\n]{0,200}>",
    re.I,
)
_CONTROL = re.compile(r"<\|[^|<>\n]{0,40}\|>")  # <|endoftext|> and its like
_TITLE = re.compile(r"<<([^<>\n]{1,40})>>")  # as 《 》 are written on some keyboards
_LINK = re.compile(r"!?\[([^\[\]\n]{0,200})\]\((?:https?:|/|#|\.|www\.|mailto:)[^()\s]{0,300}\)")
_LINE_MARK = re.compile(
    r"^[ ]{0,8}(?:#{1,6}[ ]+|>(?![ ]?[=\d])[ ]?|[-*+•◦▪‣●○■□◆◇][ ]+|[•◦▪‣●■◆]|(?:[-*_=][ ]?){3,200}$"
    r"|\|?(?:[ :]{0,3}-{3,40}[ :]{0,3}\|){1,40}.{0,60}$)",
    re.M,
)
_EMPHASIS = re.compile(r"(\*\*|__|~~|`{1,3})(?=\S)")
_EMPHASIS_END = re.compile(r"(?<=\S)(?:\*\*|__|~~|`{1,3})")
_ITALIC = re.compile(r"(?<![\w*)])\*(?=[^\s*\d])([^*\n]{1,80})(?<=\S)\*(?![\w*])")
_MARKUP = re.compile(r"[<&\[#>*_~`|•◦▪‣●○■□◆◇]|^[ ]{0,8}[-+=]", re.M)
_REPEATED = re.compile(
    r"([！？!?，,、；;：~～\-=_*#@&^|·•<>%$€£¥°≤≥≠≈√∞÷±∑∏∫∂△∠→←↑↓])\1+|([！？!?])(?:[！？!?]*)|。{2,}|\.{2,}|…{2,}"
)
_BLANKS = re.compile(r"[ ]{2,}")
_NEWLINES = re.compile(r"[ ]*\n[ \n]*")
_EMOTICON = re.compile(
    r"(?<![\w)|<])(?:[:;=]-?[)(DPpO3]|\^_{0,3}\^|[TQ]_[TQ]|>_<|o_O|[xX]D|<3|\(\^[^()"
    r"\n]{0,6}\^\)|\([*≧><´•ω｀^▽￣ー°□╯；;'_\-～~。・∀∇皿д/\\Дノ]{3,12}\))(?![A-Za-z0-9_])"
)
_MARKS = " ，。！？、；：,.%！?“”‘’（）《》"
# What most texts are without: all but letters, digits and these marks, two marks side by side, an emoticon of letters.
_UNUSUAL = re.compile(rf"[^A-Za-z0-9ぁ-ゖァ-ヺー\u4e00-\u9fff가-힣{_MARKS}]|[{_MARKS}]{{2}}|[xX]D")


@cache
def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = {
        code: chr(code - 0xFEE0) for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
    }
    table.update({ord(char): unicodedata.normalize("NFKC", char) for char in _FULL_WIDTH})
    table.update({ord(char): None for char in _INVISIBLE})
    table.update({ord(char): " " for char in _SPACES})
    table.update({ord(char): "\n" for char in _LINES})
    table.update(dict.fromkeys((*range(0, 9), *range(14, 28), 31, *range(127, 133), *range(134, 160))))
    table.update({ord(char): same for char, same in _SAME.items()})
    return table


def fold(text: str) -> str:
    """The same text with one way to write each thing. Line breaks stay as single newlines."""
    if not _UNUSUAL.search(text):
        return text.strip()
    if not text.isascii():
        text = _fold_unicode(text)
    text = text.replace("\r\n", "\n").translate(_table())
    if _MARKUP.search(text):
        text = _without_markup(text)
    text = _EMOTICON.sub("", text)
    text = _REPEATED.sub(_once, text)
    if "  " in text:
        text = _BLANKS.sub(" ", text)
    return _NEWLINES.sub("\n", text).strip() if "\n" in text else text.strip()


def _fold_unicode(text: str) -> str:
    if not _RARE.search(text):
        return unicodedata.normalize("NFC", text)
    text = text.encode("utf-8", "ignore").decode("utf-8")  # lone surrogates
    text = unicodedata.normalize("NFC", text)
    text = _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match.group())), text)
    if "❤" in text or "♥" in text:
        text = _I_LOVE.sub(_love, text)
    if "○" in text or "◯" in text:
        text = _ROUND_ZERO.sub("〇", text)
    text = _COMPATIBILITY.sub(_compatible, _ROW_OF_ONE.sub(r"\1\2", text))
    return _EMOJI.sub(" ", _CIRCLED.sub(_circled, text))


def _love(match: re.Match[str]) -> str:
    return "爱" if match.string[match.start() - 1] == "我" else " love "


def _compatible(match: re.Match[str]) -> str:
    return (
        "".join(map(_compatible_char, match.group()))
        if not "\uff61" <= match.group()[0] <= "\uffdc"
        else unicodedata.normalize("NFKC", match.group())
    )


def _circled(match: re.Match[str]) -> str:
    number = f"{unicodedata.numeric(match.group()):.0f}"
    start, end = match.span()
    following = match.string[end : end + 1]
    is_list = following.isalpha() and not match.string[max(0, start - 1) : start].isalnum()
    return f" {number}{', ' if following.isascii() else '，'}" if is_list else f" {number} "


@lru_cache(maxsize=4096)
def _compatible_char(char: str) -> str:
    plain = unicodedata.normalize("NFKC", char)
    if "\u3380" <= char <= "\u33df" and plain[-1] in "23":
        return plain[:-1] + "²³"[int(plain[-1]) - 2]  # ㎡ is m², not m2
    return plain.replace("∕", "/").replace("⁄", "/")


def _without_markup(text: str) -> str:
    if "&" in text and ";" in text:
        text = html.unescape(text).replace("\xa0", " ")
    if "<" in text:
        text = _TITLE.sub(r"《\1》", _TAG.sub(" ", _CONTROL.sub(" ", text)))
    if "](" in text:
        text = _LINK.sub(r"\1", text)
    text = _LINE_MARK.sub("", text)
    text = (
        _EMPHASIS_END.sub("", _EMPHASIS.sub("", text))
        if "*" in text or "`" in text or "__" in text or "~~" in text
        else text
    )
    return _ITALIC.sub(r"\1", text) if "*" in text else text


def _once(match: re.Match[str]) -> str:
    run = match.group()
    if run[0] in "。.…":
        return "…" if run[0] != "." or len(run) > 1 else run
    if run[0] in "！？!?":
        return "".join(dict.fromkeys(run))
    if run[0] in "-=_*#@&^|~":
        return run if len(run) == 2 and run[0] in "-=&|+" else run[0] if run[0] in "~-" else " "
    return run[0]

"""Tones as they are spoken: neutral tone, 不 and 一, third tones in a row, and the r that 儿 leaves on a syllable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import ne

from pipeline.text.phrases import DATA, PhraseTable, read_words
from pipeline.text.suffixes import ERHUA, SUFFIXES, erhua_places, is_neutral_suffix, merge_erhua, tone_of
from pipeline.text.third_tone import change_third_tones

_DIGITS = frozenset("零〇一二三四五六七八九十")
_MEASURES = frozenset("个只条张本把件位块")
_ENDS_IN_ONE = (
    "一一", "万一", "唯一", "统一", "专一", "单一", "之一", "合一",
    "划一", "如一", "归一", "同一", "星期一", "礼拜一", "周一", "初一",
)  # fmt: skip
_ORDINALS = (
    "一等奖", "一等功", "一等座", "一流", "一线", "一级", "一审", "一把手",
    "一年级", "一中", "一楼", "一班", "一期", "一一", "一季度", "一环",
)  # fmt: skip
_COMPLEMENTS = frozenset("见懂到了起住完清动开下上去来出得着及过成好透够准定惯掉尽错全满死中多少")
_VERBS = frozenset(
    "看听吃说想走买做了干拿打受忍忘来找记见认分弄搞猜赶放坐站睡读写学抓留挡吞咽喝信划靠算用过开关进出"
    "上下回起跑跳飞游爬拉推搬抬背扛装卸洗擦扫刷修补解理管治救养活死赢输比赛追撵逮捉躲逃避免舍容保顾忙"
    "累改变换接送寄收存借还付花卖租住穿戴脱盖铺挂摆停等待守闻摸碰够着对合配禁提举端咬嚼消化止得料瞒骗"
    "哄惹叫喊唤醒问答教讲谈聊差少离"
)
_MOVING_VERBS = _VERBS | frozenset(
    "冲升降投挤伸缩露流冒涌扑靠围凑绕穿迎送递扔抛丢掉落滚滑摔翻掏取捡捧夹叠堆坚挺振哭笑唱骂聊热亮多好"
)
_GET_VERBS = frozenset("巴恨怪由使要值舍顾")  # before 不得
_DOUBLED_VERBS = frozenset(
    "看听吃说想走买做打找问尝歇谈瞧逛转写学讲练动擦洗摸闻猜帮管比算查翻唱睡躺笑用改求劝瞅抱揉捏晒吹聊坐等试玩"
    "读背数量称挑选教陪拉推拍扫拖刷补修养缓聚遛跑跳游爬踢拜见催压切炒煮喝泡敲念画跟带搬抖摇理挠挪碰品歪"
)
_MAYBE_NEUTRAL = re.compile(rf"[{SUFFIXES}来去]|(.)(?<=\1\1)", re.S)  # a suffix, a direction, a character doubled
_DIRECTIONS = frozenset("起上下进出回过")
_CALCULATIONS = ("加", "减", "乘", "除", "比", "等于")


class Sandhi:
    """Rules of spoken Mandarin. `neutral` finds words and gives "5" to their neutral syllables."""

    def __init__(self, neutral: PhraseTable) -> None:
        self._neutral = neutral

    @staticmethod
    def load() -> Sandhi:
        words = {word.lstrip("!"): "5" if word[0] != "!" else None for word in read_words(DATA / "neutral.txt")}
        return Sandhi(PhraseTable({word: (None,) * (len(word) - 1) + (tone,) for word, tone in words.items()}))

    def spoken(self, text: str, syllables: Sequence[str], word_of: Sequence[int]) -> list[str]:
        """One item per character; an 儿 that becomes the r of the syllable before it is empty.

        Args:
            syllables: tone-number pinyin of each character before sandhi.
            word_of: for each character the number of its word.
        """
        written = list(map(tone_of, syllables))
        tones = list(written)
        self._make_neutral(text, tones, word_of)
        lexical = list(tones)
        _change_bu(text, tones, lexical)
        _change_yi(text, tones, lexical, word_of)
        erhua = erhua_places(text, word_of)
        change_third_tones(text, tones, word_of, erhua)
        spoken = list(syllables)
        for k in compress(range(len(tones)), map(ne, written, tones)):
            spoken[k] = spoken[k][:-1] + tones[k]
        return merge_erhua(spoken, erhua)

    def _make_neutral(self, text: str, tones: list[str], word_of: Sequence[int]) -> None:
        for match in self._neutral.matches(text, word_of):
            for k, tone in enumerate(match.syllables, match.start):
                tones[k] = tone or tones[k]
        for found in _MAYBE_NEUTRAL.finditer(text, 1):
            k = found.start()
            if not tones[k - 1] or tones[k] == "5":
                continue
            is_joined, is_last = word_of[k] == word_of[k - 1], [word_of[k]] != word_of[k + 1 : k + 2]
            is_suffix = is_neutral_suffix(text, k, is_joined, is_last)
            if is_suffix or _is_doubled_verb(text, k) or _is_direction(text, k):
                tones[k] = "5"


def _is_doubled_verb(text: str, k: int) -> bool:
    """The second 看 of 看看, not of 看看看, 写写画画 or 层层."""
    char = text[k]
    if char != text[k - 1] or char not in _DOUBLED_VERBS or char in text[max(0, k - 2) : k - 1]:
        return False
    before, following = text[max(0, k - 3) : k - 1], text[k + 1 : k + 3]
    return not following.startswith((char, "地", ERHUA)) and not _is_pair(before) and not _is_pair(following)


def _is_pair(text: str) -> bool:
    return len(text) == 2 and text[0] == text[1]


def _is_direction(text: str, k: int) -> bool:
    """来 and 去 behind a verb and its direction: 站起来, 走出去, but neither 一起来 nor 站不起来."""
    return k > 1 and text[k] in "来去" and text[k - 1] in _DIRECTIONS and text[k - 2] in _MOVING_VERBS


def _change_bu(text: str, tones: list[str], lexical: Sequence[str]) -> None:
    for k in _places(text, "不"):
        if not tones[k] or k + 1 == len(text):
            continue
        if k and _is_infix(text, k):
            tones[k] = "5"
        elif lexical[k + 1] == "4":
            tones[k] = "2"


def _places(text: str, char: str) -> Iterator[int]:
    k = text.find(char)
    while k >= 0:
        yield k
        k = text.find(char, k + 1)


def _is_infix(text: str, k: int) -> bool:
    """Whether 不 stands in 好不好 or 看不见."""
    before, after = text[k - 1], text[k + 1]
    if before == after or (before in _GET_VERBS and after == "得"):
        return True
    return before in _VERBS and after in _COMPLEMENTS


def _change_yi(text: str, tones: list[str], lexical: Sequence[str], word_of: Sequence[int]) -> None:
    for k in _places(text, "一"):
        if tones[k] != "1" or k + 1 == len(text) or not lexical[k + 1]:
            continue
        if k and text[k - 1] == text[k + 1] and text[k - 1] not in _DIGITS:
            tones[k] = "5"
        elif not _is_number(text, k, word_of):
            tones[k] = "2" if lexical[k + 1] == "4" or text[k + 1] == "个" else "4"


def _is_number(text: str, k: int, word_of: Sequence[int]) -> bool:
    """Whether 一 is a number in a row and not a quantity: an ordinal, a digit, a date, or the end of 统一."""
    before, after = text[k - 1] if k else "", text[k + 1]
    if (before == "月" and after == "日") or _is_calculated(text, k) or _is_school_year(text, k):
        return True
    if after in "月号" or before in ("第", "初") or text.startswith(_ORDINALS, k):
        return True
    if after == "十" and before in ("百", "千", "万", "零"):
        return True
    if before in _DIGITS:
        return before != "十" or after not in _MEASURES
    if after in _DIGITS and after != "十":
        return True
    return text.endswith(_ENDS_IN_ONE, 0, k + 1) and word_of[k] != word_of[k + 1]


def _is_calculated(text: str, k: int) -> bool:
    """一加一, 一比三, 一等于."""
    if not text.startswith(_CALCULATIONS, k + 1):
        return False
    return text.startswith("等于", k + 1) or text[k + 2 : k + 3] in _DIGITS


def _is_school_year(text: str, k: int) -> bool:
    """高一学生 and 大一新生, but not 高一点."""
    return k > 0 and text[k - 1] in "高大" and text[k + 1] in "学新男女班生上下开的时刚就那年"

"""The suffixes 子, 头, 们 and 么, whose tone is neutral, and 儿, that leaves its r on the syllable before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

ERHUA = "儿"
SUFFIXES = "们么头子"
_CHILD_SUFFIX_BEFORE = frozenset(
    "电原分男女王孔孟庄荀墨韩弟质中离粒种因父母君才士公太皇天赤精卵量光游浪学莲松瓜孝帝仙神亲臣夫童诸"
    "介核正负算矩晶庶长次嫡世犬虎西棋义养独逆生家鱼附晏列朱程竖贵黑石味明瞳幼佛英惠美洋良纪幸三四五六"
    "七八九巨逊玄孺骄浊荆"
)
_SUFFIX_INSIDE_AFTER = frozenset(
    "孩桌椅房屋车鞋袜帽裤裙被毯筷勺刀叉盘碟杯瓶罐盒箱柜袋饺包粽橘桃李兔狮猴肚脖嗓鼻胡辫妻嫂婶侄儿胖瘦"
    "聋哑傻疯瞎骗爪日样棍绳锤钉扇刷本册片影院村园林窑坑岛叶苗谷麦银金面粉丸架台案垫篮"
)
_WORD_SUFFIXES = frozenset("们么")
_ROOT_HEADS = frozenset("石木骨馒舌拳枕罐锄斧砖指念里外上下前后丫跟苦盼兆浪派来榔芋码额")  # before 头
_CHILD_BEFORE = frozenset("女婴幼孤少胎健男小血生宠弃育患产妻侄孙能形浪运潮体一乳娇贫病养亲我吾")  # 儿 is a child
_CHILD_AFTER = frozenset("子女童科媳孙歌")


@lru_cache(maxsize=4096)
def tone_of(syllable: str) -> str:
    """1 to 5, or nothing for what is no syllable."""
    is_syllable = len(syllable) > 1 and syllable[-1] in "12345" and syllable[0].isalpha() and syllable.isascii()
    return syllable[-1] if is_syllable else ""


def is_neutral_suffix(text: str, k: int, is_joined: bool, is_last: bool) -> bool:
    char, before = text[k], text[k - 1]
    if char in _WORD_SUFFIXES:
        return is_joined or char == "们"
    if char == "头":
        return is_joined and before in _ROOT_HEADS and text[k + 1 : k + 2] != ERHUA
    if char != "子" or not is_joined:
        return False
    return before in _SUFFIX_INSIDE_AFTER or (is_last and before not in _CHILD_SUFFIX_BEFORE)


def erhua_places(text: str, word_of: Sequence[int]) -> list[int]:
    """Where an 儿 joins the syllable before it."""
    places: list[int] = []
    k = text.find(ERHUA)
    while k >= 0:
        if _is_erhua_at(text, k, word_of):
            places.append(k)
        k = text.find(ERHUA, k + 1)
    return places


def _is_erhua_at(text: str, k: int, word_of: Sequence[int]) -> bool:
    if k == 0 or not "\u3400" <= text[k - 1] <= "\u9fff":
        return False
    before, after = text[k - 1], text[k + 1 : k + 2]
    is_alone = word_of[k] != word_of[k - 1]
    if is_alone and after and (after in _CHILD_AFTER or word_of[k] == word_of[k + 1]):
        return False
    if not is_alone and after and word_of[k] == word_of[k + 1]:
        return before in "玩这那哪点会事"
    if before == "孩":
        return text[k - 2 : k - 1] in ("小", "男", "女")
    return before not in _CHILD_BEFORE


def merge_erhua(spoken: list[str], erhua: Iterable[int]) -> list[str]:
    for k in erhua:
        if tone_of(spoken[k - 1]):
            spoken[k - 1] = f"{spoken[k - 1][:-1]}r{spoken[k - 1][-1]}"
            spoken[k] = ""
    return spoken

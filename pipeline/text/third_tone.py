"""Third tones in a row: which of them become second, foot by foot."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import compress, pairwise
from operator import itemgetter, ne

_LEADING_WORDS = frozenset((
    "总统", "总理", "老板", "老虎", "老鼠", "小姐", "小鬼", "好友", "美女",
    "美好", "女子", "党委", "纸板", "买主", "很久", "也许", "米粉",
))  # fmt: skip
Foot = tuple[int, int]  # start and end among the characters that are a syllable
_THIRD_IN_ROW = re.compile("3(?=[35])")
_PAUSES = frozenset("，。！？；：、,.!?;: \n“”\"'（）()《》…—")


def change_third_tones(text: str, tones: list[str], word_of: Sequence[int], erhua: Collection[int]) -> None:
    """Third tones before a third tone become second, inside each foot from its end to its beginning."""
    # The r of a syllable is no place of its own.
    kept = [k for k in range(len(tones)) if k not in erhua] if erhua else range(len(tones))
    original = "".join([tones[k] or "0" for k in kept])
    pairs = [match.start() for match in _THIRD_IN_ROW.finditer(original)]
    feet = _feet(text, word_of, kept) if pairs else []
    for i in pairs:
        if original[i + 1] == "3" or _was_third(text, kept[i + 1]):
            start, end = _branch(_foot_at(i, feet), original, text, word_of, kept)
            is_halved = end - start == 4 and i == start + 1  # four characters are two and two
            if start <= i < end - 1 and not is_halved:
                tones[kept[i]] = "2"


def _was_third(text: str, k: int) -> bool:
    """想想 is xiang2 xiang5: the neutral half of a doubled verb still counts as third."""
    return text[k] == text[k - 1] and text[k] not in "姐奶姥嫂宝婶"


def _foot_at(i: int, feet: Sequence[Foot]) -> Foot:
    """The one that i is in, or a foot that it is not in."""
    following = bisect_right(feet, i, key=itemgetter(0))
    return feet[following - 1] if following else (i + 1, i + 1)


def _feet(text: str, word_of: Sequence[int], kept: Sequence[int]) -> list[Foot]:
    """What is spoken in one breath: a word, two single characters, or a single one with its neighbour; not marks."""
    numbers = [word_of[k] for k in kept]
    starts = [0, *compress(range(1, len(kept)), map(ne, numbers, numbers[1:])), len(kept)]
    feet: list[Foot] = []
    is_open = False  # whether the last foot is one single character that waits for its neighbour
    for start, end in pairwise(starts):
        char = text[kept[start]]
        if char in _PAUSES or not char.isalpha():
            if is_open:
                _join_tail(feet)
            is_open = False
        elif is_open:
            feet[-1] = feet[-1][0], end
            is_open = False
        else:
            feet.append((start, end))
            is_open = end - start == 1
    if is_open:
        _join_tail(feet)
    return feet


def _join_tail(feet: list[Foot]) -> None:
    """A single character at the end of a clause joins the foot before it."""
    start, end = feet[-1]
    if len(feet) > 1 and feet[-2][1] == start and start - feet[-2][0] <= 2:
        feet[-2:] = [(feet[-2][0], end)]


def _branch(foot: Foot, tones: str, text: str, word_of: Sequence[int], kept: Sequence[int]) -> Foot:
    """The foot; without its first character, that keeps its tone, where three are one and two (小-老虎)."""
    start, end = foot
    is_parted = end - start == 3 and tones[end - 1] == "3" and _is_one_and_two(kept[start:end], text, word_of)
    return (start + 1, end) if is_parted else foot


def _is_one_and_two(foot: Sequence[int], text: str, word_of: Sequence[int]) -> bool:
    first, second, third = foot
    if word_of[first] != word_of[second]:
        return word_of[second] == word_of[third]
    if text[first : second + 1] in _LEADING_WORDS:
        return False
    return word_of[second] == word_of[third] and text[first] in "小老好总纸米买很有也我你女党"

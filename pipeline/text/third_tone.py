"""Third tones in a row: which of them become second, foot by foot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from operator import ne

_LEADING_WORDS = frozenset((
    "总统", "总理", "老板", "老虎", "老鼠", "小姐", "小鬼", "好友", "美女",
    "美好", "女子", "党委", "纸板", "买主", "很久", "也许", "米粉",
))  # fmt: skip
Foot = tuple[int, int]  # start and end among the characters that are a syllable
_BREAK: Foot = (0, 0)  # in the place of a mark, which no foot reaches across
_THIRD_IN_ROW = re.compile("3[35]")
_PAUSES = frozenset("，。！？；：、,.!?;: \n“”\"'（）()《》…—")


def change_third_tones(text: str, tones: list[str], word_of: Sequence[int], erhua: Sequence[bool]) -> None:
    """Third tones before a third tone become second, inside each foot from its end to its beginning."""
    kept = [k for k, is_r in enumerate(erhua) if not is_r]  # the r of a syllable is no place of its own
    original = "".join([tones[k] or "0" for k in kept])
    if not _THIRD_IN_ROW.search(original):
        return
    for foot in _feet(text, word_of, kept):
        start, end = _branch(foot, original, text, word_of, kept)
        for i in range(start, end - 1):
            is_halved = end - start == 4 and i == start + 1  # four characters are two and two
            if (
                original[i] == "3"
                and not is_halved
                and (original[i + 1] == "3" or _was_third(text, kept, i + 1, original))
            ):
                tones[kept[i]] = "2"


def _was_third(text: str, kept: Sequence[int], i: int, tones: str) -> bool:
    """想想 is xiang2 xiang5: the neutral half of a doubled verb still counts as third."""
    return tones[i] == "5" and text[kept[i]] == text[kept[i] - 1] and text[kept[i]] not in "姐奶姥嫂宝婶"


def _feet(text: str, word_of: Sequence[int], kept: Sequence[int]) -> list[Foot]:
    """What is spoken in one breath: a word, two single characters, or a single one with its neighbour."""
    numbers = [word_of[k] for k in kept]
    starts = [0, *(i for i, is_new in enumerate(map(ne, numbers, numbers[1:]), 1) if is_new), len(kept)]
    feet: list[Foot] = []
    is_open = False  # whether the last foot is one single character that waits for its neighbour
    for start, end in pairwise(starts):
        char = text[kept[start]]
        if char in _PAUSES or not char.isalpha():
            is_open = False
            feet.append(_BREAK)
        elif is_open:
            feet[-1] = feet[-1][0], end
            is_open = False
        else:
            feet.append((start, end))
            is_open = end - start == 1
    return _with_tails(feet)


def _with_tails(feet: list[Foot]) -> list[Foot]:
    """A single character at the end of a clause joins the foot before it."""
    joined: list[Foot] = []
    for start, end in feet:
        if end - start == 1 and joined and 0 < joined[-1][1] - joined[-1][0] <= 2:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


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

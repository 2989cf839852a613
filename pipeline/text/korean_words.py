"""Korean words and word pairs whose sound the rules alone would miss, rewritten so that the rules read them right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import product
from operator import add

from pipeline.text.korean_rules import CODAS, INITIALS, VOWELS, Syllable, closed, is_syllable, tensed, with_n

_MARKS: dict[str, Callable[[Syllable], None]] = {"'": tensed, "+": with_n}
_LIKE_ENDINGS = frozenset("가과도다고지게습소")  # a short word that ends so may only begin a word: 대가, but 군대+가


# Dependent nouns with what may follow them, and nouns that often have an attribute.
_DEPENDENT = (
    "것|거(?=[예야다라지니든죠는를나면에냐래고같]|{end})|[게건걸]{end}|겁|데(?=[가는도에를서]|{end})|바(?=[를가는에와]|{end})"
    "|수(?=[가는도밖록없있]|{end})|적(?=[이에은도]|{end})|줄(?=[은을도알로]|{end})|듯|지(?=[도는를]|{end})|곳|도리"
    "|법(?=[하이은]|{end})"
)
_WITH_ATTRIBUTE = "사람|생각|시간|정도|가능성|기회|계획|자리|방법|장소|준비"
_NO_ATTRIBUTE = (
    "오늘|서울|물|말|일|글|길|하늘|가을|겨울|마을|얼굴|이틀|사흘|열흘|교실|사실|현실|술|달|별|딸|아들|팔|발|월"
)
_COUNTERS = "개|시|살|번|장|권|대|병|달|가지|잔|벌|자루|군데|단계|배|박|사람"
_OWN_ENDINGS = (
    "혼란|곤란|반란|논란|환란|산란|권력|전력|인력|근력|진력|분량|분력|연령|연료|관례|관료|원료|완료|만료|진료|전례|한량"
)


def _syllables(initials: str, vowels: str, codas: Sequence[str]) -> str:
    """A class of a regular expression: the syllables made of these letters."""
    return "".join(Syllable(*letters).char for letters in product(initials, vowels, codas))


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], Callable[[Syllable], None]], ...]:
    """What changes a group's first syllable, and how."""
    end = "(?![가-힣])"
    every = "".join(INITIALS), "".join(VOWELS)
    ends_l, ends_n, ends_s = (_syllables(*every, [coda]) for coda in ("ㄹ", "ㄴ", "ㅅ"))
    y_vowels = _syllables("ㅇ", "ㅑㅕㅛㅠㅣ", CODAS)
    particle = f"(?=[이가은는을를의에도과와만로]|{end})"
    rows = [
        # ㄹ of a verb that is an attribute, or of an ending, tenses what follows (article 27).
        (f"[{ends_l}](?<!를) ({_DEPENDENT.format(end=end)})", tensed),
        (f"(?<![가-힣])(?!(?:{_NO_ATTRIBUTE}) )[가-힣]*[{ends_l}](?<![을를]) ({_WITH_ATTRIBUTE})", tensed),
        (f"[{ends_l}](수록|지라도|지언정|진대|세라)", tensed),
        (f"[할갈올볼줄될을낼릴킬쓸둘](게요?|걸요?|지도?|밖에){end}", tensed),
        (f"(?<![가-힣])(?:열|여덟) ({_COUNTERS})", tensed),
        # ㄴ stands before 이, 야, 여, 요 and 유 at the seam of a pair (article 29).
        (f"(?:[하되있없]는|[{ends_l}한된큰본](?<![을를])) (일)(?=[이을은도에들만로과]|{end})", with_n),
        (f"[{ends_s}{ends_l}] (입[다고는어었을은지])", with_n),
        (f"(?<![가-힣])못 ([{y_vowels}])", with_n),
        ("[른흔물쉰순든] ?(여섯|여덟)", with_n),
        # ㄴㄹ is ㄴㄴ before an ending of Sino-Korean words (article 20).
        (f"(?<=[가-힣])(?!{_OWN_ENDINGS})[{ends_n}](란|량|력|령|례|료){particle}", with_nasal),
    ]
    return tuple((re.compile(pattern), change) for pattern, change in rows)


def with_nasal(syllable: Syllable) -> None:
    syllable.initial = "ㄴ"


def respelled(text: str) -> str:
    """The text as it must be spelled for the rules; of the same length."""
    chars = list(text)
    for start, spelled in load_words().matches(text):
        chars[start : start + len(spelled)] = spelled
    for pattern, change in _patterns():
        for match in pattern.finditer(text):
            place = match.start(1)
            syllable = Syllable.of(chars[place])
            change(syllable)
            chars[place] = syllable.char
    return "".join(chars)


class KoreanWords:
    """Args: word -> spelling, of equal lengths."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._lengths: dict[str, int] = {}  # the longest word with the same first two characters; no word is shorter
        for word in words:
            self._lengths[word[:2]] = max(len(word), self._lengths.get(word[:2], 0))

    def matches(self, text: str) -> Iterator[tuple[int, str]]:
        """(start, spelling) from left to right, without overlap, the longest first."""
        end = 0
        for start, longest in enumerate(map(self._lengths.get, map(add, text, text[1:]))):
            if longest and start >= end and (spelled := self._longest(text, start, longest)) is not None:
                yield start, spelled
                end = start + len(spelled)

    def _longest(self, text: str, start: int, longest: int) -> str | None:
        for length in range(min(longest, len(text) - start), 1, -1):
            spelled = self._words.get(text[start : start + length])
            if spelled is not None and (length > 2 or _may_stand(text, start)):
                return spelled
        return None


def _may_stand(text: str, start: int) -> bool:
    is_inside = start > 0 and is_syllable(text[start - 1])
    return not (is_inside and text[start + 1] in _LIKE_ENDINGS)


def parse_word(marked: str) -> tuple[str, str]:
    """(word, spelling) of a line's item: 갈'등 -> 갈등, 갈뜽."""
    if "=" in marked:
        word, _, spelled = marked.partition("=")
        return word, spelled
    syllables: list[Syllable] = []
    for mark, char in re.findall("([-'+]?)(.)", marked):
        syllables.append(Syllable.of(char))
        if mark == "-":
            closed(syllables[-2])
        elif mark:
            _MARKS[mark](syllables[-1])
    return re.sub("[-'+]", "", marked), "".join(syllable.char for syllable in syllables)


@lru_cache(maxsize=1)
def load_words() -> KoreanWords:
    lines = (files("pipeline.text") / "data" / "korean_words.txt").read_text("utf-8").splitlines()
    return KoreanWords(dict(parse_word(item) for line in lines if not line.startswith("#") for item in line.split()))

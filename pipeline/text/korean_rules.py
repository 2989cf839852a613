"""Korean sound changes between two syllables, by the articles of the Standard Pronunciation (표준 발음법).

Letters are compatibility jamo. A syllable is changed in place together with the one that follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIALS = tuple("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")
VOWELS = tuple("ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ")
CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
_FIRST, _LAST = 0xAC00, 0xD7A3

_TENSE = dict(zip("ㄱㄷㅂㅅㅈ", "ㄲㄸㅃㅆㅉ", strict=True))
_ASPIRATED = dict(zip("ㄱㄷㅂㅈ", "ㅋㅌㅍㅊ", strict=True))
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
# Articles 8 to 11: seven sounds close a syllable.
_CLOSED = {
    **dict.fromkeys("ㄱㄲㅋㄳㄺ", "ㄱ"),
    **dict.fromkeys("ㄴㄵㄶ", "ㄴ"),
    **dict.fromkeys("ㄷㅅㅆㅈㅊㅌㅎ", "ㄷ"),
    **dict.fromkeys("ㄹㄼㄽㄾㅀ", "ㄹ"),
    **dict.fromkeys("ㅁㄻ", "ㅁ"),
    **dict.fromkeys("ㅂㅍㅄㄿ", "ㅂ"),
    "ㅇ": "ㅇ",
    "": "",
}
_PARTS = {
    **{"ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ", "ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ"},
    **{"ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ"},
}
_PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}
_BEFORE_H = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_TENSING_STEMS = frozenset("ㄵㄼㄾ")  # sonorant when closed, but tense what follows (articles 24 and 25)


@dataclass(slots=True)
class Syllable:
    """`is_apart`: white space stands before it."""

    initial: str
    vowel: str
    coda: str
    is_apart: bool = False

    @classmethod
    def of(cls, char: str, is_apart: bool = False) -> Syllable:
        index = ord(char) - _FIRST
        return cls(INITIALS[index // 588], VOWELS[index // 28 % 21], CODAS[index % 28], is_apart)

    @property
    def char(self) -> str:
        initial, vowel = INITIALS.index(self.initial), VOWELS.index(self.vowel)
        return chr(_FIRST + (initial * 21 + vowel) * 28 + CODAS.index(self.coda))


def is_syllable(char: str) -> bool:
    return _FIRST <= ord(char) <= _LAST


def join(left: Syllable, right: Syllable) -> None:
    """Applies the changes where `right` follows `left`."""
    if right.is_apart:
        left.coda = _CLOSED[left.coda]
    _h_before(left, right)
    _h_after(left, right)
    _palatalise(left, right)
    _link(left, right)
    _tense(left, right)
    left.coda = _CLOSED[left.coda]
    _assimilate(left, right)


def closed(syllable: Syllable) -> None:
    """In place, as all below: ends the syllable as before a pause."""
    syllable.coda = _CLOSED[syllable.coda]


def tensed(syllable: Syllable) -> None:
    """Tenses a plain initial."""
    syllable.initial = _TENSE.get(syllable.initial, syllable.initial)


def with_n(syllable: Syllable) -> None:
    """Puts ㄴ before a vowel (article 29)."""
    if syllable.initial == "ㅇ":
        syllable.initial = "ㄴ"


def simplify_vowel(syllable: Syllable) -> None:
    """Article 5: 져 is 저, 희 is 히."""
    if syllable.vowel == "ㅕ" and syllable.initial in "ㅈㅉㅊ":
        syllable.vowel = "ㅓ"
    elif syllable.vowel == "ㅢ" and syllable.initial != "ㅇ":
        syllable.vowel = "ㅣ"


def _h_before(left: Syllable, right: Syllable) -> None:
    """Article 12: ㅎ of the left syllable."""
    if left.coda not in ("ㅎ", "ㄶ", "ㅀ"):
        return
    rest = _PARTS.get(left.coda, "ㅎ")[:-1]
    if right.initial in _ASPIRATED:
        left.coda, right.initial = rest, _ASPIRATED[right.initial]
    elif right.initial == "ㅅ":
        left.coda, right.initial = rest, "ㅆ"
    elif right.initial == "ㅇ" or rest:
        left.coda = rest


def _h_after(left: Syllable, right: Syllable) -> None:
    """Articles 12 and 17: ㅎ of the right syllable joins a stop."""
    if right.initial != "ㅎ":
        return
    if left.coda in ("ㄷ", "ㅌ", "ㄾ") and _is_suffix(right):
        left.coda, right.initial = ("ㄹ" if left.coda == "ㄾ" else ""), "ㅊ"
        simplify_vowel(right)
        return
    rest, last = ("", left.coda) if left.coda not in _PARTS else tuple(_PARTS[left.coda])
    joined = _BEFORE_H.get(last) or _BEFORE_H.get(_CLOSED[last])
    if joined:
        left.coda, right.initial = rest, joined


def _is_suffix(syllable: Syllable) -> bool:
    """Whether it may be the suffix 히 or 혀, but not the noun 형."""
    return not syllable.is_apart and (
        syllable.vowel == "ㅣ" or (syllable.vowel == "ㅕ" and syllable.coda in ("", "ㅆ"))
    )


def _palatalise(left: Syllable, right: Syllable) -> None:
    """Article 17: 굳이 is 구지, 붙여 is 부쳐."""
    if right.initial != "ㅇ" or not _is_suffix(right):
        return
    if left.coda in _PALATAL:
        left.coda, right.initial = "", _PALATAL[left.coda]
    elif left.coda == "ㄾ":
        left.coda, right.initial = "ㄹ", "ㅊ"
    simplify_vowel(right)


def _link(left: Syllable, right: Syllable) -> None:
    """Articles 13 to 15: a consonant moves to the vowel that follows."""
    if right.initial != "ㅇ" or left.coda in ("", "ㅇ"):
        return
    left.coda, moved = tuple(_PARTS.get(left.coda, " " + left.coda))
    left.coda = left.coda.strip()
    right.initial = "ㅆ" if moved == "ㅅ" and left.coda else moved


def _tense(left: Syllable, right: Syllable) -> None:
    """Articles 23 to 25."""
    if right.initial not in _TENSE:
        return
    if left.coda == "ㄺ" and right.initial == "ㄱ":
        left.coda, right.initial = "ㄹ", "ㄲ"
    elif _CLOSED[left.coda] in _NASAL or left.coda in _TENSING_STEMS or _is_stem_m(left, right):
        right.initial = _TENSE[right.initial]


def _is_stem_m(left: Syllable, right: Syllable) -> bool:
    """젊고 is 점꼬, but 옮기다, with a passive or causative suffix, is 옴기다."""
    return left.coda == "ㄻ" and not (right.initial == "ㄱ" and right.vowel in "ㅣㅕ")


def _assimilate(left: Syllable, right: Syllable) -> None:
    """Articles 18 to 20: nasals, and ㄹ beside them. `left.coda` is closed."""
    if right.initial == "ㄹ" and left.coda not in ("", "ㄹ"):
        if left.coda == "ㄴ" and not right.is_apart:
            left.coda = "ㄹ"
            return
        right.initial = "ㄴ"
    if right.initial in ("ㄴ", "ㅁ") and left.coda in _NASAL:
        left.coda = _NASAL[left.coda]
    elif right.initial == "ㄴ" and left.coda == "ㄹ":
        right.initial = "ㄹ"

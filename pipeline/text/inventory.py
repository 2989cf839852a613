"""The text symbols of the bundled voice: marks, then the sounds of five languages, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache


def _names(names: str) -> tuple[str, ...]:
    return tuple(names.split())


START, PAUSE = "^", "|"
MARKS = ("<pad>", START, ",", ".", "!", "?", PAUSE)

# Each final with the tones it occurs in; a tone that is missing is spoken with another one of the same final.
_ZH_INITIALS = "b p m f d t n l g k h j q x zh ch sh r z c s y w"
_ZH_FINALS = {
    "12345": "a ai an ang ao e ei en eng i ia ian iang iao ie in ing iu o ong ou u uai uan uang ui un uo",
    "1234": "iong ua ue",
    "2345": "er",
    "234": "v",
    "34": "ve",
}

# CMUdict's phones; vowels carry stress 0, 1 or 2.
EN_CONSONANTS = _names("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH")
EN_VOWELS = _names("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW")

JA_CONSONANTS = _names("k ky kw s sh t ty ch ts n ny h hy f m my y r ry w g gy gw z j d dy b by p py v")
JA_VOWELS = _names("a i u e o")
JA_LONG, JA_NASAL, JA_STOP = ":", "N", "Q"

# In the order of Unicode's hangul syllables; an initial ㅇ is silent.
KO_INITIALS = ("g", "kk", "n", "d", "tt", "r", "m", "b", "pp", "s", "ss", "", "j", "jj", "ch", "k", "t", "p", "h")
KO_VOWELS = _names("a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i")
KO_CODAS = _names("k n t l m p ng")

YUE_INITIALS = _names("b p m f d t n l g k ng gw kw w h z c s j")
_YUE_FINALS = {
    "123456": "aa aai aam aan aang aau ai am an au e ei eng eoi eon i im in ing iu o oe oeng oi on ong ou u ui un ung "
    "yu yun",
    "12346": "ang oek ok yut",
    "1236": "aak aap aat ap ek ip",
    "1246": "at uk",
    "126": "ak eot",
    "136": "ik it ut",
    "146": "et",
    "456": "ng",
    "14": "m",
    "16": "eu",
    "26": "ep",
    "36": "ot",
    "1": "oet",
}


@lru_cache(maxsize=1)
def text_symbols() -> list[str]:
    """The whole list; a symbol's index is its id."""
    return [
        *MARKS,
        *_prefixed("zh", _ZH_INITIALS.split(), _with_tones(_ZH_FINALS)),
        *_prefixed("en", EN_CONSONANTS, [vowel + stress for vowel in EN_VOWELS for stress in "012"]),
        *_prefixed("ja", JA_CONSONANTS, JA_VOWELS, (JA_LONG, JA_NASAL, JA_STOP)),
        *_prefixed("ko", filter(None, KO_INITIALS), KO_VOWELS, [f"{coda}_" for coda in KO_CODAS]),
        *_prefixed("yue", YUE_INITIALS, _with_tones(_YUE_FINALS)),
    ]


def _prefixed(language: str, *groups: Iterable[str]) -> list[str]:
    return [f"{language}:{sound}" for group in groups for sound in group]


def _with_tones(finals: Mapping[str, str]) -> list[str]:
    return sorted(final + tone for tones, group in finals.items() for final in group.split() for tone in tones)

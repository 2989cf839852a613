"""How the teacher is told each language's sounds, and which symbol each phone that it speaks belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.text.inventory import JA_LONG, JA_NASAL, JA_STOP, JA_VOWELS, KO_VOWELS

Word = tuple[str, ...]  # text symbols, with their language's prefix
Owners = list[tuple[int, ...]]  # of each phone, the symbols that share it, counted over the whole phrase

_SYLLABLE_END = "_|"


@dataclass(frozen=True, slots=True)
class Notation:
    """One language of the teacher.

    Args:
        voice: espeak-ng's name.
        pitch, pitch_range: espeak's parameters; they bring the languages to one height, and make tones wide.
        write: words -> text for the teacher.
        owners: words, names of the phones spoken -> owners; None if they do not fit.
        boundaries: events that end a syllable and are no sounds.
        silent: events without any sound of their own.
    """

    voice: str
    pitch: int
    pitch_range: int
    write: Callable[[Sequence[Word]], str]
    owners: Callable[[Sequence[Word], Sequence[str]], Owners | None]
    boundaries: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


def _sound(symbol: str) -> str:
    return symbol.split(":", 1)[1]


# Mandarin and Cantonese: syllables in letters with a tone number.

_ERHUA = "zh:er5"
_YUE_SYLLABIC = {"m": "m-", "ng": "N-"}  # as text the teacher makes them too short to be heard


def _write_mandarin(words: Sequence[Word]) -> str:
    return " ".join(_pinyin(word) for word in words)


def _pinyin(syllable: Word) -> str:
    letters = [_sound(symbol) for symbol in syllable if symbol != _ERHUA or len(syllable) == 1]
    spelled = "".join(letters)
    letters_only, tone = spelled[:-1], spelled[-1]
    is_erhua = len(letters) < len(syllable)
    for initial in "nl":
        if letters_only in (f"{initial}v", f"{initial}ve"):
            letters_only = letters_only.replace("v", "ü")
    return letters_only + ("r" if is_erhua else "") + tone


def _write_cantonese(words: Sequence[Word]) -> str:
    return " ".join(_jyutping(word) for word in words)


def _jyutping(syllable: Word) -> str:
    spelled = "".join(_sound(symbol) for symbol in syllable)
    if spelled[:-1] in _YUE_SYLLABIC:
        return f"[[{_YUE_SYLLABIC[spelled[:-1]]}{spelled[-1]}]]"
    return spelled


def _own_syllables(words: Sequence[Word], phones: Sequence[str]) -> Owners | None:
    """Syllables of one or two symbols, or three with erhua, each closed by a boundary."""
    groups: list[list[str]] = [[]]
    for phone in phones:
        if phone == _SYLLABLE_END:
            groups.append([])
        else:
            groups[-1].append(phone)
    groups = [group for group in groups if group]
    if len(groups) != len(words):
        return None
    owners: Owners = []
    first = 0
    for word, group in zip(words, groups, strict=True):
        owners += [tuple(first + k for k in whose) for whose in _own_syllable(word, group)]
        first += len(word)
    return owners


def _own_syllable(word: Word, group: Sequence[str]) -> Owners:
    is_erhua = len(word) > 1 and word[-1] == _ERHUA
    num_tail = 1 if is_erhua and len(group) > 1 else 0
    body = group[: len(group) - num_tail]
    has_initial = len(word) - is_erhua == 2
    final = 1 if has_initial else 0
    num_head = _num_initial_phones(_sound(word[0]), body) if has_initial else 0
    owners: Owners = [*[(0,)] * num_head, *[(final,)] * (len(body) - num_head)]
    if has_initial and num_head == 0:
        owners[0] = (0, final)
    elif num_head == len(body):
        owners[-1] = (0, final)
    if is_erhua:
        owners = [*owners, (len(word) - 1,)] if num_tail else [*owners[:-1], (*owners[-1], len(word) - 1)]
    return owners


def _num_initial_phones(initial: str, phones: Sequence[str]) -> int:
    if initial in ("y", "w"):
        return 1 if phones[0] in ("j", "w") and len(phones) > 1 else 0
    if initial in ("gw", "kw") and len(phones) > 2 and phones[1] == "w":
        return 2
    return 1


# English, Japanese, Korean: phonemes in the teacher's own notation, one or more for each symbol.

_EN_PHONES = {
    **{"B": "b", "CH": "tS", "D": "d", "DH": "D", "F": "f", "G": "g", "HH": "h", "JH": "dZ", "K": "k", "L": "l"},
    **{"M": "m", "N": "n", "NG": "N", "P": "p", "R": "r", "S": "s", "SH": "S", "T": "t", "TH": "T", "V": "v"},
    **{"W": "w", "Y": "j", "Z": "z", "ZH": "Z"},
    **{"AA": "A:", "AE": "a", "AH": "V", "AH0": "@", "AO": "O:", "AW": "aU", "AY": "aI", "EH": "E", "ER": "3:"},
    **{"ER0": "3", "EY": "eI", "IH": "I", "IY": "i:", "IY0": "i", "OW": "oU", "OY": "OI", "UH": "U", "UW": "u:"},
}
_EN_STRESS = {"0": "", "1": "'", "2": ","}

_JA_PHONES = {
    **{"k": "k", "s": "s", "sh": "s\\", "t": "t", "ch": "t_s\\", "ts": "t_s", "n": "n", "h": "h", "f": "p\\", "m": "m"},
    **{"y": "j", "r": "r`", "w": "w", "g": "g", "z": "z", "j": "d_z\\", "d": "d", "b": "b", "p": "p", "v": "v"},
    **{"hy": "C", "kw": "k|w", "gw": "g|w"},
    **{f"{c}y": f"{p}|_j" for c, p in zip("ktnmrgdbp", ("k", "t", "n", "m", "r`", "g", "d", "b", "p"), strict=True)},
}
_JA_NASAL_BEFORE = {**dict.fromkeys("pbm", "m"), **dict.fromkeys("tdnzrjc", "n"), **dict.fromkeys("kg", "N")}

_KO_PHONES = {
    **{"g": "g", "kk": "q-", "n": "n", "d": "d", "tt": "t-", "r": "*", "m": "m", "b": "p", "pp": "p-", "s": "s"},
    **{"ss": "s-", "j": "tS;", "jj": "tS;-", "ch": "tS|h", "k": "kh", "t": "t|h", "p": "ph", "h": "h"},
    **{"a": "a", "ae": "E", "ya": "j|a", "yae": "j|E", "eo": "@", "e": "e", "yeo": "j|@", "ye": "j|e", "o": "o"},
    **{"wa": "w|a", "wae": "w|E", "oe": "w|e", "yo": "j|o", "u": "u", "wo": "w|@", "we": "w|e", "wi": "w|i"},
    **{"yu": "j|u", "eu": "u-", "ui": "u-|j", "i": "i"},
    **{"k_": "q", "n_": "n", "t_": "d-", "l_": "L", "m_": "m", "p_": "p", "ng_": "N"},
}
_KO_LAX = {"g": "q", "b": "b", "j": "dZ;"}
_KO_VOICED = frozenset((*KO_VOWELS, "n_", "l_", "m_", "ng_"))
_TRANSITIONS = frozenset({";", "r-"})  # glides between phones, part of the phone before


def _english_phonemes(sounds: Sequence[str]) -> list[str]:
    phonemes = []
    for sound in sounds:
        base, stress = (sound[:-1], sound[-1]) if sound[-1].isdigit() else (sound, "0")
        phonemes.append(_EN_STRESS[stress] + (_EN_PHONES.get(sound) or _EN_PHONES[base]))
    return phonemes


def _japanese_phonemes(sounds: Sequence[str]) -> list[str]:
    """ん sounds like what follows, っ is the consonant that follows, ー the vowel before."""
    phonemes: list[str] = []
    vowel = "a"
    for sound, following in zip(sounds, [*sounds[1:], ""], strict=True):
        vowel = sound if sound in JA_VOWELS else vowel
        if sound == JA_LONG:
            phonemes.append(vowel)
        elif sound == JA_NASAL:
            phonemes.append(_JA_NASAL_BEFORE.get(following[:1], "u~" if following else "N\\"))
        elif sound == JA_STOP:
            phonemes.append(_JA_PHONES.get(following, "?").split("|")[0].split("_")[0])
        else:
            phonemes.append(_JA_PHONES.get(sound, sound))
    return phonemes


def _korean_phonemes(sounds: Sequence[str]) -> list[str]:
    """Plain stops have voice after a sound that has; ㄹㄹ is one long sound, which the two symbols share."""
    phonemes: list[str] = []
    for before, sound, following in zip(["", *sounds[:-1]], sounds, [*sounds[1:], ""], strict=True):
        if sound == "l_" and following == "r":
            phonemes.append("")
        elif sound == "r" and before == "l_":
            phonemes.append("l")
        elif before in _KO_VOICED and sound in _KO_LAX:
            phonemes.append(_KO_LAX[sound])
        else:
            phonemes.append(_KO_PHONES[sound])
    return phonemes


def _phoneme_notation(
    voice: str, pitch: int, pitch_range: int, phonemes: Callable[[Sequence[str]], list[str]]
) -> Notation:
    def write(words: Sequence[Word]) -> str:
        each = iter(phonemes(_sounds(words)))
        spelled = ("|".join(filter(None, (next(each) for _ in word))) for word in words)
        return "[[" + " ".join(filter(None, spelled)) + "]]"

    def owners(words: Sequence[Word], phones: Sequence[str]) -> Owners | None:
        return share_out(
            [phoneme.count("|") + 1 if phoneme else 0 for phoneme in phonemes(_sounds(words))], len(phones)
        )

    return Notation(voice, pitch, pitch_range, write, owners, silent=_TRANSITIONS)


def _sounds(words: Sequence[Word]) -> list[str]:
    return [_sound(symbol) for word in words for symbol in word]


def share_out(counts: Sequence[int], num_phones: int) -> Owners | None:
    """Owners by the number of phones of each symbol; one with none shares the first phone of the next symbol."""
    if sum(counts) != num_phones:
        return None
    owners: Owners = []
    waiting: tuple[int, ...] = ()
    for index, count in enumerate(counts):
        if count:
            owners += [(*waiting, index), *[(index,)] * (count - 1)]
        waiting = () if count else (*waiting, index)
    return owners


NOTATIONS = {
    "zh": Notation(
        "cmn-latn-pinyin", 50, 85, _write_mandarin, _own_syllables, frozenset({_SYLLABLE_END}), _TRANSITIONS
    ),
    "en": _phoneme_notation("en-us", 42, 50, _english_phonemes),
    "ja": _phoneme_notation("ja", 38, 75, _japanese_phonemes),
    "ko": _phoneme_notation("ko", 42, 60, _korean_phonemes),
    "yue": Notation("yue-latn-jyutping", 53, 85, _write_cantonese, _own_syllables, frozenset({_SYLLABLE_END})),
}

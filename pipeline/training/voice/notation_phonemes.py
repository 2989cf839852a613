"""English, Japanese and Korean for the teacher: phonemes in its own notation, one or more for each symbol."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.text.inventory import JA_LONG, JA_NASAL, JA_STOP, JA_VOWELS, KO_VOWELS

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
TRANSITIONS = frozenset({";", "r-"})  # glides between phones, part of the phone before


def english_phonemes(sounds: Sequence[str]) -> list[str]:
    phonemes = []
    for sound in sounds:
        base, stress = (sound[:-1], sound[-1]) if sound[-1].isdigit() else (sound, "0")
        phonemes.append(_EN_STRESS[stress] + (_EN_PHONES.get(sound) or _EN_PHONES[base]))
    return phonemes


def japanese_phonemes(sounds: Sequence[str]) -> list[str]:
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


def korean_phonemes(sounds: Sequence[str]) -> list[str]:
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

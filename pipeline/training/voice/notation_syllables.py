"""Mandarin and Cantonese for the teacher: syllables in letters with a tone number."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.training.voice.ownership import Owners, Word, sound

SYLLABLE_END = "_|"
_ERHUA = "zh:er5"
_YUE_SYLLABIC = {"m": "m-", "ng": "N-"}  # as text the teacher makes them too short to be heard


def write_mandarin(words: Sequence[Word]) -> str:
    return " ".join(_pinyin(word) for word in words)


def _pinyin(syllable: Word) -> str:
    letters = [sound(symbol) for symbol in syllable if symbol != _ERHUA or len(syllable) == 1]
    spelled = "".join(letters)
    letters_only, tone = spelled[:-1], spelled[-1]
    is_erhua = len(letters) < len(syllable)
    for initial in "nl":
        if letters_only in (f"{initial}v", f"{initial}ve"):
            letters_only = letters_only.replace("v", "ü")
    return letters_only + ("r" if is_erhua else "") + tone


def write_cantonese(words: Sequence[Word]) -> str:
    return " ".join(_jyutping(word) for word in words)


def _jyutping(syllable: Word) -> str:
    spelled = "".join(sound(symbol) for symbol in syllable)
    if spelled[:-1] in _YUE_SYLLABIC:
        return f"[[{_YUE_SYLLABIC[spelled[:-1]]}{spelled[-1]}]]"
    return spelled


def own_syllables(words: Sequence[Word], phones: Sequence[str]) -> Owners | None:
    """Syllables of one or two symbols, or three with erhua, each closed by a boundary."""
    groups: list[list[str]] = [[]]
    for phone in phones:
        if phone == SYLLABLE_END:
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
    num_head = _num_initial_phones(sound(word[0]), body) if has_initial else 0
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

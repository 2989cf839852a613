"""Splits text into pieces that the acoustic model can speak in one go, at sentences, then clauses, then words.

Lengths are in Han characters: kana, hangul and everything in a text that has such characters count one each; in a
text of Latin letters alone a character counts a third, which is about how long it takes to say.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from pipeline.text.spans import HAN_CLASS, HANGUL_CLASS, KANA_CLASS

WordEnds = Callable[[Sequence[str]], Iterable[Iterable[int]]]

LINE, SENTENCE, CLAUSE, WORD, ANYWHERE = 4, 3, 2, 1, 0
_PENALTIES = {LINE: 0.0, SENTENCE: 0.0, CLAUSE: 0.35, WORD: 1.2, ANYWHERE: 6.0}  # against (shortfall / limit) squared
_LATIN_LENGTH = 1 / 3
_MIN_LETTERS = 6  # a piece shorter than this sounds clipped
_PIECE_COST = 0.05  # each piece costs a call of the acoustic model
_TOO_LONG = 100.0  # only what cannot be broken is longer than allowed
_ROUNDING = 1e-6

_CJK = re.compile(f"[{HAN_CLASS}{KANA_CLASS}{HANGUL_CLASS}]")
_CLOSING = "”’」』》〉）)】\\]〕}＞>\"'"
_SENTENCE_MARK = re.compile(rf"(?:[。！？!?｡．][。！？!?…~～．]*|…+|\.+)[{_CLOSING}]*")
_CLAUSE_MARK = re.compile(rf"(?:[；;，,、：:]|—+|--+)[{_CLOSING}]*")
_MARK = re.compile(rf"(?P<line>\n\s*)|(?P<sentence>{_SENTENCE_MARK.pattern})|(?P<clause>{_CLAUSE_MARK.pattern})")
# What no break may fall into: Latin words with their numbers, e-mail and web addresses, numbers with separators.
_UNBREAKABLE = re.compile(r"[A-Za-z0-9À-ɏ](?:[A-Za-z0-9À-ɏ_@%&=+#~/'’?-]|[.,:!](?=[A-Za-z0-9_/])|[·](?=[A-Za-z0-9]))*")
# Control tokens of the language model (<|endoftext|>) are not text, whoever typed them.
_CONTROL = re.compile(r"<\|[^|<>\n]{0,40}\|>|<\||\|>")
_TOKEN = re.compile(f"{_UNBREAKABLE.pattern}|.", re.S)
_OPENING = "“‘「『《〈（(【[〔{＜<$¥￥€£#@+-"
_MARKS = "，。、；：？！…—～,.;:?!)]}”’」』》〉）】〕"
_ANY_MARK = re.compile(f"[{re.escape(_MARKS)}]")
_NO_START = _MARKS + "％%°℃々ー的了着过地得们吗呢吧"
_ABBREVIATIONS = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "sr",
        "jr",
        "rev",
        "gen",
        "col",
        "lt",
        "sgt",
        "capt",
        "gov",
        "sen",
        "rep",
        "hon",
        "mt",
        "ft",
        "ave",
        "blvd",
        "rd",
        "no",
        "nos",
        "vol",
        "vols",
        "fig",
        "figs",
        "eq",
        "pp",
        "ed",
        "eds",
        "al",
        "vs",
        "etc",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "est",
        "approx",
        "min",
        "max",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "e.g",
        "i.e",
        "a.m",
        "p.m",
        "ph.d",
        "m.d",
        "b.a",
        "m.a",
        "u.s",
        "u.k",
        "u.n",
        "d.c",
        "p.s",
        "cf",
        "viz",
    ]
)
_USUALLY_LAST = frozenset(
    ["etc", "a.m", "p.m", "inc", "ltd", "co", "corp", "jr", "sr", "u.s", "u.k", "u.n", "d.c", "ph.d", "m.d", "al"]
)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s{0,4}\d{1,3}$")
_LAST_WORD = re.compile(r"[A-Za-z](?:[A-Za-z]|\.(?=[A-Za-z])){0,15}$")


class _Atom(NamedTuple):
    """Text that stays together, and how good a break after it is."""

    text: str
    length: float
    strength: int


def split(text: str, max_length: int, first_length: int | None = None, word_ends: WordEnds | None = None) -> list[str]:
    """Pieces of `text` in order, each at most `max_length` long; nothing that has a letter or a number is
    lost, except control tokens (`<|...|>`).

    A line is a piece of its own, except lines too short to be spoken alone in a text longer than one piece. With
    `first_length` the first piece is at most that long where a sentence or clause allows, so that its audio starts
    early. `word_ends` gives, for each clause without spaces that is too long, the offsets where words end.
    """
    if max_length < 1:
        raise ValueError(f"max_length is {max_length}; it must be at least 1")
    text = _CONTROL.sub(" ", text)
    if not _has_letter(text):
        return []
    unit = 1.0 if _CJK.search(text) else _LATIN_LENGTH
    atoms = list(_fitting(_sentences(text), max_length, unit, word_ends))
    if first_length is not None and atoms:
        atoms[:1] = _clauses_of_first(atoms, min(first_length, max_length), unit)
    pieces = _packed(atoms, max_length, first_length)
    return _without_crumbs(pieces, max_length, unit)


def _sentences(text: str) -> Iterator[tuple[str, int]]:
    """Sentences with the strength of the break after them; marks that stand alone go with what precedes."""
    start = 0
    for match in _MARK.finditer(text):
        if match.lastgroup == "line":
            yield text[start : match.start()], LINE
            start = match.end()
        elif match.lastgroup == "sentence" and _ends_sentence(text, match.start(), match.end()):
            end = match.end() - _opens_quotation(text, start, match)
            yield text[start:end], SENTENCE
            start = end
    yield text[start:], LINE


def _opens_quotation(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the straight quote after a stop belongs to what follows, as no quotation is open."""
    if not match.group().endswith('"') or text[match.end() : match.end() + 1].strip() == "":
        return False
    return text.count('"', start, match.end() - 1) % 2 == 0


def _ends_sentence(text: str, start: int, end: int) -> bool:
    mark, after = text[start:end], text[end : end + 1]
    if mark[0] in "!?" and after and (after.isascii() and after.isalnum()):
        return False  # inside an address: example.com/?q=1
    if mark[0] == "…" or mark.startswith(".."):
        return _starts_sentence(text, end)
    if mark[0] != ".":
        return True
    if after and not after.isspace() and not _CJK.match(after):
        return False
    return not _is_abbreviation(text, start, end)


def _starts_sentence(text: str, end: int) -> bool:
    """Whether an ellipsis ends its sentence: before a capital letter, an opening mark or the end of the text."""
    following = text[end : end + 2].lstrip()[:1]
    return not following or following.isupper() or following in "“「『《（(\"'" or bool(_CJK.match(following))


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    word = _LAST_WORD.search(text, max(0, start - 16), start)
    if word is None:
        return _is_list_number(text, start)
    token = word.group().lower()
    if token in _ABBREVIATIONS:
        return (
            token not in _USUALLY_LAST or not _next_word(text, end)[:1].isupper() or ("." in token and token[0] in "ud")
        )
    return len(token) == 1 and word.group().isupper() and word.group() != "I"


def _next_word(text: str, end: int) -> str:
    return text[end : end + 24].lstrip()


def _is_list_number(text: str, start: int) -> bool:
    """`1. ` at the start of a line."""
    line = text[max(0, start - 8) : start]
    return bool(_LIST_NUMBER.search(line if start <= 8 else "." + line))


def _fitting(
    sentences: Iterable[tuple[str, int]], limit: float, unit: float, word_ends: WordEnds | None
) -> Iterator[_Atom]:
    """Sentences, the clauses of those that are too long, and the words of clauses that are too long again."""
    atoms = (_Atom(sentence, len(sentence) * unit, strength) for sentence, strength in sentences)
    parts = [part for atom in atoms for part in ([atom] if atom.length <= limit else _broken(atom, unit))]
    long = [part.text for part in parts if part.length > limit and _CJK.search(part.text)]
    ends = dict(zip(long, word_ends(long), strict=True)) if long and word_ends else {}
    for part in parts:
        yield from [part] if part.length <= limit else _words(part, limit, unit, ends.get(part.text))


def _broken(atom: _Atom, unit: float) -> Iterator[_Atom]:
    for clause, strength in _clauses(atom.text):
        yield _Atom(clause, len(clause) * unit, strength or atom.strength)


def _clauses(sentence: str) -> Iterator[tuple[str, int]]:
    start = 0
    for match in _MARK.finditer(sentence):
        inside_token = (
            match.end() < len(sentence) and not sentence[match.end()].isspace() and match.group() in ".,:：!?"
        )
        if inside_token and not _CJK.match(sentence[match.end()]):
            continue
        if match.group() == "." and _is_abbreviation(sentence, match.start(), match.end()):
            continue
        if match.end() < len(sentence):
            yield sentence[start : match.end()], CLAUSE
            start = match.end()
    yield sentence[start:], 0


def _words(clause: _Atom, limit: float, unit: float, word_ends: Iterable[int] | None) -> Iterator[_Atom]:
    tokens = _tokens(clause.text, int(limit / unit))
    spoken = tokens
    if _ANY_MARK.search(clause.text):
        tokens = _with_marks(tokens)
        spoken = [token.rstrip(_MARKS) for token in tokens]
    strengths = [*_strengths(tokens, word_ends), clause.strength]
    lengths = [length * unit for length in map(len, spoken)]
    yield from map(_Atom._make, zip(tokens, lengths, strengths, strict=True))


def _with_marks(tokens: Iterable[str]) -> list[str]:
    """Hangs up to two marks on the token before them; they take no room, so that no piece starts with one."""
    joined: list[str] = []
    for token in tokens:
        if token in _MARKS and joined and joined[-1][-2:].strip(_MARKS):
            joined[-1] += token
        else:
            joined.append(token)
    return joined


def _tokens(text: str, max_chars: int) -> list[str]:
    """Words, numbers and addresses whole (cut only when longer than a piece), everything else by character."""
    tokens: list[str] = _TOKEN.findall(text)
    if max(map(len, tokens)) <= max_chars:
        return tokens
    return [token[k : k + max_chars] for token in tokens for k in range(0, len(token), max_chars)]


def _strengths(tokens: Sequence[str], word_ends: Iterable[int] | None) -> list[int]:
    """How good a break between one token and the next is."""
    pairs = pairwise(tokens)
    if word_ends is None:
        return [_strength_between(token, following) for token, following in pairs]
    is_end = map(frozenset(word_ends).__contains__, accumulate(map(len, tokens)))
    return [
        WORD if is_one and _may_part(token, following) else ANYWHERE
        for (token, following), is_one in zip(pairs, is_end, strict=False)
    ]


def _may_part(token: str, following: str) -> bool:
    return not (following[0] in _NO_START or token[0] in _OPENING or following.isspace())


def _strength_between(token: str, following: str) -> int:
    """Without the ends of words, which the text has blanks for."""
    touches_number = (token[-1].isdecimal() and following[0].isalnum()) or (
        following[0].isdecimal() and token[-1].isalnum()
    )
    return WORD if _may_part(token, following) and not touches_number else ANYWHERE


def _clauses_of_first(atoms: list[_Atom], limit: float, unit: float) -> list[_Atom]:
    first = atoms[0]
    return [first] if first.length <= limit else list(_broken(first, unit))


def _packed(atoms: list[_Atom], limit: float, first_limit: float | None) -> list[str]:
    """Joins atoms to pieces so that few pieces are short and breaks are good; lines stay apart.

    The least sum of squared shortfalls and break penalties, as paragraphs are broken into lines
    (Knuth and Plass 1981).
    """
    pieces: list[str] = []
    line: list[_Atom] = []
    for atom in atoms:
        line.append(atom)
        if atom.strength == LINE:
            pieces += _packed_line(line, limit, None if pieces else first_limit)
            pieces[-1] += "\n"
            line = []
    return pieces


def _packed_line(atoms: list[_Atom], limit: float, first_limit: float | None) -> list[str]:
    if sum(atom.length for atom in atoms) <= (limit if first_limit is None else min(limit, first_limit)):
        return ["".join(atom.text for atom in atoms)]  # two pieces have more shortfall than one
    atoms = _coalesced(atoms, limit)
    offsets = [0.0, *accumulate(atom.length for atom in atoms)]
    strong = [i + 1 for i, atom in enumerate(atoms) if atom.strength >= CLAUSE]
    costs = [0.0] + [math.inf] * len(atoms)
    starts = [0] * len(costs)
    for end in range(1, len(costs)):
        penalty = _PENALTIES[LINE if end == len(atoms) else atoms[end - 1].strength]
        offset, candidates = offsets[end], _candidates(offsets, strong, end, limit)
        if offset - offsets[candidates[0]] > limit + _ROUNDING or 0 in (candidates[0], candidates[-1]):
            limits = [limit if start or first_limit is None else first_limit for start in candidates]
            rows = zip(candidates, limits, strict=True)
            totals = [costs[start] + _cost(offset - offsets[start], allowed, penalty) for start, allowed in rows]
        else:  # as `_cost` has it, without a call for each of them
            totals = [
                costs[start] + ((short := 1.0 - (offset - offsets[start]) / limit) * short + _PIECE_COST + penalty)
                for start in candidates
            ]
        costs[end] = min(totals)
        starts[end] = candidates[totals.index(costs[end])]
    return _joined(atoms, starts)


def _coalesced(atoms: list[_Atom], limit: float) -> list[_Atom]:
    """Atoms too short to matter join the next one, so that the breaks to weigh are few."""
    joined: list[_Atom] = []
    parts: list[str] = []  # of the last one
    length, strength = 0.0, LINE
    for atom in atoms:
        if parts and _is_negligible(length, strength, atom.length, limit):
            parts.append(atom.text)
            length += atom.length
        else:
            if parts:
                joined.append(_Atom("".join(parts), length, strength))
            parts, length = [atom.text], atom.length
        strength = atom.strength
    return [*joined, _Atom("".join(parts), length, strength)]


def _is_negligible(length: float, strength: int, following: float, limit: float) -> bool:
    if length + following > limit / 4:
        return False
    return strength == ANYWHERE or (strength < SENTENCE and length < limit / 32)


def _candidates(offsets: list[float], strong: list[int], end: int, limit: float) -> Sequence[int]:
    """Where a piece that ends here may start: any break for a piece over half full, else only a good break."""
    offset = offsets[end]
    longest = min(bisect_left(offsets, offset - limit - _ROUNDING, 0, end), end - 1)
    half_full = bisect_left(offsets, offset - limit / 2, longest, end)
    if half_full == end:
        return range(longest, end)
    after = strong[bisect_left(strong, half_full) : bisect_left(strong, end)] if strong else strong
    return [*range(longest, half_full), *after, 0 if longest == 0 else end - 1]


def _cost(length: float, limit: float, penalty: float) -> float:
    if length > limit + _ROUNDING:
        return _TOO_LONG * length / limit
    shortfall = 1.0 - length / limit
    return shortfall * shortfall + _PIECE_COST + penalty


def _joined(atoms: list[_Atom], starts: list[int]) -> list[str]:
    pieces: list[str] = []
    end = len(atoms)
    while end > 0:
        pieces.append("".join(atom.text for atom in atoms[starts[end] : end]))
        end = starts[end]
    return pieces[::-1]


def _without_crumbs(pieces: list[str], limit: float, unit: float) -> list[str]:
    """Joins pieces of marks alone, and in long texts pieces of a few letters, to a neighbour that has room."""
    kept: list[str] = []
    min_letters = _MIN_LETTERS if sum(map(len, pieces)) * unit > limit else 1
    room = limit * 1.1 / unit
    for piece in pieces:
        is_crumb = kept and min(_num_letters(piece), _num_letters(kept[-1])) < min_letters
        if is_crumb and len((kept[-1] + piece).strip()) <= room:
            kept[-1] += piece
        else:
            kept.append(piece)
    return [piece.strip() for piece in kept if _has_letter(piece)]


def _has_letter(text: str) -> bool:
    return any(map(str.isalnum, text))


def _num_letters(text: str) -> int:
    return sum(map(str.isalnum, text))

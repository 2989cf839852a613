"""How Japanese is read: the cheapest way through a dictionary's words, with numerals and their counters as words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from operator import add, itemgetter

import numpy as np
from numpy.typing import NDArray

from pipeline.text.japanese_dictionary import EDGE, JapaneseDictionary, load_dictionary
from pipeline.text.japanese_numbers import numbers
from pipeline.text.kana import LONG_MARK, kana_symbols, katakana

_NOUN, _COUNTER = 991, 1005  # the dictionary's classes
_NUMBER_COST = -30_000  # a numeral with its counter goes before all other words
_KATAKANA_COST, _KANA_COST, _OTHER_COST = 6000, 9000, 14_000  # of unknown words, as MeCab's
_NO_KANA_OR_KANJI = re.compile(r"[^々〆〇\u3400-\u9fffぁ-ゖァ-ヺー]")
_BLANK = " "  # in no word of the dictionary
_KATAKANA = re.compile("[ァ-ヺー]+")
_KANA = re.compile("[ぁ-ゖァ-ヺー]")
_NAN_BEFORE = frozenset("でだのとな")


@dataclass(frozen=True, slots=True)
class Word:
    """text[start:end] sounds like `sound` in katakana, empty where that is not known."""

    start: int
    end: int
    sound: str
    is_known: bool


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Candidate words in the order of their starts; `entries` are the dictionary's, or -1 - k for extra word k."""

    starts: NDArray[np.int64]  # [K]
    ends: NDArray[np.int64]  # [K]
    entries: NDArray[np.int64]  # [K]
    classes: NDArray[np.int64]  # [K]
    costs: NDArray[np.int64]  # [K]
    extra: list[Word]


class JapaneseReader:
    def __init__(self, dictionary: JapaneseDictionary) -> None:
        self._dictionary = dictionary

    def read(self, text: str) -> list[Word]:
        """Words of the text's runs of kana and kanji, in order."""
        runs = _NO_KANA_OR_KANJI.sub(_BLANK, text)
        return [] if not runs or runs.isspace() else [word for word in self._words(runs) if runs[word.start] != _BLANK]

    def _words(self, runs: str) -> Iterator[Word]:
        """The words of all runs, and the blanks between those, which separate them as the text's edges do."""
        nodes = self._nodes(runs)
        last = ""
        for node in _cheapest(nodes, self._dictionary.costs_after, len(runs)):
            word = self._word(runs, nodes, node)
            if word.sound == "ウ" and kana_symbols(last)[-1:] == ("ja:o",):  # だろう
                word = replace(word, sound=LONG_MARK)
            last = word.sound
            yield word

    def _word(self, runs: str, nodes: _Nodes, node: int) -> Word:
        entry = int(nodes.entries[node])
        if entry < 0:
            return nodes.extra[-1 - entry]
        start, end = int(nodes.starts[node]), int(nodes.ends[node])
        is_nan = runs[start:end] == "何" and runs[end : end + 1] in _NAN_BEFORE
        return Word(start, end, "ナン" if is_nan else self._dictionary.sound(entry), True)

    def _nodes(self, runs: str) -> _Nodes:
        found = self._dictionary.find(runs)
        classes = self._dictionary.classes[found.entries].astype(np.int64)
        costs = self._dictionary.costs[found.entries].astype(np.int64)
        nodes = _Nodes(found.starts, found.ends, found.entries, classes, costs, [])
        rows = list(_extra_words(runs, frozenset(found.starts.tolist())))
        return _with_extra(nodes, rows) if rows else nodes


def _with_extra(nodes: _Nodes, rows: Sequence[tuple[Word, int, int]]) -> _Nodes:
    extra = [word for word, _, _ in rows]
    added = np.array([(word.start, word.end, -1 - k, kind, cost) for k, (word, kind, cost) in enumerate(rows)])
    old = np.stack([nodes.starts, nodes.ends, nodes.entries, nodes.classes, nodes.costs], 1)
    table = np.concatenate([old, added])  # [K, 5]
    starts, ends, entries, classes, costs = table[np.argsort(table[:, 0], kind="stable")].T
    return _Nodes(starts, ends, entries, classes, costs, extra)


def _extra_words(runs: str, known_starts: frozenset[int]) -> Iterator[tuple[Word, int, int]]:
    """Words beside the dictionary's, with class and cost: numbers, katakana, single characters it lacks, blanks."""
    for number in numbers(runs):
        yield Word(number.start, number.end, number.sound, True), _COUNTER, _NUMBER_COST
    for match in _KATAKANA.finditer(runs):
        yield Word(match.start(), match.end(), match.group(), False), _NOUN, _KATAKANA_COST
    for k, char in enumerate(runs):
        if char == _BLANK:
            yield Word(k, k + 1, "", False), EDGE, 0
        elif k not in known_starts:
            is_kana = _KANA.match(char) is not None
            word = Word(k, k + 1, katakana(char) if is_kana else "", False)
            yield word, _NOUN, _KANA_COST if is_kana else _OTHER_COST


def _cheapest(nodes: _Nodes, costs_after: Callable[[int], Sequence[int]], length: int) -> list[int]:
    """The path of least cost from 0 to `length` (Viterbi). `costs_after` as `JapaneseDictionary.costs_after`."""
    edge = len(nodes.costs)  # a node in the place of both ends of the text
    ends, classes = nodes.ends.tolist(), [*nodes.classes.tolist(), EDGE]
    total, back = [*nodes.costs.tolist(), 0], [edge] * (edge + 1)
    ending: list[list[int]] = [[edge], *([] for _ in range(length))]
    bounds = np.searchsorted(nodes.starts, np.arange(length + 1)).tolist()
    steps = [*(range(low, high) for low, high in pairwise(bounds)), [edge]]
    for before, starting in zip(ending, steps, strict=True):
        if before:
            totals, lefts = [total[left] for left in before], [classes[left] for left in before]
            gather = itemgetter(*lefts) if len(lefts) > 1 else None
            known: dict[int, tuple[int, int]] = {}  # of a class what it costs to come here, and from where
            for node in starting:
                kind = classes[node]
                if kind not in known:
                    after = costs_after(kind)
                    through = list(map(add, totals, gather(after) if gather else (after[lefts[0]],)))
                    least = min(through)
                    known[kind] = least, before[through.index(least)]
                least, back[node] = known[kind]
                total[node] += least
                if node != edge:
                    ending[ends[node]].append(node)
    path = [back[edge]]
    while (node := back[path[-1]]) != edge:
        path.append(node)
    return path[::-1]


def symbols(text: str) -> list[str]:
    """Text symbols of Japanese text; what has no known reading is left out."""
    return [symbol for word in load_japanese().read(text) for symbol in kana_symbols(word.sound)]


@lru_cache(maxsize=1)
def load_japanese() -> JapaneseReader:
    """The one of this process."""
    return JapaneseReader(load_dictionary())

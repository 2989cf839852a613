"""How Japanese is read: the cheapest way through a dictionary's words, with numerals and their counters as words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, takewhile
from operator import add, itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.text.japanese_dictionary import BLANK, EDGE, JapaneseDictionary, load_dictionary
from pipeline.text.japanese_numbers import numbers
from pipeline.text.kana import LONG_MARK, kana_symbols, katakana

_NOUN, _COUNTER = 991, 1005  # the dictionary's classes
_NUMBER_COST = -30_000  # a numeral with its counter goes before all other words
_KATAKANA_COST, _KANA_COST, _OTHER_COST = 6000, 9000, 14_000  # of unknown words, as MeCab's
_RUN = re.compile(r"[々〆〇\u3400-\u9fffぁ-ゖァ-ヺー]+")
_MAX_SQUARES = 250  # of the runs' lengths: up to them Python finds the words sooner than numpy
_MAX_CACHED_RUNS, _MAX_CACHED_LENGTH = 4096, 6  # between marks and other scripts, short runs come again and again
_KATAKANA = re.compile("[ァ-ヺー]+")
_KANA = re.compile("[ぁ-ゖァ-ヺー]")
_MIN_REPETITIVE = 256  # words of a text, from which it is worth it to look for parts that come again
_MIN_REPEATS = 4  # words for each distinct one in a text whose parts do
_NAN_BEFORE = frozenset("でだのとな")


class Word(NamedTuple):
    """text[start:end] sounds like `sound` in katakana, empty where that is not known."""

    start: int
    end: int
    sound: str
    is_known: bool


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Candidate words in the order of their starts; `entries` are the dictionary's, or -1 - k for extra word k."""

    starts: list[int]
    ends: list[int]
    entries: list[int]
    classes: list[int]
    costs: list[int]
    extra: list[Word]


_Row = tuple[int, int, int, int, int]  # of one node


class JapaneseReader:
    def __init__(self, dictionary: JapaneseDictionary) -> None:
        self._dictionary = dictionary
        self._cache: dict[str, list[Word]] = {}

    def read(self, text: str) -> list[Word]:
        """Words of the text's runs of kana and kanji, in order."""
        runs = [(match.start(), match.group()) for match in _RUN.finditer(text)]
        words_of = self._words_of([run for _, run in runs])
        return [_moved(word, start) for start, run in runs for word in words_of[run]]

    def _words_of(self, runs: Iterable[str]) -> dict[str, list[Word]]:
        """The words of each run. All that were not read before are read at once."""
        cache = self._cache
        distinct = set(runs)
        found = {run: cache[run] for run in distinct if run in cache}
        new = [run for run in distinct if run not in found]
        if new:
            read = self._new_words(new)
            self._keep({run: words for run, words in read.items() if len(run) <= _MAX_CACHED_LENGTH})
            found |= read
        return found

    def _new_words(self, runs: Sequence[str]) -> dict[str, list[Word]]:
        words = self._words(BLANK.join(runs))
        found: dict[str, list[Word]] = {}
        start = 0
        for run in runs:
            end = start + len(run)
            found[run] = [_moved(word, -start) for word in takewhile(_is_before(end), words)]  # takes the blank, too
            start = end + 1
        return found

    def _keep(self, words_of: Mapping[str, list[Word]]) -> None:
        """Remembers the words of runs, from the beginning again where there are too many."""
        if len(self._cache) + len(words_of) > _MAX_CACHED_RUNS:
            self._cache = {}
        if len(words_of) <= _MAX_CACHED_RUNS:
            self._cache.update(words_of)

    def _words(self, runs: str) -> Iterator[Word]:
        """The words of all runs, and the blanks between those, which separate them as the text's edges do."""
        nodes = self._nodes(runs)
        last = ""
        for node in _cheapest(nodes, self._dictionary.costs_after):
            entry = nodes.entries[node]
            if entry < 0:
                word = nodes.extra[-1 - entry]
            else:
                start, end = nodes.starts[node], nodes.ends[node]
                is_nan = runs[start:end] == "何" and runs[end : end + 1] in _NAN_BEFORE
                word = Word(start, end, "ナン" if is_nan else self._dictionary.sound(entry), True)
            if word.sound == "ウ" and kana_symbols(last)[-1:] == ("ja:o",):  # だろう
                word = word._replace(sound=LONG_MARK)
            last = word.sound
            yield word

    def _nodes(self, runs: str) -> _Nodes:
        if sum(len(run) ** 2 for run in runs.split(BLANK)) > _MAX_SQUARES:
            return self._many_nodes(runs)
        rows = self._dictionary.rows(runs)
        extra = list(_extra_words(runs, {row[0] for row in rows}))
        rows += _rows_of(extra)
        rows.sort(key=itemgetter(0))
        starts, ends, entries, classes, costs = map(list, zip(*rows, strict=True))
        return _Nodes(starts, ends, entries, classes, costs, [word for word, _, _ in extra])

    def _many_nodes(self, runs: str) -> _Nodes:
        found = self._dictionary.find(runs)
        classes, costs = self._dictionary.classes[found.entries], self._dictionary.costs[found.entries]
        table = np.stack([found.starts, found.ends, found.entries, classes, costs], 1)  # [K, 5]
        extra = list(_extra_words(runs, frozenset(found.starts.tolist())))
        if extra:
            table = np.concatenate([table, np.array(_rows_of(extra))])
            table = table[np.argsort(table[:, 0], kind="stable")]
        starts, ends, entries, classes, costs = table.T.tolist()
        return _Nodes(starts, ends, entries, classes, costs, [word for word, _, _ in extra])


def _is_before(end: int) -> Callable[[Word], bool]:
    return lambda word: word.start < end


def _moved(word: Word, by: int) -> Word:
    return Word(word.start + by, word.end + by, word.sound, word.is_known) if by else word


def _rows_of(extra: Sequence[tuple[Word, int, int]]) -> list[_Row]:
    return [(word.start, word.end, -1 - k, kind, cost) for k, (word, kind, cost) in enumerate(extra)]


def _extra_words(runs: str, known_starts: Set[int]) -> Iterator[tuple[Word, int, int]]:
    """Words beside the dictionary's, with class and cost: numbers, katakana, single characters it lacks, blanks."""
    for number in numbers(runs):
        yield Word(number.start, number.end, number.sound, True), _COUNTER, _NUMBER_COST
    for match in _KATAKANA.finditer(runs):
        yield Word(match.start(), match.end(), match.group(), False), _NOUN, _KATAKANA_COST
    for k in sorted(known_starts ^ set(range(len(runs)))):
        char = runs[k]
        if char == BLANK:
            yield Word(k, k + 1, "", False), EDGE, 0
        else:
            is_kana = _KANA.match(char) is not None
            word = Word(k, k + 1, katakana(char) if is_kana else "", False)
            yield word, _NOUN, _KANA_COST if is_kana else _OTHER_COST


class _Arrival(NamedTuple):
    """Ways to one place in a text: of each the class of its last word, and its cost less that of the first way."""

    classes: tuple[int, ...]
    costs: tuple[int, ...]


_BEGINNING = _Arrival((EDGE,), (0,))


class _Crossing(NamedTuple):
    """The cheapest ways over a part of a text.

    Attributes:
        last: of each way its last word in the part.
        back: the word before each one; behind the words of the part follow the ways that arrive there.
    """

    arrival: _Arrival
    last: Sequence[int]
    back: Sequence[int]

    def words(self, way: int) -> tuple[list[int], int]:
        """The words of a way from the last one to the first, and which way it goes on from."""
        back, node = self.back, self.last[way]
        num_words = len(back)
        words: list[int] = []
        while node < num_words:
            words.append(node)
            node = back[node]
        return words, node - num_words


def _cheapest(nodes: _Nodes, costs_after: Callable[[int], Sequence[int]]) -> list[int]:
    """The path of least cost from one end of the text to the other (Viterbi). `costs_after` as that of
    `JapaneseDictionary`."""
    columns = nodes.starts, nodes.ends, nodes.classes, nodes.costs
    if _is_repetitive(nodes):
        crossings = _crossings([np.array(column) for column in columns], costs_after)
    else:
        crossings = [(0, _crossed(_BEGINNING, list(map(list, columns)), costs_after))]
    arrival, after = crossings[-1][1].arrival, costs_after(EDGE)
    ends = [cost + after[kind] for kind, cost in zip(arrival.classes, arrival.costs, strict=True)]
    way = ends.index(min(ends))
    path: list[int] = []
    for first, crossing in reversed(crossings):
        words, way = crossing.words(way)
        path += [first + word for word in words]
    return path[::-1]


def _is_repetitive(nodes: _Nodes) -> bool:
    num_nodes = len(nodes.entries)
    return num_nodes >= _MIN_REPETITIVE and _MIN_REPEATS * len(set(nodes.entries)) < num_nodes


def _crossings(
    columns: Sequence[NDArray[np.int64]], costs_after: Callable[[int], Sequence[int]]
) -> list[tuple[int, _Crossing]]:
    """Of each part that no word reaches out of, its first node and its crossing, which equal parts that are come to in
    the same way share. `columns` are starts, ends, classes and costs."""
    starts, ends, classes, costs = columns
    is_first = starts[1:] >= np.maximum.accumulate(ends)[:-1]
    firsts = np.concatenate([[0], np.flatnonzero(is_first) + 1, [len(starts)]])
    origins = np.repeat(starts[firsts[:-1]], np.diff(firsts))
    table = np.stack([starts - origins, ends - origins, classes, costs], 1)  # [K, 4]
    arrival = _BEGINNING
    crossings: list[tuple[int, _Crossing]] = []
    known: dict[tuple[_Arrival, bytes], _Crossing] = {}
    for first, end in pairwise(firsts.tolist()):
        key = arrival, table[first:end].tobytes()
        crossing = known.get(key)
        if crossing is None:
            crossing = known[key] = _crossed(arrival, table[first:end].T.tolist(), costs_after)
        crossings.append((first, crossing))
        arrival = crossing.arrival
    return crossings


def _crossed(arrival: _Arrival, part: list[list[int]], costs_after: Callable[[int], Sequence[int]]) -> _Crossing:
    """`part` has starts, ends, classes and costs of its words. The ways that arrive are nodes behind those."""
    starts, ends, classes, total = part
    num_words, length = len(starts), max(ends)
    classes += arrival.classes
    total += arrival.costs
    back = [0] * num_words
    ending: list[list[int]] = [list(range(num_words, len(classes))), *([] for _ in range(length))]
    place, before = -1, []
    for node, (start, end, kind) in enumerate(zip(starts, ends, classes, strict=False)):
        if start != place:
            place = start
            if not (before := ending[place]):
                continue
            totals, lefts = [total[left] for left in before], [classes[left] for left in before]
            gather = itemgetter(*lefts) if len(lefts) > 1 else None
            known: dict[int, tuple[int, int]] = {}  # of a class what it costs to come here, and from where
        elif not before:
            continue
        found = known.get(kind)
        if found is None:
            after = costs_after(kind)
            if gather is None:
                found = totals[0] + after[lefts[0]], before[0]
            else:
                through = list(map(add, totals, gather(after)))
                least = min(through)
                found = least, before[through.index(least)]
            known[kind] = found
        least, back[node] = found
        total[node] += least
        ending[end].append(node)
    last = ending[length]
    first = total[last[0]]
    arrival = _Arrival(tuple([classes[node] for node in last]), tuple([total[node] - first for node in last]))
    return _Crossing(arrival, last, back)


def symbols(text: str) -> list[str]:
    """Text symbols of Japanese text; what has no known reading is left out."""
    return [symbol for word in load_japanese().read(text) for symbol in kana_symbols(word.sound)]


@lru_cache(maxsize=1)
def load_japanese() -> JapaneseReader:
    """The one of this process."""
    return JapaneseReader(load_dictionary())

"""How English words that no dictionary has are read: the likeliest sequence of letters with their sounds.

A letter with what it sounds like is a graphone (Bisani and Ney 2008); their n-grams were counted on CMUdict's words.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pipeline.text.phrases import DATA

FILE = "english_letters.txt.gz"
BEGIN, END = "\u00be", "\u00bf"
FIRST_CODE = 0xC0  # graphones are single characters from here on, so that a weight is never taken for one
SCALE = 10.0  # steps in which natural logarithms are kept
OFFSET = 33  # of the character that stands for a step
_WEIGHTS = {chr(OFFSET + step): -step / SCALE for step in range(FIRST_CODE - OFFSET)}  # natural logarithms
BEAM = 8
MAX_LETTERS = 48  # of a word that is read; what follows is silent
_MAX_CACHED_CONTEXTS = 8192
_VOWELS = frozenset("AEIOU")

_Path = tuple[float, str]  # score and graphones


class LetterModel:
    """`sounds` maps a letter to its graphones, `phones` each graphone to its phones.

    `rows` maps a context, some graphones, to the weight with which a shorter one is used instead, then pairs of a
    graphone that may follow and its weight. A weight is a character, see _WEIGHTS.
    """

    def __init__(
        self,
        sounds: Mapping[str, Sequence[str]],
        phones: Mapping[str, Sequence[str]],
        rows: Mapping[str, str],
    ) -> None:
        self._sounds = {letter: "".join(graphones) for letter, graphones in sounds.items()}
        self._phones = phones
        self._rows = rows
        self._history = max(map(len, rows))
        self._scores = lru_cache(_MAX_CACHED_CONTEXTS)(self._scores_after)

    @staticmethod
    def load() -> LetterModel:
        return parse_model(gzip.decompress((DATA / FILE).read_bytes()).decode("utf-8"))

    def read(self, word: str) -> tuple[str, ...]:
        """ARPAbet phones of a lower-case word; characters that are no letters of it are silent."""
        paths: list[_Path] = [(0.0, BEGIN)]
        for letter in word[:MAX_LETTERS]:
            if graphones := self._sounds.get(letter):
                paths = self._extended(paths, graphones)
        _, best = self._extended(paths, END)[0]
        return one_stress([phone for graphone in best[1:-1] for phone in self._phones[graphone]])

    def _extended(self, paths: Sequence[_Path], graphones: str) -> list[_Path]:
        """The likeliest ways to go on with one of the graphones, the best first."""
        rows = [[score + change for change in self._changes(before, graphones)] for score, before in paths]
        enough = sorted(rows[0], reverse=True)[:BEAM]
        least = enough[-1] if len(enough) == BEAM else -math.inf  # what is below is not among the likeliest
        longer = [
            (total, before + graphone)
            for (_, before), row in zip(paths, rows, strict=True)
            if max(row) >= least
            for total, graphone in zip(row, graphones, strict=True)
            if total >= least
        ]
        return sorted(longer, reverse=True)[:BEAM]

    def _changes(self, before: str, graphones: str) -> tuple[float, ...]:
        """Log probability of each graphone after others, of which the longest known context counts."""
        context = before[-self._history :]
        while context and context not in self._rows:
            context = context[1:]
        return self._scores(context, graphones)

    def _scores_after(self, context: str, graphones: str) -> tuple[float, ...]:
        """By the longest end of the context that each graphone is known to come after."""
        scores: dict[str, float] = {}
        total, missing = 0.0, set(graphones)
        for start in range(len(context) + 1):
            if (row := self._rows.get(context[start:])) is None:
                continue
            known = row[1::2]
            fewer, others = (known, missing) if len(known) < len(missing) else (missing, known)
            found = [graphone for graphone in fewer if graphone in others]
            for graphone in found:
                scores[graphone] = total + _WEIGHTS[row[row.index(graphone, 1) + 1]]
            missing.difference_update(found)
            total += _WEIGHTS[row[0]]
        return tuple([scores.get(graphone, total) for graphone in graphones])


def one_stress(phones: Sequence[str]) -> tuple[str, ...]:
    """The first primary stress stays, later ones become secondary; a word without one gets it early."""
    stressed = [k for k, phone in enumerate(phones) if phone.endswith("1")]
    changed = list(phones)
    for k in stressed[1:]:
        changed[k] = changed[k][:-1] + "2"
    if not stressed:
        vowels = [k for k, phone in enumerate(phones) if phone[0] in _VOWELS]
        full = [k for k in vowels if not phones[k].startswith("AH")]
        for k in (full or vowels)[:1]:
            changed[k] = changed[k][:-1] + "1"
    return tuple(changed)


def parse_model(text: str) -> LetterModel:
    """The first lines are graphones, `letter phones`; after an empty line, rows: context, tab, weights."""
    head, _, body = text.partition("\n\n")
    sounds: dict[str, list[str]] = {}
    phones: dict[str, tuple[str, ...]] = {}
    for k, line in enumerate(head.split("\n")):
        letter, *sound = line.split()
        graphone = chr(FIRST_CODE + k)
        sounds.setdefault(letter, []).append(graphone)
        phones[graphone] = tuple(sound)
    rows = dict(line.split("\t", 1) for line in body.split("\n"))
    return LetterModel(sounds, phones, rows)


@lru_cache(maxsize=1)
def load_letter_model() -> LetterModel:
    return LetterModel.load()

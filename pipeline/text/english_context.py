"""English words whose reading depends on their neighbours: to record and a record, the apple, I have read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.text.english import load_english
from pipeline.text.phrases import DATA
from pipeline.text.readings import Reading
from pipeline.text.script import Script

LANGUAGE = "en"
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
_DEPENDENT = re.compile(r"[a-z]|A(?![A-Za-z])")  # words in capitals but the article depend on nothing
_JOINT = re.compile(r"[ \n]+|[ ]?-[ ]?")  # between words of one clause


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BEFORE_VERB = _set(
    "to will would can could shall should may might must do does did not don't didn't doesn't won't can't cannot "
    "couldn't shouldn't wouldn't let's please i you we they who i'll you'll we'll they'll he'll she'll it'll"
)
_BEFORE_NOUN = _set(
    "a an the this that these those my your his her its our their no any some every each of in for with without on at "
    "by as from new another more much very is are was were be been being"
)
_DETERMINERS = _set("a an the this that these those my your his her its our their no any some every each")
_PERFECT = _set("have has had having i've we've you've they've be is are was were been being he'd i'd")
_ADVERBS = _set("already just never ever also not been recently only always often well")
_PAST_AFTER = _set("yesterday ago last earlier")
_LIVE_AFTER = _set(
    "music stream streaming streams show shows concert concerts broadcast broadcasts tv video chat event events "
    "audience performance performances coverage demo updates update session recording"
)
_LEAD_AFTER = _set("pipe pipes paint poisoning acid oxide")
_VOWELS = frozenset("AEIOU")

Phones = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A word in lower case between the others of its clause."""

    words: Sequence[str]
    index: int

    def near(self, offset: int) -> str:
        """The word `offset` places away, empty beyond the clause."""
        index = self.index + offset
        return self.words[index] if 0 <= index < len(self.words) else ""

    @property
    def is_verb(self) -> bool:
        if self.index == 0 or self.near(-1) == "and":
            return self.near(1) in _DETERMINERS
        return self.near(-1) in _BEFORE_VERB

    @property
    def is_noun(self) -> bool:
        before, second = self.near(-1), self.near(-2)
        return (
            before in _BEFORE_NOUN or before.endswith("'s") or (second in _DETERMINERS and before not in _BEFORE_VERB)
        )

    @property
    def is_perfect(self) -> bool:
        before = self.near(-2) if self.near(-1) in _ADVERBS else self.near(-1)
        return before in _PERFECT


@dataclass(frozen=True, slots=True)
class Heteronym:
    noun: str
    verb: str
    is_usually_noun: bool

    def at(self, place: Place) -> str:
        if place.is_verb:
            return self.verb
        return self.noun if self.is_usually_noun or place.is_noun else self.verb


@lru_cache(maxsize=1)
def heteronyms() -> Mapping[str, Heteronym]:
    lines = (DATA / "english_heteronyms.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {word: Heteronym(noun, verb, usual == "n") for word, noun, verb, usual in rows}


def _read(place: Place) -> str:
    is_past = place.is_perfect or any(place.near(offset) in _PAST_AFTER for offset in range(1, 6))
    return "R EH1 D" if is_past and place.near(-1) != "to" else "R IY1 D"


def _the(place: Place) -> str:
    following = load_english().phones(place.near(1)) if place.near(1) else ()
    return "DH IY0" if following and following[0][0] in _VOWELS else "DH AH0"


def _used(place: Place) -> str:
    is_habit = place.near(1) == "to" and place.near(-1) not in ("is", "are", "was", "were", "be", "being")
    return "Y UW1 S T" if is_habit else "Y UW1 Z D"


def _live(place: Place) -> str:
    is_on_air = place.near(1) in _LIVE_AFTER or place.near(-1) in ("go", "goes", "going", "went", "watch", "streaming")
    return "L AY1 V" if is_on_air else heteronyms()["live"].at(place)


def _close(place: Place) -> str:
    is_near = place.near(1) in ("to", "by", "friend", "friends") and place.near(-1) != "to"
    is_degree = place.near(-1) in ("so", "too", "very", "get", "getting", "come", "came", "stay", "how", "quite")
    return "K L OW1 S" if is_near or is_degree else heteronyms()["close"].at(place)


def _lead(place: Place) -> str:
    return "L EH1 D" if place.near(1) in _LEAD_AFTER else "L IY1 D"


_RULES: Mapping[str, Callable[[Place], str]] = {
    "read": _read,
    "the": _the,
    "used": _used,
    "live": _live,
    "close": _close,
    "lead": _lead,
}


@lru_cache(maxsize=1)
def _dependent() -> frozenset[str]:
    return frozenset((*_RULES, *heteronyms()))


def contextual(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and ARPAbet phones of the words of an English text whose reading depends on their neighbours."""
    for clause in _clauses(text):
        words = [match.group().lower().replace("’", "'") for match in clause]
        for k, match in enumerate(clause):
            if words[k] not in _dependent() and match.group() != "A":
                continue
            if (phones := _phones(Place(words, k), match.group())) is not None:
                yield match.start(), match.end(), phones


def _phones(place: Place, written: str) -> str | None:
    word = place.near(0)
    if written == "A" and place.near(1):
        return "AH0"
    if written.isupper():
        return None
    if (rule := _RULES.get(word)) is not None:
        return rule(place)
    heteronym = heteronyms().get(word)
    return None if heteronym is None else heteronym.at(place)


def _clauses(text: str) -> Iterator[list[re.Match[str]]]:
    """Runs of words with nothing but blanks and hyphens between them."""
    clause: list[re.Match[str]] = []
    for match in _WORD.finditer(text):
        if clause and not _JOINT.fullmatch(text, clause[-1].end(), match.start()):
            yield clause
            clause = []
        clause.append(match)
    if clause:
        yield clause


def _has_dependent(text: str) -> bool:
    words = set(_WORD.findall(text))
    return "A" in words or not _dependent().isdisjoint([word.lower().replace("’", "'") for word in words])


def with_context(script: Script) -> Script:
    """The script with readings for those words in its English parts that have none."""
    if LANGUAGE not in script.languages or not _DEPENDENT.search(script.text):
        return script
    found = list(contextual(script.text)) if _has_dependent(script.text) else []
    if not found:
        return script
    readings: list[Reading] = list(script.readings)
    sources = list(script.sources)
    for start, end, phones in found:
        is_open = all(reading is None for reading in readings[start:end])
        if is_open and script.languages[start] == LANGUAGE and script.sources[start] == "tokenizer":
            readings[start:end] = [phones, *[""] * (end - start - 1)]
            sources[start:end] = ["rule"] * (end - start)
    return Script(script.text, script.languages, tuple(readings), tuple(sources))

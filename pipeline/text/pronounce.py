"""Mandarin pronunciation: which syllable each character has, before and after tone sandhi, and who decided it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache, partial

from pipeline.text.phrases import (
    DATA,
    ContextRules,
    PhraseTable,
    read_lines,
    read_polyphones,
    read_table,
)
from pipeline.text.polyphone import PolyphoneModel, Question
from pipeline.text.sandhi import Sandhi
from pipeline.text.script import Source
from pipeline.text.segment import Segmenter, load_segmenter, numbers_of, tags_of
from pipeline.types import F32

_MIN_SURE = 4  # characters; what a dictionary says of a phrase as long, the model does not overrule
_SANDHI_CHARS = "一不"  # dictionaries write some of their words as spoken; here they keep yi1 and bu4 until sandhi

_MAX_CACHED_CHARACTERS = 8192


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One item per character of the text; what is no hanzi stands for itself."""

    syllables: list[str]  # tone-number pinyin; the neutral tone is 5, ü is v
    sources: list[Source]
    word_of: list[int]  # the number of its word
    pauses: list[F32] = field(default_factory=list)  # the answers to what was asked beside


class Pronouncer:
    """Everyday words, rules of context, the model with the phrase table, then the character's commonest reading.

    Args:
        everyday: the project's own words; a syllable may be None.
        phrases: a dictionary's words. A word of it wins over an everyday word that is only a part of it. In a short
            one, where the model knows the character, its reading is a strong hint, not an order.
        strong_rules: contexts that win over the everyday words too.
        characters: readings of each character, separated by spaces, the commonest first.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        everyday: PhraseTable,
        phrases: PhraseTable,
        strong_rules: ContextRules,
        rules: ContextRules,
        characters: Mapping[str, str],
        model: PolyphoneModel,
    ) -> None:
        self.segmenter = segmenter
        self._everyday = everyday
        self._phrases = phrases
        self._strong_rules = strong_rules
        self._rules = rules
        self._default = lru_cache(_MAX_CACHED_CHARACTERS)(partial(_commonest, characters))
        self.model = model

    def read(self, text: str, pauses: Sequence[Question] = (), heard: Set[int] | None = None) -> Pronunciation:
        """`pauses` are questions about any texts, for the same run of the model, which is asked about syllables only
        at the places `heard`, or everywhere.
        """
        words = self.segmenter.cut(text)
        word_of = numbers_of(words)
        found: dict[int, tuple[str, Source]] = {}
        hints: dict[int, str] = {}
        longest = self._read_phrases(text, word_of, hints)
        self._read_everyday(text, word_of, longest, found)
        chars = frozenset(text)
        found |= {k: (syllable, "rule") for k, syllable in self._strong_rules.syllables(text, chars).items()}
        for k, hint in hints.items():
            if longest[k][1] - longest[k][0] >= _MIN_SURE:
                found.setdefault(k, (hint, "phrase"))
        for k, syllable in self._rules.syllables(text, chars).items():
            found.setdefault(k, (syllable, "rule"))
        answers = self._read_model(text, tags_of(words), hints, found, pauses, heard)
        for k, hint in hints.items():
            found.setdefault(k, (hint, "phrase"))
        rows = list(map(self._default, text))
        for k, row in found.items():
            rows[k] = row
        syllables, sources = zip(*rows, strict=True) if rows else ((), ())
        return Pronunciation(list(syllables), list(sources), word_of, answers)

    def _read_phrases(self, text: str, word_of: Sequence[int], hints: dict[int, str]) -> list[tuple[int, int]]:
        """Fills `hints`; returns start and end of the phrase that covers each position, which are equal for none."""
        spans = [(0, 0)] * len(text)
        found: dict[int, str | None] = {}
        for match in self._phrases.matches(text, word_of):
            start, end = match.start, match.end
            spans[start:end] = [(start, end)] * (end - start)
            found.update(zip(range(start, end), match.syllables, strict=True))
        hints |= {k: syllable for k, syllable in found.items() if syllable and text[k] not in _SANDHI_CHARS}
        return spans

    def _read_everyday(
        self,
        text: str,
        word_of: Sequence[int],
        longest: Sequence[tuple[int, int]],
        found: dict[int, tuple[str, Source]],
    ) -> None:
        for match in self._everyday.matches(text, word_of):
            start, end = longest[match.start]
            is_part = match.end <= end and (start, end) != (match.start, match.end)
            if not is_part:
                rows = enumerate(match.syllables, match.start)
                found |= {k: (s, "phrase") for k, s in rows if s is not None and text[k] not in _SANDHI_CHARS}

    def _read_model(
        self,
        text: str,
        tags: bytes,
        hints: Mapping[int, str],
        found: dict[int, tuple[str, Source]],
        pauses: Sequence[Question],
        heard: Set[int] | None,
    ) -> list[F32]:
        candidates = self.model.vocabulary.candidates
        places = [k for k, char in enumerate(text) if char in candidates and k not in found]
        open_hints = {k: hints.get(k) for k in places if heard is None or k in heard}
        readings, answers = self.model.answer(text, tags, open_hints, pauses)
        for k, syllable in readings.items():
            found[k] = (syllable, "phrase" if syllable == hints.get(k) else "model")
        return answers


def _commonest(characters: Mapping[str, str], char: str) -> tuple[str, Source]:
    readings = characters.get(char)
    return (readings.split(" ", 1)[0], "character") if readings else (char, "tokenizer")


@lru_cache(maxsize=1)
def load_pronouncer() -> Pronouncer:
    words = {word: tuple(value.split()) for word, value in read_table(DATA / "words.tsv").items()}
    contexts = read_lines(DATA / "contexts.tsv")
    return Pronouncer(
        segmenter=load_segmenter(),
        everyday=PhraseTable({**read_polyphones(DATA / "polyphones.txt"), **words}),
        phrases=PhraseTable(read_table(DATA / "phrases.tsv.gz")),
        strong_rules=ContextRules([line[1:] for line in contexts if line[0] == "!"]),
        rules=ContextRules([line for line in contexts if line[0] != "!"]),
        characters={**read_table(DATA / "characters.tsv.gz"), **{k: v[0] for k, v in words.items() if len(k) == 1}},
        model=PolyphoneModel.load(),
    )


@lru_cache(maxsize=1)
def load_sandhi() -> Sandhi:
    return Sandhi.load()


def pinyin(text: str) -> list[str]:
    """Tone-number pinyin of each character before sandhi (neutral tone 5); what is no hanzi stands for itself."""
    return load_pronouncer().read(text).syllables


def spoken_pinyin(text: str) -> list[str]:
    """Syllables as they are spoken: after sandhi, neutral tone and erhua; 哪儿 is one syllable, nar3."""
    return [syllable for syllable in speak(text).syllables if syllable]


def speak(text: str) -> Pronunciation:
    """As `pinyin`, but spoken, one item per character: an 儿 that joins the syllable before it is empty."""
    read = load_pronouncer().read(text)
    return Pronunciation(load_sandhi().spoken(text, read.syllables, read.word_of), read.sources, read.word_of)

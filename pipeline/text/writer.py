"""Turns the segments of a request into a script: say-as, languages, lexicon, normalization, readings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.text.lexicon import Lexicon, Match
from pipeline.text.markup import Segment
from pipeline.text.readings import letter_name
from pipeline.text.respell import respelled
from pipeline.text.say_as import IS_SPELLED, say_as
from pipeline.text.script import Script, Source
from pipeline.text.spans import passages, spans

Normalize = Callable[[str, str], str]  # (text, language) -> text without digits and symbols
Pronounce = Callable[[Script], Script]  # gives Chinese characters without a reading one

_UNREAD: tuple[Source] = ("tokenizer",)
_SINGLE_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_SINGLE_CAPITAL = re.compile(r"(?<![A-Za-z])[A-Z](?![A-Za-z])")


class ScriptWriter:
    """Writes what is said, with the readings that markup and lexicon give.

    Args:
        pronounce: for a tokenizer that takes no readings, whose words are respelled; None for one that does.
    """

    def __init__(self, normalize: Normalize, lexicon: Lexicon, pronounce: Pronounce | None = None) -> None:
        self._normalize = normalize
        self._pronounce = pronounce
        self._lexicon = lexicon

    def write(self, segments: Sequence[Segment], hint: str | None = None, *, normalize: bool = True) -> Script:
        """One script of consecutive segments. `hint` is the language of text that does not say."""
        regions = _regions(segments, hint)
        script = Script.join(self._write_region(*region, normalize) for region in regions)
        return script if self._pronounce is None else respelled(script, self._pronounce)

    def _write_region(self, segment: Segment, text: str, language: str, normalize: bool) -> Script:
        if segment.is_verbatim:
            return Script.fixed(text, language, segment.readings or (None,) * len(text), "markup")
        if segment.say_as:
            spoken = self._normalized(say_as(text, segment.say_as, language), language, normalize)
            script = Script.plain(spoken, language)
            return _with_letter_names(script, _SINGLE_LETTER, "markup") if segment.say_as in IS_SPELLED else script
        found = self._lexicon.find(text)
        if not found or not (symbolic := [match for match in found if _is_symbolic(match)]):
            return self._write_plain(text, language, normalize, segment.language, found)
        return Script.join(
            part
            if part.sources[0] != "tokenizer"
            else self._write_plain(part.text, language, normalize, segment.language)
            for part in _around(symbolic, text, language)
        )

    def _write_plain(
        self, raw: str, language: str, normalize: bool, stated: str | None, found: Sequence[Match] | None = None
    ) -> Script:
        """`found` are the raw text's words of the lexicon, where they are known."""
        text = self._normalized(raw, language, normalize)
        if found is None or text != raw:
            found = self._lexicon.find(text)
        words = [match for match in found if not _is_symbolic(match)] if found else found
        if stated is None and not words:
            return _plain(text, spans(text, language))
        script = Script.join(_around(words, text, language)) if words else Script.plain(text, language)
        return script if stated is not None else _with_languages(script, spans(script.text, language))

    def _normalized(self, raw: str, language: str, normalize: bool) -> str:
        return _with_edges(raw, self._normalize(raw, language)) if normalize else raw


def _around(matches: Iterable[Match], text: str, language: str) -> Iterator[Script]:
    """The text in parts, each a lexicon entry or what lies between two."""
    end = 0
    for match in matches:
        if end < match.start:
            yield Script.plain(text[end : match.start], language)
        yield _entry_script(match, text[match.start : match.end], language)
        end = match.end
    if end < len(text):
        yield Script.plain(text[end:], language)


def _regions(segments: Sequence[Segment], hint: str | None) -> Iterator[tuple[Segment, str, str]]:
    """Text that shares a segment and a language, decided in the light of the whole."""
    whole = "".join(segment.text for segment in segments)
    parts = iter(passages(whole, hint))
    position = part_end = 0
    detected = ""
    for segment in segments:
        if segment.language is not None:
            yield segment, segment.text, segment.language
        segment_end = position + len(segment.text)
        while position < segment_end:
            if position == part_end:
                part, detected = next(parts)
                part_end += len(part)
            start, position = position, min(segment_end, part_end)
            if segment.language is None:
                yield segment, whole[start:position], detected


def _is_symbolic(match: Match) -> bool:
    """A word with digits or signs must be found before normalization reads those."""
    return not match.entry.word.isalpha()


def _entry_script(match: Match, written: str, language: str) -> Script:
    entry = match.entry
    if entry.kind == "respelling":
        script = Script.fixed(entry.value, language, (None,) * len(entry.value), match.origin)
        return _with_letter_names(script, _SINGLE_CAPITAL, match.origin)
    return Script.fixed(written, language, entry.readings(), match.origin)


def _with_letter_names(script: Script, letters: re.Pattern[str], source: Source) -> Script:
    readings, sources = list(script.readings), list(script.sources)
    for letter in letters.finditer(script.text):
        readings[letter.start()] = letter_name(letter.group())
        sources[letter.start()] = source
    return Script(script.text, script.languages, tuple(readings), tuple(sources))


def _with_languages(script: Script, found: Iterable[tuple[str, str]]) -> Script:
    return Script(script.text, _languages(found), script.readings, script.sources)


def _plain(text: str, found: Iterable[tuple[str, str]]) -> Script:
    size = len(text)
    return Script(text, _languages(found), (None,) * size, _UNREAD * size)


def _languages(found: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Of each character of parts with their languages."""
    languages: list[str] = []
    for text, language in found:
        languages += [language] * len(text)
    return tuple(languages)


def _with_edges(raw: str, text: str) -> str:
    """Gives back the white space at the edges that keeps words and lines of neighbouring parts apart."""
    core = text.strip()
    if not core:
        return _edge(raw)
    inner = raw.strip()
    if len(inner) == len(raw):
        return core
    return _edge(raw[: raw.index(inner)]) + core + _edge(raw[raw.index(inner) + len(inner) :])


def _edge(raw: str) -> str:
    return "" if not raw else "\n" if "\n" in raw else " "

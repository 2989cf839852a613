"""A small subset of SSML 1.1 (W3C): speak, p, s, break, sub, phoneme, say-as, prosody rate, voice, lang.

Read by expat one event at a time, with document types, entities and processing instructions refused, so that a
document can neither grow nor reach a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn
from xml.parsers import expat

from pipeline.errors import InvalidRequest
from pipeline.text.markup import ALPHABETS, LANGUAGES, Segment, parse_pause
from pipeline.text.say_as import INTERPRETATIONS

MAX_DEPTH = 16
MIN_RATE, MAX_RATE = 0.25, 4.0
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
_STRENGTHS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.0}
_CANTONESE = ("zh-hk", "zh-mo", "zh-yue")
_LEAVES = ("sub", "phoneme", "say-as")  # hold text and no element
_Attributes = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Scope:
    """An open element: the style of the text in it, and what its closing tag makes of that text."""

    name: str
    style: Segment
    finish: Callable[[str], Segment] | None = None


def parse_ssml(document: str) -> list[Segment]:
    """Segments of a `<speak>` document. Raises InvalidRequest naming line and column."""
    return _Reader().read(document)


class _Reader:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = lambda *_: self._fail("a document type is not allowed")
        self._parser.EntityDeclHandler = lambda *_: self._fail("entities are not allowed")
        self._parser.ProcessingInstructionHandler = lambda *_: self._fail("processing instructions are not allowed")
        self._segments: list[Segment] = []
        self._scopes: list[_Scope] = []
        self._text = ""

    def read(self, document: str) -> list[Segment]:
        try:
            self._parser.Parse(document.strip().encode("utf-8"), True)
        except UnicodeEncodeError:
            raise InvalidRequest("SSML holds a lone surrogate: send valid Unicode.") from None
        except expat.ExpatError as error:
            where = f"line {error.lineno}, column {error.offset + 1}"
            raise InvalidRequest(f"SSML, {where}: {self._reason(error.code)}.") from None
        return self._segments or [Segment()]

    def _reason(self, code: int) -> str:
        if self._scopes and code == expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]:
            return f"the text ends before </{self._scopes[-1].name}>: write it"
        return expat.ErrorString(code)

    @property
    def _where(self) -> str:
        return f"at line {self._parser.CurrentLineNumber}, column {self._parser.CurrentColumnNumber + 1}"

    def _fail(self, reason: str) -> NoReturn:
        raise InvalidRequest(f"SSML: {reason} ({self._where}).")

    def _start(self, name: str, attributes: _Attributes) -> None:
        if (name == "speak") != (not self._scopes):
            self._fail(f"<{name}> is in the wrong place: one <speak> holds everything")
        if len(self._scopes) >= MAX_DEPTH:
            self._fail(f"elements are nested deeper than {MAX_DEPTH}")
        if self._scopes and self._scopes[-1].name in (*_LEAVES, "break"):
            self._fail(f"<{self._scopes[-1].name}> holds no elements, but there is <{name}>")
        if name not in _ELEMENTS:
            self._fail(f"<{name}> is not supported; supported are: {', '.join(_ELEMENTS)}")
        self._flush()
        style = self._scopes[-1].style if self._scopes else Segment()
        self._scopes.append(_ELEMENTS[name](self, name, attributes, style))

    def _end(self, name: str) -> None:
        scope = self._scopes.pop()
        if scope.finish is None:
            self._scopes.append(scope)
            self._flush()
            self._scopes.pop()
        else:
            made, self._text = scope.finish(self._text), ""
            style = scope.style
            self._segments.append(
                replace(made, voice=style.voice, rate=style.rate, language=made.language or style.language)
            )

    def _characters(self, text: str) -> None:
        self._text += text

    def _flush(self) -> None:
        text, self._text = self._text, ""
        if text and (text.strip() or self._segments):
            self._segments.append(replace(self._scopes[-1].style, text=" " if text.isspace() else text))

    def _attribute(self, element: str, attributes: _Attributes, name: str) -> str:
        if not attributes.get(name, "").strip():
            self._fail(f"<{element}> needs the attribute {name}")
        return attributes[name].strip()

    def _choice(self, element: str, name: str, value: str, known: dict[str, float] | tuple[str, ...]) -> str:
        if value not in known:
            self._fail(f"<{element} {name}={value!r}> is not known; known are: {', '.join(known)}")
        return value

    def _plain(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        if "xml:lang" in attributes:
            style = replace(style, language=self._language(name, attributes["xml:lang"]))
        return _Scope(name, style)

    def _paragraph(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        scope = self._plain(name, attributes, style)
        if self._segments:
            self._segments.append(replace(scope.style, text="\n"))
        return scope

    def _break(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        if "time" in attributes:
            pause_s = parse_pause(attributes["time"], self._where)
        else:
            strength = self._choice(name, "strength", attributes.get("strength", "medium"), _STRENGTHS_S)
            pause_s = _STRENGTHS_S[strength]
        self._segments.append(replace(style, pause_s=pause_s))
        return _Scope(name, style)

    def _sub(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        alias = self._attribute(name, attributes, "alias")
        return _Scope(name, style, lambda _: Segment(alias))

    def _phoneme(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        alphabet = self._choice(name, "alphabet", attributes.get("alphabet", ""), tuple(ALPHABETS))
        written, where = self._attribute(name, attributes, "ph"), self._where
        return _Scope(name, style, lambda text: ALPHABETS[alphabet](text.strip(), written, where))

    def _say_as(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        kind = self._attribute(name, attributes, "interpret-as")
        self._choice(name, "interpret-as", kind, tuple(INTERPRETATIONS))
        return _Scope(name, style, lambda text: Segment(text.strip(), say_as=kind))

    def _prosody(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        if unknown := [attribute for attribute in attributes if attribute != "rate"]:
            self._fail(f"<prosody {unknown[0]}> is not supported, only rate")
        rate = style.rate * self._rate(self._attribute(name, attributes, "rate"))
        if not MIN_RATE <= rate <= MAX_RATE:
            self._fail(f"rate {rate:g} is out of range: {MIN_RATE:g} to {MAX_RATE:g}")
        return _Scope(name, replace(style, rate=rate))

    def _voice(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        return _Scope(name, replace(style, voice=self._attribute(name, attributes, "name")))

    def _lang(self, name: str, attributes: _Attributes, style: Segment) -> _Scope:
        self._attribute(name, attributes, "xml:lang")
        return self._plain(name, attributes, style)

    def _rate(self, written: str) -> float:
        """A name, a factor (1.2), a percentage (120%) or a change (+20%)."""
        if written in _RATES:
            return _RATES[written]
        percent = written.endswith("%")
        try:
            value = float(written.rstrip("%")) / (100 if percent else 1)
        except ValueError:
            self._fail(f"rate {written!r} is not known: write {', '.join(_RATES)}, 120% or 1.2")
        return 1 + value if percent and written[0] in "+-" else value

    def _language(self, element: str, tag: str) -> str:
        lowered = tag.strip().lower()
        if lowered.startswith(_CANTONESE):
            return "yue"
        return self._choice(element, "xml:lang", lowered.split("-")[0], LANGUAGES)


_Handler = Callable[[_Reader, str, _Attributes, Segment], _Scope]
_ELEMENTS: dict[str, _Handler] = {
    "speak": _Reader._plain,
    "p": _Reader._paragraph,
    "s": _Reader._paragraph,
    "break": _Reader._break,
    "sub": _Reader._sub,
    "phoneme": _Reader._phoneme,
    "say-as": _Reader._say_as,
    "prosody": _Reader._prosody,
    "voice": _Reader._voice,
    "lang": _Reader._lang,
}

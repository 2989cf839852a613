"""The text frontend: a request becomes utterances that the acoustic model can speak, or an error that says why not."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise

from pipeline.config import TextConfig
from pipeline.errors import InvalidRequest, TextTooLong
from pipeline.runtime.bundle import Bundle
from pipeline.text.english_context import with_context
from pipeline.text.lexicon import Lexicon, open_lexicon
from pipeline.text.markup import Segment, parse_markup
from pipeline.text.normalize import normalize
from pipeline.text.polyphone import Question
from pipeline.text.preview import Preview, PreviewPiece, preview_piece, preview_spans
from pipeline.text.prosody import break_places, candidates_of
from pipeline.text.reader import pronounce_and_ask
from pipeline.text.script import Script
from pipeline.text.seeds import derive_seed
from pipeline.text.split import split
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.writer import Normalize, ScriptWriter
from pipeline.types import F32, SpeechRequest, Utterance

Read = Callable[[Script, Sequence[Question]], tuple[Script, list[F32]]]

MIN_SPEED, MAX_SPEED = 0.25, 4.0
_NOTHING = Script.plain("", "")
PAUSE = "|"  # a short silence, in the text of a tokenizer that has a symbol for it
_WARM_UP = {
    "zh": "今天是2024年5月1日，重庆的GPU很快。",
    "en": "It costs $3.50, see you at 10:30!",
    "ja": "今日は3月5日、GPUは速いです。",
    "ko": "오늘은 3월 5일, GPU가 빠릅니다.",
    "yue": "佢今日買咗3個蘋果。",
}


@dataclass(frozen=True, slots=True)
class _Passage:
    """Consecutive segments that one voice speaks at one rate without a pause."""

    segments: tuple[Segment, ...]
    pause_s: float

    @property
    def voice(self) -> str | None:
        return self.segments[0].voice if self.segments else None

    @property
    def rate(self) -> float:
        return self.segments[0].rate if self.segments else 1.0


@dataclass(frozen=True, slots=True)
class _Piece:
    """What becomes one utterance."""

    script: Script
    text_ids: tuple[int, ...]


class _Reading:
    """Reads a script when first asked about pauses, as one run of the model costs less than two."""

    def __init__(self, read: Read, script: Script) -> None:
        self._read = read
        self.script = script
        self._is_read = False

    def ask(self, questions: Sequence[Question]) -> list[F32]:
        if self._is_read:
            return self._read(_NOTHING, questions)[1]
        self.script, answers = self._read(self.script, questions)
        self._is_read = True
        return answers


class Frontend:
    """Markup, language, normalization, splitting, pronunciation and tokens of one bundle's text.

    Args:
        lexicon: None opens the one that `config` names.
        normalize: (text, language) -> text as it is read.
        read: gives the characters of a script their readings and answers questions about pauses; None does so in the
            bundle's languages.
    """

    def __init__(
        self,
        bundle: Bundle,
        tokenizer: Tokenizer,
        config: TextConfig,
        lexicon: Lexicon | None = None,
        *,
        normalize: Normalize = normalize,
        read: Read | None = None,
    ) -> None:
        self.lexicon = lexicon or open_lexicon(
            config.lexicon, cache_size=config.lexicon_cache_size, poll_s=config.lexicon_poll_s
        )
        self._bundle = bundle
        self._tokenizer = tokenizer
        self._config = config
        read = read or partial(pronounce_and_ask, languages=bundle.manifest.languages)
        self._read = read
        pronounce = None if tokenizer.takes_readings else lambda script: read(script, ())[0]
        self._writer = ScriptWriter(normalize, self.lexicon, pronounce)

    def warm_up(self) -> None:
        """Loads the dictionaries of the model's languages, so that no request waits for them."""
        for language in self._bundle.manifest.languages:
            if text := _WARM_UP.get(language):
                self.preview(text, language)
                self._tokenizer.encode(text)  # by its own rules, too
        gc.collect()
        gc.freeze()  # what was loaded stays: no collection needs to look through it again, which takes some 10 ms

    def prepare(self, request: SpeechRequest) -> list[Utterance]:
        """Utterances in reading order, at least one. A pause before the first word is left out.

        Raises InvalidRequest, TextTooLong, VoiceNotFound.
        """
        self._check_length(request.text)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        utterances: list[Utterance] = []
        default_voice = self._bundle.voice(request.voice)
        for passage in _passages(parse_markup(request.text)):
            voice = default_voice if passage.voice is None else self._bundle.voice(passage.voice)
            speed = _checked_speed(request.speed * passage.rate)
            for piece in self._pieces(passage, request.language, request.normalize, is_first=not utterances):
                piece_seed = derive_seed(seed, len(utterances))
                text = piece.script.text.replace(PAUSE, "")
                utterances.append(Utterance(text, piece.text_ids, voice, piece_seed, speed))
            if utterances and passage.pause_s:
                last = utterances[-1]
                utterances[-1] = replace(last, pause_s=last.pause_s + passage.pause_s)
        if not utterances:
            raise self._nothing_to_say(request.text)
        return utterances

    def preview(self, text: str, language: str | None = None, *, normalize: bool = True) -> Preview:
        """What the model would be given, and where each reading came from; nothing is synthesized."""
        self._check_length(text)
        passages = _passages(parse_markup(text))
        spoken = "".join(segment.text for passage in passages for segment in passage.segments)
        scripts = [self._writer.write(passage.segments, language, normalize=normalize) for passage in passages]
        pieces: list[PreviewPiece] = []
        for script in scripts:
            for piece in self._split(script, is_first=not pieces, with_pauses=normalize):
                symbols = self._tokenizer.symbols(piece.script.text, piece.script.readings)
                pieces.append(preview_piece(piece.script, symbols, piece.text_ids))
        normalized = "".join(script.text for script in scripts)
        return Preview(text, preview_spans(spoken, language), normalized, tuple(pieces))

    def _check_length(self, text: str) -> None:
        limit = self._config.max_text_length
        if len(text) > limit:
            raise TextTooLong(f"the text has {len(text)} characters, at most {limit} are allowed: send it in parts.")

    def _pieces(self, passage: _Passage, language: str | None, normalize: bool, *, is_first: bool) -> Iterator[_Piece]:
        script = self._writer.write(passage.segments, language, normalize=normalize)
        return self._split(script, is_first=is_first, with_pauses=normalize)

    def _split(self, script: Script, *, is_first: bool, with_pauses: bool) -> Iterator[_Piece]:
        first_length = self._config.first_piece_length if is_first else None
        reading = _Reading(self._read, script) if self._tokenizer.takes_readings else None
        word_ends = partial(break_places, ask=reading.ask if reading else None)
        texts = split(script.text, self._config.max_piece_length, first_length, word_ends)
        candidates = list(map(candidates_of, texts)) if with_pauses and self._has_pauses else []
        if reading is not None:
            pauses = reading.ask([row.hidden for row in candidates])
            script = with_context(reading.script)
        parts = script.pieces(texts)
        if candidates:
            marks = [row.chosen(found) for row, found in zip(candidates, pauses, strict=True)]
            parts = map(_with_pauses, parts, marks)
        for part in parts:
            yield from self._fitting(part)

    @cached_property
    def _has_pauses(self) -> bool:
        """Whether the voice was trained with a symbol for short silences. Characters have none: a BPE reads the bar."""
        takes_readings, encode = self._tokenizer.takes_readings, self._tokenizer.encode
        return takes_readings and len(encode(f"好{PAUSE}好")) > len(encode("好好"))

    def _fitting(self, script: Script) -> Iterator[_Piece]:
        """The script as one piece, or as several where its ids would exceed the model's budget."""
        ids = self._tokenizer.encode(script.text, script.readings)
        if len(ids) <= self._config.max_piece_tokens or len(script.text) == 1:
            if ids:
                yield _Piece(script, tuple(ids))
            return
        for part in _halves(script):
            yield from self._fitting(part)

    def _nothing_to_say(self, text: str) -> InvalidRequest:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        languages = ", ".join(self._bundle.manifest.languages)
        return InvalidRequest(
            f"nothing in the text {shown!r} can be spoken: send words that model {self._bundle.manifest.name!r} speaks "
            f"({languages})."
        )


class LocalFrontend:
    """A Frontend behind the stage's Protocol, in this process: it takes about as long as handing it to a thread."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        return self._frontend.prepare(request)


def _passages(segments: Sequence[Segment]) -> list[_Passage]:
    passages: list[_Passage] = []
    open_segments: list[Segment] = []

    def close(pause_s: float) -> None:
        if open_segments or pause_s > 0:
            passages.append(_Passage(tuple(open_segments), pause_s))
            open_segments.clear()

    for segment in segments:
        if open_segments and (segment.voice, segment.rate) != (open_segments[-1].voice, open_segments[-1].rate):
            close(0.0)
        if segment.text:
            open_segments.append(segment)
        if segment.pause_s > 0:
            close(segment.pause_s)
    close(0.0)
    return passages


def _with_pauses(script: Script, places: Sequence[int]) -> Script:
    """The script with short silences at places of its Chinese parts."""
    marks = [place for place in places if script.languages[place] == "zh"]
    if not marks:
        return script
    parts = [script[start:end] for start, end in pairwise([0, *marks, len(script.text)])]
    pauses = [Script.fixed(PAUSE, "zh", (None,), "model") for _ in marks]
    return Script.join(part for pair in zip(parts, [*pauses, Script.plain("", "zh")], strict=True) for part in pair)


def _halves(script: Script) -> list[Script]:
    """Two or more parts, at the best boundary near the middle; a word without one is cut."""
    num_chars = len(script.text)
    for length in (num_chars // 2, num_chars // 6):  # split counts a Latin letter as a third
        if length and len(parts := list(script.pieces(split(script.text, length, word_ends=break_places)))) > 1:
            return parts
    return [script[: num_chars // 2], script[num_chars // 2 :]]


def _checked_speed(speed: float) -> float:
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise InvalidRequest(
            f"speed {speed:g} is out of range: {MIN_SPEED:g} to {MAX_SPEED:g}, markup's rate included."
        )
    return speed

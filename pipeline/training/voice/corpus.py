"""Sentences to a dataset: taught audio, features and speech tokens, and a larger set of tokens alone for the LM."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.audio.features import MelSpectrogram
from pipeline.export.tokenizer_files import UNITS_FILE
from pipeline.text.inventory import text_symbols
from pipeline.training.voice.dataset import LANGUAGES, SPEAKERS_FILE, Dataset, Item, Shard, read_tokens, write_tokens
from pipeline.training.voice.espeak import Espeak
from pipeline.training.voice.features import MEL_HOP, PitchTracker, fill_unvoiced
from pipeline.training.voice.school import School, Taught, fit_units, pitch_bounds
from pipeline.training.voice.sentences import Sentence, Sentences, load_sources
from pipeline.training.voice.speakers import SPEAKERS
from pipeline.training.voice.teacher import Teacher
from pipeline.training.voice.units import Grid, Units
from pipeline.training.voice.word_source import Source

_SHARD = 1000  # utterances of a file with audio
_TEXT_SHARD = 3000  # and of one without
_RARE = 6
_MEL = MelSpectrogram()


def encode(taught: Taught, units: Units, symbol_ids: Mapping[str, int], *, with_audio: bool) -> Item:
    lesson, speaker = taught.lesson, SPEAKERS[taught.speaker]
    speech = units.encode(lesson.phones, lesson.positions, fill_unvoiced(taught.pitch_hz), speaker.name)
    mel = f0 = audio = None
    if with_audio:
        audio = lesson.samples
        mel = _MEL((audio / 32768.0).astype(np.float32))
        f0 = PitchTracker()(audio, MEL_HOP, len(mel), *pitch_bounds(speaker))
    text = np.array([symbol_ids[symbol] for symbol in lesson.symbols], np.int64)
    language = LANGUAGES.index(taught.sentence.language)
    return Item(text, speech, lesson.owners, taught.speaker, language, taught.sentence.text, mel, f0, audio)


def write_items(items: Iterable[Item], folder: Path, split: str, *, first: int = 0, shard_size: int = _SHARD) -> int:
    """Numbered files of one split from `first` on; returns the number of utterances."""
    count, number = 0, first
    shard = Shard()
    for item in items:
        shard.add(item)
        count += 1
        if len(shard) == shard_size:
            shard.write(folder / f"{split}-{number:02d}.npz")
            shard, number = Shard(), number + 1
    if len(shard):
        shard.write(folder / f"{split}-{number:02d}.npz")
    return count


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything; the same plan gives the same corpus.

    Args:
        num_audio: utterances with audio, for flow and vocoder.
        num_text: utterances of tokens alone, for the language model.
        num_held_out: utterances with audio of each language and of mixed ones, whose sentences are in no other set.
        num_recognizer: utterances of other speakers, for the recogniser.
        weights: of LANGUAGES.
        sentences: optional Mandarin text, see `load_sources`.
    """

    num_audio: int = 7000
    num_text: int = 60000
    num_held_out: int = 220
    num_recognizer: int = 2000
    weights: tuple[float, ...] = (0.2, 0.19, 0.15, 0.15, 0.15, 0.16)
    seed: int = 300
    grid: Grid = field(default_factory=Grid)
    sentences: Path | None = None

    def scaled(self, share: float) -> Plan:
        """A part of the corpus, or more of it; at least four of each kind, of which the teacher may drop some."""
        names = ("num_audio", "num_text", "num_held_out", "num_recognizer")
        return replace(self, **{name: max(4, round(getattr(self, name) * share)) for name in names})


def build_corpus(folder: Path, plan: Plan, units: Units | None = None) -> None:
    """Writes the whole dataset. What is there already is kept, so that a run can go on where another one stopped.

    Args:
        units: those of a model that is to go on; None: chosen to fit the training sentences.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library = Library(folder, plan, load_sources(plan.sentences))
    if not (folder / UNITS_FILE).is_file():
        library.write_audio(units)
    library.write_text()


class Library:
    """Draws sentences by a plan, has them taught, and writes them."""

    def __init__(self, folder: Path, plan: Plan, sources: Sequence[Source]) -> None:
        self._folder, self._plan, self._sources = folder, plan, sources
        self._symbols = text_symbols()
        self._school = School(Teacher(Espeak({speaker.variant: speaker.definition for speaker in SPEAKERS})))

    def write_audio(self, units: Units | None = None) -> None:
        """Held-out and training sentences with audio; the units are those of the training sentences, if not given."""
        seed, count = self._plan.seed, self._plan.num_held_out
        held_out = [s for language in LANGUAGES for s in islice(self._draw(seed, [language], [1.0]), count)]
        apart = {sentence.text for sentence in held_out}
        taught = self._school.teach(self._sentences(seed + 1, self._plan.num_audio, apart), seed + 1)
        if units is None:
            units, coverage = fit_units(taught, self._plan.grid)
            print(f"{coverage} phones {units.num_phones} voiced {sum(units.is_voiced)}", flush=True)
        self._write(self._school.teach(held_out, seed), units, "held-out", with_audio=True)
        self._write(taught, units, "train", with_audio=True)
        write_tables(self._folder, units, self._symbols)
        print(report(self._folder, "train"), self._school.summary(), sep="\n", flush=True)

    def write_text(self) -> None:
        """Tokens alone, file by file."""
        units = Units.open(self._folder)
        apart = {item.sentence for item in Dataset.open(self._folder, "held-out")}
        for number in range(-(-self._plan.num_text // _TEXT_SHARD)):
            if (self._folder / f"text-{number:02d}.npz").is_file():
                continue
            seed = self._plan.seed + 1000 + number
            size = min(_TEXT_SHARD, self._plan.num_text - number * _TEXT_SHARD)
            taught = self._school.teach(self._sentences(seed, size, apart), seed)
            count = self._write(taught, units, "text", with_audio=False, first=number)
            print(f"text-{number:02d} {count} {self._school.summary()}", flush=True)

    def _draw(self, seed: int, languages: Sequence[str], weights: Sequence[float]) -> Iterator[Sentence]:
        return Sentences(self._sources, seed).draw(languages, weights)

    def _sentences(self, seed: int, count: int, apart: set[str]) -> Iterator[Sentence]:
        stream = self._draw(seed, LANGUAGES, self._plan.weights)
        return islice((sentence for sentence in stream if sentence.text not in apart), count)

    def _write(self, taught: Iterable[Taught], units: Units, split: str, *, with_audio: bool, first: int = 0) -> int:
        """Leaves out what holds a phone that the units do not know."""
        ids = {symbol: index for index, symbol in enumerate(self._symbols)}
        known = (one for one in taught if units.knows(one.lesson.phones))
        items = (encode(one, units, ids, with_audio=with_audio) for one in known)
        return write_items(items, self._folder, split, first=first, shard_size=_SHARD if with_audio else _TEXT_SHARD)


def report(folder: Path, split: str) -> str:
    """Hours, and speech tokens for each text symbol by language: what bounds the LM's length."""
    dataset = Dataset.open(folder, split)
    languages = np.concatenate([shard["language"] for shard in dataset.shards])
    ratios = dataset.num_speech / dataset.num_text
    lines = [f"{split}: {len(dataset)} utterances, {dataset.num_speech.sum() / 25 / 3600:.2f} h"]
    for index, language in enumerate(LANGUAGES):
        own = ratios[languages == index]
        if len(own):
            shares = " ".join(f"{q:.2f}" for q in np.quantile(own, (0, 0.01, 0.5, 0.99, 1)))
            lines.append(f"  {language}: {len(own)} utterances, tokens per symbol (min 1% 50% 99% max) {shares}")
    seen = np.bincount(np.concatenate([s["text"] for s in dataset.shards]), minlength=len(read_tokens(folder)))
    rare = [f"{symbol} {n}" for symbol, n in zip(read_tokens(folder), seen, strict=True) if n < _RARE]
    return "\n".join([*lines, f"  symbols seen less than {_RARE} times: {', '.join(rare)}"])


def write_tables(folder: Path, units: Units, symbols: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    units.save(folder)
    write_tokens(folder, symbols)
    table = [{"name": s.name, "base_hz": units.base_hz[s.name], "variant": s.variant} for s in SPEAKERS]
    (folder / SPEAKERS_FILE).write_text(json.dumps(table, ensure_ascii=False, indent=1), "utf-8")

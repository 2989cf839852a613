"""Judges a bundle on held-out sentences: what is understood, melody, sound, speakers, stops, speed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.features import MelSpectrogram
from pipeline.errors import BundleError
from pipeline.training.voice.dataset import LANGUAGES, SPEAKERS_FILE, Dataset, Item, read_tokens
from pipeline.training.voice.evaluate_distances import Alignment, align, edit_path, mel_cepstra
from pipeline.training.voice.evaluate_orders import hear_orders, summarize
from pipeline.training.voice.evaluate_pictures import Panel, draw_spectrograms
from pipeline.training.voice.evaluate_pitch import (
    TONE_LANGUAGES,
    ToneJudge,
    correlation,
    judge_tones,
    learn_tones,
    syllables,
    track,
)
from pipeline.training.voice.evaluate_report import Evaluation, Row
from pipeline.training.voice.evaluate_speech import Sentence, VoiceUnderTest
from pipeline.training.voice.evaluate_voices import Portrait, compare_voices
from pipeline.training.voice.recognizer import Listener, intended_phones, load_recognizer
from pipeline.training.voice.units import Units
from pipeline.types import F32, F64, I16

Progress = Callable[[str], None]

NUM_ORDERS = 50
NUM_COPIED = 40
_MAX_TONE_LESSONS = 400  # of the teacher's utterances, to learn the tones of a language from


@dataclass(frozen=True, slots=True)
class Take:
    """One utterance, analysed."""

    samples: I16
    mel: F32  # f32 [T, 80]
    cepstra: F64  # f64 [T, 13]
    f0: F32  # f32 [T]

    @classmethod
    def of(cls, samples: I16, median_hz: float) -> Take:
        long_enough = np.pad(samples, (0, max(0, 2048 - len(samples))))
        mel = MelSpectrogram()((long_enough / 32768.0).astype(np.float32))
        return cls(samples, mel, mel_cepstra(mel), track(long_enough, len(mel), median_hz))


@dataclass(frozen=True)
class Bench:
    """What sentences are judged with; the same for all of a dataset."""

    voice: VoiceUnderTest
    listener: Listener
    units: Units
    symbols: tuple[str, ...]
    speakers: tuple[str, ...]
    phones: dict[int, list[int]]  # those that each language has
    tones: dict[str, ToneJudge]
    is_native: bool  # the bundle has the dataset's symbols and speech tokens

    def judge(self, item: Item, other: Item, *, is_copied: bool) -> tuple[Row, dict[str, Take]]:
        """
        Args:
            other: any other sentence of the language, for the ceiling of the distances.
            is_copied: whether the teacher's tokens and mel are spoken too, which tells the models' shares apart.
        """
        language, voice = LANGUAGES[item.language], self.speakers[item.speaker]
        text_ids = tuple(item.text.tolist()) if self.is_native else None
        hint = None if language == "mixed" else language
        spoken = self.voice.speak(Sentence(item.sentence, voice, hint, text_ids))
        takes = self._takes(spoken.samples, item, other, is_copied)
        aligned = {name: align(take.cepstra, takes["teacher"].cepstra) for name, take in takes.items()}
        wanted = intended_phones(item, self.units)
        heard = {name: self.listener(take.mel, self.phones[item.language]) for name, take in takes.items()}
        edits = {name: edit_path(wanted, phones) for name, phones in heard.items()}
        row = Row(
            language=language,
            voice=voice,
            text=item.sentence,
            duration_s=len(spoken.samples) / self.voice.sample_rate,
            teacher_s=len(_audio(item)) / self.voice.sample_rate,
            cpu_s=spoken.cpu_s,
            wall_s=spoken.wall_s,
            num_phones=len(wanted),
            num_edits={name: path.num_edits for name, path in edits.items()},
            num_missing_at_end=edits["voice"].num_missing_at_end - edits["teacher"].num_missing_at_end,
            distance_db={name: alignment.distance_db for name, alignment in aligned.items()},
            f0_correlation={
                name: correlation(takes[name].f0, takes["teacher"].f0, aligned[name])
                for name in takes
                if name not in ("teacher", "other")
            },
            tones=self._tones(item, takes, aligned["voice"]),
        )
        return row, takes

    def _takes(self, samples: I16, item: Item, other: Item, is_copied: bool) -> dict[str, Take]:
        voice = self.speakers[item.speaker]
        median_hz = self.units.base_hz[voice]
        takes = {
            "voice": Take.of(samples, median_hz),
            "teacher": Take.of(_audio(item), median_hz),
            "other": Take.of(_audio(other), median_hz),
        }
        if is_copied:
            takes["vocoder"] = Take.of(self.voice.copy_mel(takes["teacher"].mel), median_hz)
        if is_copied and self.is_native:
            takes["tokens"] = Take.of(self.voice.copy_tokens(item.speech, voice), median_hz)
        return takes

    def _tones(self, item: Item, takes: dict[str, Take], alignment: Alignment) -> dict[str, list[int]]:
        language = LANGUAGES[item.language]
        found = syllables(item, self.symbols)
        if language not in self.tones or not found:
            return {}
        return judge_tones(self.tones[language], found, takes["teacher"].f0, takes["voice"].f0, alignment)


def evaluate(
    bundle: str,
    data: Path,
    recognizer: Path,
    output: Path,
    *,
    num_per_language: int = 200,
    num_copied: int = NUM_COPIED,
    num_orders: int = NUM_ORDERS,
    languages: tuple[str, ...] = LANGUAGES,
    progress: Progress = print,
) -> Evaluation:
    """Speaks and judges held-out sentences; writes evaluation.json, evaluation.md and spectrograms to `output`.

    Args:
        num_copied: sentences of each language whose copies are judged too: speech from the teacher's tokens, and from
            its mel.
        num_orders: English sentences for pocketsphinx; 0 leaves it out.

    Raises:
        BundleError: the dataset, the recogniser or the bundle is missing or damaged.
    """
    output.mkdir(parents=True, exist_ok=True)
    held_out = Dataset.open(data, "held-out")
    rows: list[Row] = []
    voices: dict[str, Portrait] = defaultdict(Portrait)
    teachers: dict[str, Portrait] = defaultdict(Portrait)
    with VoiceUnderTest(bundle) as voice:
        bench = open_bench(voice, data, recognizer, languages)
        for item, other in choose(held_out, num_per_language, languages):
            num_before = sum(row.language == LANGUAGES[item.language] for row in rows)
            row, takes = bench.judge(item, other, is_copied=num_before < num_copied)
            voices[row.voice].add(takes["voice"].f0, takes["voice"].mel)
            teachers[row.voice].add(takes["teacher"].f0, takes["teacher"].mel)
            if not num_before:
                _draw(row.language, takes, voice.sample_rate, output)
            rows.append(row)
            progress(f"{len(rows)} {row.summary()}")
        words = summarize(hear_orders(voice, num_sentences=num_orders)) if num_orders else None
        name = voice.bundle.manifest.name
    evaluation = Evaluation(name, tuple(rows), tuple(compare_voices(voices, teachers)), words)
    evaluation.write(output)
    return evaluation


def open_bench(voice: VoiceUnderTest, data: Path, recognizer: Path, languages: Collection[str]) -> Bench:
    units, symbols = Units.open(data), tuple(read_tokens(data))
    speakers = tuple(entry["name"] for entry in json.loads((data / SPEAKERS_FILE).read_text("utf-8")))
    train = Dataset.open(data, "train")
    return Bench(
        voice=voice,
        listener=load_recognizer(recognizer, data),
        units=units,
        symbols=symbols,
        speakers=speakers,
        phones=phones_by_language([train, Dataset.open(data, "held-out")], units),
        tones={
            language: learn_tones(_of_language(train, language, _MAX_TONE_LESSONS), symbols)
            for language in TONE_LANGUAGES
            if language in languages
        },
        is_native=voice.shares_symbols(data),
    )


def choose(held_out: Dataset, num_per_language: int, languages: tuple[str, ...]) -> Iterator[tuple[Item, Item]]:
    """The first sentences of each language, each with the one before it, as another one."""
    for language in languages:
        items = _of_language(held_out, language, max(2, num_per_language))
        if len(items) < 2:
            raise BundleError(f"the held-out set has fewer than two sentences of {language!r}: make a larger corpus.")
        yield from zip(items[:num_per_language], [items[-1], *items], strict=False)


def phones_by_language(datasets: Iterable[Dataset], units: Units) -> dict[int, list[int]]:
    seen: dict[int, set[int]] = defaultdict(set)
    for shard in (shard for dataset in datasets for shard in dataset.shards):
        phones = units.factors[shard["speech"], 0]
        languages = np.repeat(shard["language"], np.diff(shard["speech_offset"]))
        for language in np.unique(languages):
            seen[int(language)].update(np.unique(phones[languages == language]).tolist())
    return {language: sorted(known) for language, known in seen.items()}


def _of_language(dataset: Dataset, language: str, max_items: int) -> list[Item]:
    """The first utterances of a language."""
    languages = np.concatenate([shard["language"] for shard in dataset.shards])
    indices = np.flatnonzero(languages == LANGUAGES.index(language))[:max_items]
    return [dataset.item(int(index)) for index in indices]


def _audio(item: Item) -> I16:
    if item.audio is None:
        raise BundleError("the held-out set has no audio: make the corpus again.")
    return item.audio


def _draw(language: str, takes: dict[str, Take], sample_rate: int, output: Path) -> None:
    panels = [Panel(f"{language}: the voice", takes["voice"].samples), Panel("its teacher", takes["teacher"].samples)]
    draw_spectrograms(panels, sample_rate, output / f"spectrogram-{language}.png")

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.text.inventory import text_symbols
from pipeline.training.voice.corpus import Plan, encode, report, write_items, write_tables
from pipeline.training.voice.dataset import Dataset, read_tokens
from pipeline.training.voice.features import PitchTracker, fill_unvoiced, token_pitch
from pipeline.training.voice.ownership import Word
from pipeline.training.voice.school import School, Taught, fit_units, measure_bases, pitch_bounds
from pipeline.training.voice.sentences import Sentence, Sentences
from pipeline.training.voice.sources import cantonese_source, japanese_source, korean_source
from pipeline.training.voice.speakers import SPEAKERS
from pipeline.training.voice.teacher import SILENCE, Lesson, Phrase
from pipeline.training.voice.units import Grid
from pipeline.training.voice.word_source import Source
from pipeline.types import I16

RATE = 22050


def tone(hz: float, seconds: float) -> I16:
    time = np.arange(int(RATE * seconds)) / RATE
    wave = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 9))
    return (6000 * wave).astype(np.int16)


def source(language: str, sounds: str) -> Source:
    words: list[Word] = [tuple(f"{language}:{sound}" for sound in word.split()) for word in sounds.split("/")]
    by_name = {str(k): word for k, word in enumerate(words)}

    def pick(rng: random.Random) -> str:
        return rng.choice(list(by_name))

    return Source(language, lambda names: tuple(by_name[n] for n in names), pick, pick, words, " ", 0.5)


def sources() -> list[Source]:
    return [source("zh", "n i3/h ao3/b u2/ zzz9"), source("en", "W AO1 R/T EH1 N"), source("ja", "k a/s o")]


def draw(language: str, count: int, seed: int = 1) -> list[Sentence]:
    return list(islice(Sentences(sources(), seed).draw([language], [1.0]), count))


class FakeTeacher:
    """Gives every sentence ten tokens of tone; refuses those in Japanese."""

    def say(self, phrases: tuple[Phrase, ...], speaker: object) -> Lesson | None:
        if phrases[0].language == "ja":
            return None
        symbols = ("^", *(symbol for phrase in phrases for symbol in phrase.symbols))
        phones = (SILENCE, *["zh:a"] * 9)
        positions = np.array([0, *range(9)])
        return Lesson(symbols, tone(150.0, 0.4)[:8820], phones, positions, np.minimum(np.arange(10), len(symbols) - 1))


def taught(count: int = 4) -> list[Taught]:
    return School(FakeTeacher()).teach(draw("zh", count), seed=0, speakers=SPEAKERS[:1])  # type: ignore[arg-type]


@pytest.mark.parametrize("hz", [82.0, 123.4, 220.0, 341.0])
def test_the_pitch_of_a_tone_is_found(hz: float) -> None:
    found = PitchTracker()(tone(hz, 0.5), 256, 43, hz / 1.6, hz * 2.2)
    np.testing.assert_allclose(found[4:-6], hz, rtol=4e-3)
    by_token = token_pitch(tone(hz, 0.5), 12, hz / 1.6, hz * 2.2)
    np.testing.assert_allclose(by_token[1:-2], hz, rtol=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = (3000 * np.random.default_rng(0).standard_normal(RATE // 2)).astype(np.int16)
    assert (PitchTracker()(noise, 256, 43, 80.0, 300.0) > 0).mean() < 0.1
    assert not PitchTracker()(np.zeros(RATE // 2, np.int16), 256, 43, 80.0, 300.0).any()


def test_pitch_is_drawn_on_through_what_has_none() -> None:
    filled = fill_unvoiced(np.array([0, 100, 0, 200, 0], np.float32))
    assert filled.tolist() == [100, 100, 150, 200, 200]
    assert not fill_unvoiced(np.zeros(3, np.float32)).any()


def test_a_seed_gives_the_same_sentences_again() -> None:
    assert [s.phrases for s in draw("mixed", 20)] == [s.phrases for s in draw("mixed", 20)]
    assert [s.phrases for s in draw("mixed", 20)] != [s.phrases for s in draw("mixed", 20, seed=2)]


def test_a_sentence_with_a_sound_that_the_voice_lacks_is_not_drawn() -> None:
    symbols = {symbol for s in draw("zh", 60) for phrase in s.phrases for symbol in phrase.symbols}
    assert {"zh:ao3", "zh:u2"} <= symbols
    assert "zh:zzz9" not in symbols


def test_a_sentence_ends_with_a_mark_and_clauses_are_parted() -> None:
    sentences = draw("en", 80)
    ends = [s.phrases[-1].mark for s in sentences]
    assert set(ends) == {".", "?", "!"}
    assert {phrase.mark for s in sentences for phrase in s.phrases} >= {",", "|"}
    assert min(len(s.phrases[0].words) for s in sentences) == 1


def test_a_mixed_sentence_changes_language_inside_a_clause() -> None:
    for sentence in draw("mixed", 30):
        for one, following in zip(sentence.phrases, sentence.phrases[1:], strict=False):
            assert (one.mark == "") == (one.language != following.language) or one.mark in ",.?!"
            assert one.mark or one.language != following.language


@pytest.mark.parametrize("build", [japanese_source, korean_source, cantonese_source])
def test_drills_hold_every_sound_of_a_language(build: Callable[[], Source]) -> None:
    one = build()
    drilled = {symbol for word in one.drills for symbol in word}
    assert drilled == {symbol for symbol in text_symbols() if symbol.startswith(f"{one.language}:")}


@pytest.mark.parametrize("build", [japanese_source, korean_source, cantonese_source])
def test_words_are_read_one_by_one(build: Callable[[], Source]) -> None:
    one, rng = build(), random.Random(5)
    for _ in range(50):
        words = one.read([one.pick_common(rng), one.pick_rare(rng)])
        assert len(words) >= 2
        assert all(symbol.startswith(f"{one.language}:") for word in words for symbol in word)


def test_drills_come_round_before_any_comes_twice() -> None:
    one = source("ja", "k a/s o/t o/n e")
    dealt = [one._deal(random.Random(3)) for _ in range(4)]
    assert sorted(dealt) == sorted(one.drills)


def test_what_cannot_be_taught_is_counted() -> None:
    school = School(FakeTeacher())  # type: ignore[arg-type]
    kept = school.teach([*draw("zh", 3), *draw("ja", 2)], seed=0)
    assert len(kept) == 3
    assert school.summary() == "dropped zh 0.000"
    assert school.num_dropped["ja"] == 2


def test_a_speakers_base_is_the_median_of_its_pitch() -> None:
    bases = measure_bases(taught())
    assert bases[SPEAKERS[0].name] == pytest.approx(150, rel=0.01)
    assert bases[SPEAKERS[1].name] == SPEAKERS[1].pitch_hz


def test_the_speakers_own_pitch_lies_inside_its_bounds() -> None:
    for speaker in SPEAKERS:
        low, high = pitch_bounds(speaker)
        assert low < speaker.pitch_hz < high / 2


def test_a_corpus_is_written_in_numbered_files_and_described(tmp_path: Path) -> None:
    units, coverage = fit_units(taught(), Grid())
    symbols = ["^", ".", "?", "!", ",", "|", "zh:n", "zh:i3", "zh:h", "zh:ao3", "zh:b", "zh:u2"]
    ids = {symbol: index for index, symbol in enumerate(symbols)}
    write_tables(tmp_path, units, symbols)
    items = [encode(one, units, ids, with_audio=True) for one in taught()]
    assert coverage.share == 1.0
    assert write_items(items, tmp_path, "train", first=3, shard_size=3) == 4
    assert sorted(file.name for file in tmp_path.glob("*.npz")) == ["train-03.npz", "train-04.npz"]
    dataset = Dataset.open(tmp_path, "train")
    assert len(dataset) == 4
    assert read_tokens(tmp_path) == symbols
    first = dataset.item(0)
    assert first.mel is not None
    assert first.f0 is not None
    assert len(first.mel) == len(first.f0) == 8820 // 256
    assert [units.phones[units.table[k][0]] for k in first.speech[:2]] == [SILENCE, "zh:a"]
    assert "zh: 4 utterances" in report(tmp_path, "train")


def test_a_plan_can_be_made_smaller_but_keeps_some_of_each_kind() -> None:
    half, tiny = Plan().scaled(0.5), Plan(num_audio=8).scaled(0.001)
    assert (half.num_audio, half.num_text) == (Plan().num_audio // 2, Plan().num_text // 2)
    assert (tiny.num_audio, tiny.num_held_out, tiny.num_recognizer) == (4, 4, 4)

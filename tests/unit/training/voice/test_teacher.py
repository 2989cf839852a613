from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from pipeline.training.voice.espeak import Recording
from pipeline.training.voice.notation import NOTATIONS
from pipeline.training.voice.ownership import Word, share_out
from pipeline.training.voice.speakers import SPEAKERS, speaker_vectors
from pipeline.training.voice.teacher import SILENCE, Lesson, Phrase, Teacher, token_starts


@dataclass
class FakeEspeak:
    """Speaks the phones that it was given for a text, each as long as it says (samples)."""

    phones: Mapping[str, list[tuple[str, int]]]
    texts: list[str] = field(default_factory=list)

    def speak(self, text: str, voice: str, **_: int) -> Recording:
        self.texts.append(f"{voice.split('+')[0]} {text}")
        events, sample = [(0, "#")], 0
        for name, length in self.phones[text]:
            events.append((sample, name))
            sample += length
        return Recording(np.full(sample, 1000, np.int16), events)


NI_HAO = [("n", 900), ("i", 1800), ("_|", 0), ("X", 900), ("Au", 2700), ("_|", 0), ("_:", 5000), ("_", 300)]


def say(espeak: FakeEspeak, *phrases: Phrase) -> Lesson | None:
    return Teacher(espeak).say(phrases, SPEAKERS[0])  # type: ignore[arg-type]


def words(language: str, text: str) -> tuple[Word, ...]:
    return tuple(tuple(f"{language}:{sound}" for sound in word.split()) for word in text.split("/"))


def written(language: str, text: str) -> str:
    return NOTATIONS[language].write(words(language, text))


def owners(language: str, text: str, phones: str) -> list[tuple[int, ...]] | None:
    return NOTATIONS[language].owners(words(language, text), phones.split())


@pytest.mark.parametrize(
    ("language", "symbols", "expected"),
    [
        ("zh", "n i3/h ao3", "ni3 hao3"),
        ("zh", "n v3/l ve4/j u1/er2", "nü3 lüe4 ju1 er2"),
        ("zh", "n a3 er5", "nar3"),
        ("yue", "m4/g oi1", "[[m-4]] goi1"),
        ("yue", "ng5", "[[N-5]]"),
        ("en", "HH AH0 L OW1/W ER1 L D", "[[h|@|l|'oU w|'3:|l|d]]"),
        ("ja", "g a Q k o :/k o N b a N", "[[g|a|k|k|o|o k|o|m|b|a|N\\]]"),
        ("ja", "ky o/i Q sh o", "[[k|_j|o i|s\\|s\\|o]]"),
        ("ko", "g a g a", "[[g|a|q|a]]"),
        ("ko", "d a l_ r a", "[[d|a|l|a]]"),
    ],
)
def test_symbols_are_written_as_the_teacher_reads_them(language: str, symbols: str, expected: str) -> None:
    assert written(language, symbols) == expected


@pytest.mark.parametrize(
    ("language", "symbols", "phones", "expected"),
    [
        ("zh", "n i3/h ao3", "n i _| X Au _|", [(0,), (1,), (2,), (3,)]),
        ("zh", "y ing1", "j i N _|", [(0,), (1,), (1,)]),
        ("zh", "y uan2", "y& n _|", [(0, 1), (1,)]),
        ("zh", "h ua1 er5", "X w A @r _|", [(0,), (1,), (1,), (2,)]),
        ("yue", "gw ok3/m4", "g w o k _| m- _|", [(0,), (0,), (1,), (1,), (2,)]),
        ("ja", "ky o :", "k _j o o", [(0,), (0,), (1,), (2,)]),
        ("ko", "d a l_ r a", "d a l a", [(0,), (1,), (2, 3), (4,)]),
        ("en", "W AO1 R", "w O: r", [(0,), (1,), (2,)]),
    ],
)
def test_each_phone_goes_back_to_the_symbol_that_asked_for_it(
    language: str, symbols: str, phones: str, expected: list[tuple[int, ...]]
) -> None:
    assert owners(language, symbols, phones) == expected


def test_phones_that_do_not_fit_are_refused() -> None:
    assert owners("zh", "n i3/h ao3", "n i X Au _|") is None
    assert owners("en", "W AO1 R", "w O:") is None
    assert share_out([1, 0, 2], 3) == [(0,), (1, 2), (2,)]


def test_sounds_begin_near_their_time_and_none_is_too_short() -> None:
    one = np.ones(5, np.int64)
    assert token_starts(np.array([0.0, 2.2, 2.3, 2.4, 6.6]), one, 9).tolist() == [0, 1, 2, 3, 7]
    assert token_starts(np.array([0.0, 2.8, 2.9]), one[:3], 3).tolist() == [0, 1, 2]
    assert token_starts(np.array([0.0, 2.8, 3.1]), np.array([1, 2, 1]), 8).tolist() == [0, 2, 4]


def test_every_token_of_a_lesson_belongs_to_a_symbol_in_order() -> None:
    espeak = FakeEspeak({"ni3 hao3.": NI_HAO})
    lesson = say(espeak, Phrase("zh", words("zh", "n i3/h ao3"), "."))
    assert lesson is not None
    assert lesson.symbols == ("^", "zh:n", "zh:i3", "zh:h", "zh:ao3", ".")
    assert espeak.texts == ["cmn-latn-pinyin ni3 hao3."]
    assert len(lesson.samples) == 882 * len(lesson.phones) == 882 * len(lesson.owners)
    assert (np.diff(lesson.owners) >= 0).all()
    assert sorted(set(lesson.owners)) == list(range(6))
    assert [p for p, k in zip(lesson.phones, lesson.positions, strict=True) if k == 0] == [
        SILENCE, "n", "zh:i", "zh:X", "zh:Au", SILENCE,
    ]  # fmt: skip


def test_the_closing_pause_is_the_lessons_and_not_the_teachers() -> None:
    lesson = say(FakeEspeak({"ni3 hao3.": NI_HAO}), Phrase("zh", words("zh", "n i3/h ao3"), "."))
    assert lesson is not None
    loud = np.flatnonzero(lesson.samples)
    assert loud[0] > 1700
    assert loud[-1] - loud[0] + 1 == pytest.approx(900 + 1800 + 900 + 2700, abs=4)


def test_languages_join_without_a_pause_and_a_bar_is_a_short_one() -> None:
    espeak = FakeEspeak({"ni3 hao3,": NI_HAO, "[[k|a]],": [("k", 900), ("a", 1800), ("_:", 900)]})
    espeak.phones["[[k|a]]."] = espeak.phones["[[k|a]],"]  # type: ignore[index]
    mandarin, japanese = words("zh", "n i3/h ao3"), words("ja", "k a")
    joined = say(espeak, Phrase("zh", mandarin, ""), Phrase("ja", japanese, "."))
    paused = say(espeak, Phrase("zh", mandarin, "|"), Phrase("ja", japanese, "."))
    assert joined is not None
    assert paused is not None
    assert joined.phones.count(SILENCE) + 2 <= paused.phones.count(SILENCE) <= joined.phones.count(SILENCE) + 3
    assert 2205 - 882 < len(paused.samples) - len(joined.samples) < 2205 + 882
    assert "|" in paused.symbols


def test_a_phrase_whose_phones_do_not_fit_gives_no_lesson() -> None:
    assert say(FakeEspeak({"ni3 hao3.": NI_HAO[:3]}), Phrase("zh", words("zh", "n i3/h ao3"), ".")) is None


def test_speakers_are_named_apart_and_their_vectors_orthonormal() -> None:
    assert [speaker.name for speaker in SPEAKERS] == [
        "中文女",
        "中文男",
        "英文女",
        "英文男",
        "日语男",
        "粤语女",
        "韩语女",
    ]
    vectors = speaker_vectors()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(7), atol=1e-6)
    assert len({speaker.definition for speaker in SPEAKERS}) == 7


def test_every_woman_speaks_higher_than_every_man() -> None:
    women = [s.pitch_hz for s in SPEAKERS if s.is_female]
    assert min(women) > max(s.pitch_hz for s in SPEAKERS if not s.is_female)

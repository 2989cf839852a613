"""The evaluation: distances, melody, tones, speakers, words, stops and the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.training.voice.dataset import Item, Shard, write_tokens
from pipeline.training.voice.evaluate import Take, evaluate
from pipeline.training.voice.evaluate_distances import align, edit_path, mel_cepstra
from pipeline.training.voice.evaluate_orders import OrderErrors, summarize
from pipeline.training.voice.evaluate_pictures import Panel, draw_spectrograms, spectrogram_db
from pipeline.training.voice.evaluate_pitch import (
    Syllable,
    ToneJudge,
    contours,
    correlation,
    judge_tones,
    syllables,
)
from pipeline.training.voice.evaluate_report import Evaluation, Row, figures
from pipeline.training.voice.evaluate_voices import Portrait, compare_voices
from pipeline.training.voice.evaluate_words import closed_sentences, grammar, word_error_rate
from pipeline.training.voice.recognizer import SPLIT, train_recognizer
from pipeline.training.voice.units import Grid, Units
from pipeline.types import F32, F64, I16

RATE = 22050


def random_mel(num_frames: int, seed: int = 0) -> F32:
    smooth = np.cumsum(np.random.default_rng(seed).standard_normal((num_frames, 80)), axis=0)
    return (smooth * 0.3 - 4.0).clip(-7.5, 1.0).astype(np.float32)


def glide(start_hz: float, end_hz: float, duration_s: float) -> I16:
    """Ten harmonics of an F0 that moves evenly."""
    num_samples = round(duration_s * RATE)
    phase = 2 * np.pi * np.cumsum(np.linspace(start_hz, end_hz, num_samples)) / RATE
    return (2000 * sum(np.sin(k * phase) / k for k in range(1, 11))).astype(np.int16)


@pytest.mark.parametrize(
    ("wanted", "heard", "num_edits", "num_missing"),
    [
        ("abc", "abc", 0, 0),
        ("abc", "abd", 1, 0),
        ("abc", "xabc", 1, 0),
        ("abcd", "ab", 2, 2),
        ("abc", "", 3, 3),
        ("", "ab", 2, 0),
    ],
)
def test_edits_and_the_lost_ending_are_counted(wanted: str, heard: str, num_edits: int, num_missing: int) -> None:
    path = edit_path(wanted, heard)
    assert path.num_edits == num_edits
    assert path.num_missing_at_end == num_missing


def test_cepstral_distance_is_the_rms_difference_of_smooth_spectra_in_db() -> None:
    mel = random_mel(30)
    ripple_db = 6.0
    ripple = ripple_db * np.log(10) / 20 * np.cos(2 * np.pi * (np.arange(80) + 0.5) / 80)
    moved = mel_cepstra((mel + ripple).astype(np.float32))
    assert align(moved, moved).distance_db == pytest.approx(0.0, abs=1e-6)
    direct = np.sqrt(((moved - mel_cepstra(mel)) ** 2).sum(1) / 2) * 20 / np.log(10)
    np.testing.assert_allclose(direct, ripple_db / np.sqrt(2), rtol=0.02)


def test_loudness_is_no_distance() -> None:
    mel = random_mel(30).clip(-5, 1)
    assert align(mel_cepstra(mel + np.float32(1.0)), mel_cepstra(mel)).distance_db == pytest.approx(0.0, abs=1e-5)


def test_alignment_finds_the_same_frames_in_a_slower_utterance() -> None:
    mel = random_mel(40)
    alignment = align(mel_cepstra(np.repeat(mel, 2, axis=0)), mel_cepstra(mel))
    assert alignment.distance_db == pytest.approx(0.0, abs=1e-4)
    span = alignment.ours_between(10, 20)
    assert (span.start, span.stop) == (20, 40)


def test_f0_correlates_with_itself_and_not_with_its_mirror_image() -> None:
    rising, falling = (Take.of(glide(*ends, 1.0), 165.0) for ends in ((120, 220), (220, 120)))
    path = align(rising.cepstra, rising.cepstra)
    assert correlation(rising.f0, rising.f0, path) == pytest.approx(1.0)
    frames = np.arange(min(len(rising.f0), len(falling.f0)))
    same_time = replace(path, ours=frames, theirs=frames)
    assert correlation(falling.f0, rising.f0, same_time) < -0.9
    assert np.isnan(correlation(np.zeros_like(rising.f0), rising.f0, path))


def test_syllables_are_where_the_alignment_has_their_finals() -> None:
    symbols = ("^", "zh:m", "zh:a1", "en:AH0", "yue:ng6")
    text, owners = np.array([0, 1, 2, 3, 4]), np.array([0, 1, 2, 2, 2, 3, 4, 4])
    item = Item(text, np.zeros(8, np.int64), owners, 0, 0, "")
    assert syllables(item, symbols) == [Syllable(1, 7, 17), Syllable(6, 21, 28)]


def tone_examples(count: int, seed: int) -> tuple[F32, list[Syllable]]:
    """Level high, rising, low and falling syllables of ten frames."""
    random = np.random.default_rng(seed)
    shapes = {1: (6, 6), 2: (0, 6), 3: (-6, -6), 4: (6, -6)}
    tones = random.integers(1, 5, count)
    semitones = [np.linspace(*shapes[int(tone)], 10) + random.normal(0, 0.3) for tone in tones]
    f0 = (150 * 2 ** (np.concatenate(semitones) / 12)).astype(np.float32)
    return f0, [Syllable(int(tone), 10 * k, 10 * k + 10) for k, tone in enumerate(tones)]


def learned_from(f0: F32, found: list[Syllable]) -> ToneJudge:
    spans = [slice(s.start, s.end) for s in found]
    return ToneJudge.learn(contours(f0, spans), np.array([s.tone for s in found]))


def test_the_tone_judge_hears_tones_and_their_loss() -> None:
    judge = learned_from(*tone_examples(200, 0))
    f0, found = tone_examples(40, 1)
    still: F64 = np.arange(len(f0))[:, None] * np.ones(13)
    path = align(still, still)
    flat = np.full_like(f0, 150.0)
    tones = judge_tones(judge, found, f0, f0, path)
    assert tones["voice"] == tones["teacher"] == tones["meant"]
    assert len(set(judge_tones(judge, found, f0, flat, path)["voice"])) == 1


def test_a_voice_is_nearest_to_the_teacher_it_resembles() -> None:
    teachers = {"low": Portrait(), "high": Portrait()}
    voices = {"low": Portrait(), "high": Portrait()}
    for portraits, shift in ((teachers, 0.0), (voices, 4.0)):
        portraits["low"].add(np.full(50, 90.0 + shift, np.float32), random_mel(50, 1))
        portraits["high"].add(np.full(50, 200.0 + shift, np.float32), random_mel(50, 2))
    assert [entry["nearest_teacher"] for entry in compare_voices(voices, teachers)] == ["low", "high"]
    swapped = {"low": voices["high"], "high": voices["low"]}
    assert [entry["nearest_teacher"] for entry in compare_voices(swapped, teachers)] == ["high", "low"]


def test_closed_sentences_are_different_and_of_the_grammars_words() -> None:
    sentences = closed_sentences(60)
    assert len(set(sentences)) == 60
    words = set(grammar().replace("(", " ").replace(")", " ").replace("|", " ").split())
    assert all(words.issuperset(sentence.split()) for sentence in sentences)
    assert closed_sentences(60, seed=1) != sentences == closed_sentences(60)


def test_word_errors_are_counted_over_all_words() -> None:
    assert word_error_rate(["turn on", "the light"], [["turn", "off"], ["the", "light"]]) == 0.25


def row(**changes: object) -> Row:
    plain = Row(
        language="zh",
        voice="中文女",
        text="a",
        duration_s=2.0,
        teacher_s=2.0,
        cpu_s=0.2,
        wall_s=0.3,
        num_phones=10,
        num_edits={"voice": 2, "teacher": 1, "vocoder": 1, "other": 9},
        num_missing_at_end=0,
        distance_db={"voice": 3.0, "vocoder": 2.0, "other": 9.0},
        f0_correlation={"voice": 0.8, "vocoder": 0.9},
        tones={"meant": [1, 2, 3, 4], "teacher": [1, 2, 3, 1], "voice": [1, 2, 1, 1]},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "stop"),
    [
        ({}, "in time"),
        ({"duration_s": 1.4}, "early"),
        ({"num_missing_at_end": 3}, "early"),
        ({"duration_s": 2.9}, "late"),
        ({"duration_s": 9.0}, "never"),
    ],
)
def test_a_stop_is_early_late_or_never(changes: dict[str, object], stop: str) -> None:
    assert row(**changes).stop == stop


def test_figures_are_relative_to_the_teachers() -> None:
    values = figures([row(), row(num_edits={"voice": 0, "teacher": 1, "vocoder": 1, "other": 9})])
    assert values["phone_errors"] == pytest.approx(0.1)
    assert values["phone_errors_above_teacher"] == pytest.approx(0.0)
    assert values["phone_errors_tokens"] is None
    assert values["tones_relative"] == pytest.approx(0.5 / 0.75)
    assert values["real_time_factor_cpu"] == pytest.approx(0.1)


def test_the_report_is_written_as_json_and_markdown(tmp_path: Path) -> None:
    voices = ({"voice": "a", "median_hz": 100.0, "teacher_median_hz": 101.0, "distance": 1.0} | OTHERS,)
    words = summarize([OrderErrors("a", 0.1, 0.02, 40), OrderErrors("b", 0.2, 0.04, 40)])
    Evaluation("tiny", (row(), row(language="yue", duration_s=9.0)), voices, words).write(tmp_path)
    content = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert content["languages"]["yue"]["stops_never"] == 1
    assert content["words"]["above_teacher"] == pytest.approx(0.12)
    markdown = (tmp_path / "evaluation.md").read_text("utf-8")
    assert "not CosyVoice-300M" in markdown
    assert "| yue" in markdown
    assert "15.0 %" in markdown


OTHERS: dict[str, object] = {"distance_to_others": 9.0, "nearest_teacher": "a"}


BASES = {"中文女": 190.0, "中文男": 95.0}


def utterance(text: str, speaker: int) -> Item:
    samples = glide(110, 130, 0.8)
    speech = np.arange(len(samples) // 882) // 5 % 2
    mel = Take.of(samples, 120.0).mel
    f0 = np.full(len(mel), 120.0, np.float32)
    return Item(np.array([1, 2]), speech, np.ones_like(speech), speaker, 0, text, mel, f0, samples)


def test_the_shipped_voice_is_judged_from_end_to_end(tmp_path: Path) -> None:
    """On a dataset of its own symbols that has nothing to do with it."""
    for split in ("train", "held-out", SPLIT):
        shard = Shard()
        shard.add(utterance("你好。", 0))
        shard.add(utterance("再见。", 1))
        shard.write(tmp_path / f"{split}-00.npz")
    Units(("a", "sil"), (True, False), Grid(), BASES, np.array([[0, 1, 0], [1, 0, 0]])).save(tmp_path)
    write_tokens(tmp_path, ["^", "zh:n", "zh:i3"])
    speakers = [{"name": "中文女"}, {"name": "中文男"}]
    (tmp_path / "speakers.json").write_text(json.dumps(speakers), "utf-8")
    train_recognizer(tmp_path, tmp_path / "recognizer.pt", num_steps=1)
    lines: list[str] = []
    output = tmp_path / "out"
    evaluation = evaluate(
        "bundled",
        tmp_path,
        tmp_path / "recognizer.pt",
        output,
        num_per_language=2,
        num_orders=0,
        languages=("zh",),
        progress=lines.append,
    )
    assert [row.voice for row in evaluation.rows] == ["中文女", "中文男"]
    assert all(row.duration_s > 0.3 for row in evaluation.rows)
    assert evaluation.languages["zh"]["tones"] is not None
    assert len(lines) == 2
    assert {file.name for file in output.iterdir()} == {"evaluation.json", "evaluation.md", "spectrogram-zh.png"}


def test_a_spectrogram_shows_the_partials_and_is_drawn(tmp_path: Path) -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(RATE // 2) / RATE)).astype(np.int16)
    level = spectrogram_db(tone)
    assert level[20:-20].argmax(axis=1) * RATE / 512 == pytest.approx(1000, abs=RATE / 512)
    file = tmp_path / "a.png"
    draw_spectrograms([Panel("ours", tone), Panel("theirs", tone)], RATE, file)
    assert file.read_bytes().startswith(b"\x89PNG")

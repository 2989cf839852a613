"""The bundled voice through the code that serves: its golden arrays, and that it says the sentence it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.features import MelSpectrogram
from pipeline.build import BUNDLED_PATH, LocalSynthesizer
from pipeline.config import ServiceConfig, TextConfig
from pipeline.export.onnx_engine import OnnxEngine
from pipeline.export.parity import compare, read_golden
from pipeline.runtime.bundle import Bundle
from pipeline.types import F32, F64, I16, SpeechRequest

GOLDEN = Path(__file__).parents[1] / "golden" / "bundled" / "golden.npz"
GOLDEN_TEXT = "你好，世界！今天天气不错。"  # spoken by the official code, greedily
OTHER_TEXTS = ("我们用GPU训练一个小模型。", "Hello world, this is a test of the tiny voice.")
SEED = 3


@pytest.fixture(scope="module")
def synthesizer() -> Iterator[LocalSynthesizer]:
    with LocalSynthesizer(ServiceConfig(text=TextConfig(lexicon=None))) as local:
        yield local


async def speak(synthesizer: LocalSynthesizer, text: str, voice: str = "中文女", **options: float) -> I16:
    request = SpeechRequest(text, voice, seed=SEED, **options)  # type: ignore[arg-type]
    return np.concatenate([chunk.samples async for chunk in synthesizer.stream(request)])


def warped_distance(a: F32, b: F32) -> float:
    """Mean distance of log-mel frames [T, bins] along the best alignment (dynamic time warping)."""
    cost = np.sqrt(((a[:, None] - b[None]) ** 2).mean(axis=2))
    total: F64 = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0
    for i, row in enumerate(cost, start=1):
        for j, value in enumerate(row, start=1):
            total[i, j] = value + min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
    return float(total[-1, -1] / (len(a) + len(b)))


def features(samples: I16 | F32) -> F32:
    scaled = samples.astype(np.float32) / (32768 if samples.dtype == np.int16 else 1)
    return MelSpectrogram()(scaled)[::2]


def test_the_bundle_computes_what_the_official_code_computed() -> None:
    report = compare([OnnxEngine(Bundle.open(BUNDLED_PATH), "fp32")], read_golden(GOLDEN), "bundled voice")
    assert report.passed, report.table()
    assert {comparison.array for comparison in report.comparisons} >= {"0.lm.greedy_tokens", "0.hift.wave"}


async def test_it_says_the_sentence_and_not_another(synthesizer: LocalSynthesizer) -> None:
    golden = features(np.load(GOLDEN)["0.wave"][0])
    own = warped_distance(features(await speak(synthesizer, GOLDEN_TEXT)), golden)
    others = [warped_distance(features(await speak(synthesizer, text)), golden) for text in OTHER_TEXTS]
    assert own < 0.6 * min(others), (own, others)


async def test_speech_has_the_length_of_speech_and_the_voices_differ(synthesizer: LocalSynthesizer) -> None:
    woman = await speak(synthesizer, GOLDEN_TEXT, "中文女")
    man = await speak(synthesizer, GOLDEN_TEXT, "中文男")
    for samples in (woman, man):
        assert 3.0 < len(samples) / 22050 < 5.5
        assert 0.02 < np.sqrt(np.mean((samples / 32768) ** 2)) < 0.3
        assert np.abs(samples).max() < 32767
    assert pitch_hz(man) < 0.8 * pitch_hz(woman)


def pitch_hz(samples: I16) -> float:
    """Median over voiced frames of the strongest autocorrelation lag between 70 and 400 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 1024)[::512]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(1024), 2048)) ** 2
    correlation = np.fft.irfft(spectrum)[:, :1024]
    lags = np.arange(22050 // 400, 22050 // 70)
    strength = correlation[:, lags] / np.maximum(correlation[:, :1], 1)
    voiced = (strength.max(axis=1) > 0.5) & (correlation[:, 0] > np.median(correlation[:, 0]))
    return float(22050 / np.median(lags[strength[voiced].argmax(axis=1)]))


async def test_speed_changes_the_length_and_not_the_pitch(synthesizer: LocalSynthesizer) -> None:
    normal = await speak(synthesizer, GOLDEN_TEXT)
    for speed in (0.5, 2.0):
        changed = await speak(synthesizer, GOLDEN_TEXT, speed=speed)
        assert len(changed) == pytest.approx(len(normal) / speed, abs=256)
        assert pitch_hz(changed) == pytest.approx(pitch_hz(normal), rel=0.08)


async def test_a_seed_gives_the_same_audio_alone_and_in_a_crowd(synthesizer: LocalSynthesizer) -> None:
    texts = [GOLDEN_TEXT, *OTHER_TEXTS, "一二三四五。", "Good morning."]
    alone = [await speak(synthesizer, text) for text in texts]
    crowd = await asyncio.gather(*(speak(synthesizer, text) for text in texts))
    for one, other in zip(alone, crowd, strict=True):
        assert np.array_equal(one, other)

"""The bundled voice through the code that serves: it says the sentence it is given, in five languages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio.features import MelSpectrogram
from pipeline.build import BUNDLED_PATH, LocalSynthesizer
from pipeline.config import ServiceConfig, TextConfig
from pipeline.types import F32, F64, I16, SpeechRequest

# log-mel of espeak-ng, the voice's teacher, as 中文女 says these sentences, every second frame
TEACHER = Path(__file__).parents[1] / "golden" / "bundled" / "teacher.npz"
TEXTS = {
    "zh": "今天天气不错，我们去公园。",
    "en": "This is a test of the small voice.",
    "ja": "おはようございます、元気ですか。",
    "ko": "오늘은 날씨가 좋습니다.",
    "yue": "佢今日去咗香港。",
}
SEED = 3


@pytest.fixture(scope="module")
def synthesizer() -> Iterator[LocalSynthesizer]:
    with LocalSynthesizer(ServiceConfig(text=TextConfig(lexicon=None))) as local:
        yield local


async def speak(synthesizer: LocalSynthesizer, text: str, voice: str = "中文女", **options: Any) -> I16:
    request = SpeechRequest(text, voice, seed=SEED, **options)
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


@pytest.fixture(scope="module")
def spoken(synthesizer: LocalSynthesizer) -> dict[str, F32]:
    """Log-mel f32 [T, mel_bins] of each sentence as the voice says it."""

    async def say(language: str) -> F32:
        return features(await speak(synthesizer, TEXTS[language], language=language))

    return {language: asyncio.run(say(language)) for language in TEXTS}


@pytest.mark.parametrize("language", TEXTS)
def test_it_says_the_sentence_and_not_another(language: str, spoken: dict[str, F32]) -> None:
    with np.load(TEACHER) as file:
        taught = {name: file[name].astype(np.float32) for name in file.files}
    own = warped_distance(spoken[language], taught[language])
    others = {name: warped_distance(spoken[language], mel) for name, mel in taught.items() if name != language}
    assert own < 0.7 * min(others.values()), (own, others)


def test_the_bundle_is_as_small_as_promised() -> None:
    assert sum(file.stat().st_size for file in BUNDLED_PATH.glob("*.*")) < 25e6


async def test_speech_has_the_length_of_speech_and_the_voices_differ(synthesizer: LocalSynthesizer) -> None:
    woman = await speak(synthesizer, TEXTS["zh"], "中文女")
    man = await speak(synthesizer, TEXTS["zh"], "中文男")
    for samples in (woman, man):
        assert 2.5 < len(samples) / 22050 < 5.5
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
    normal = await speak(synthesizer, TEXTS["zh"])
    for speed in (0.5, 2.0):
        changed = await speak(synthesizer, TEXTS["zh"], speed=speed)
        assert len(changed) == pytest.approx(len(normal) / speed, abs=256)
        assert pitch_hz(changed) == pytest.approx(pitch_hz(normal), rel=0.08)


async def test_a_seed_gives_the_same_audio_alone_and_in_a_crowd(synthesizer: LocalSynthesizer) -> None:
    texts = [*TEXTS.values(), "一二三四五。", "Good morning."]
    alone = [await speak(synthesizer, text) for text in texts]
    crowd = await asyncio.gather(*(speak(synthesizer, text) for text in texts))
    for one, other in zip(alone, crowd, strict=True):
        assert np.array_equal(one, other)

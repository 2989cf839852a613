"""What a listener could notice: seams, distance from the unstreamed audio, pitch at other speeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.features import MelSpectrogram
from pipeline.export.onnx_engine import OnnxEngine
from pipeline.runtime.bundle import Bundle
from pipeline.text.tokenizer import make_tokenizer
from pipeline.token2wav.token2wav import OnnxToken2Wav
from pipeline.types import SpeechTokens, Utterance

BUNDLED = Path(__file__).parents[3] / "pipeline" / "voices" / "bundled"
MAX_DISTANCE = 0.25  # mean |log mel| in nats, 2.2 dB; another noise alone is 0.01 to 0.02, one frame's shift 0.3
SAMPLE_RATE = 22050
NUM_TOKENS = 64  # 2.6 s: three windows with left context


@pytest.fixture(scope="module")
def spoken_bundle() -> Bundle:
    return Bundle.open(BUNDLED)


@pytest.fixture(scope="module")
def speaker(spoken_bundle: Bundle) -> OnnxToken2Wav:
    return OnnxToken2Wav(spoken_bundle, "int8", num_threads=1)


@pytest.fixture(scope="module")
def sentence(spoken_bundle: Bundle) -> tuple[Utterance, np.ndarray]:
    """A sentence as the bundled voice's own language model says it, without sampling."""
    text = make_tokenizer(spoken_bundle).encode("你好，世界！今天天气不错。")
    voice = spoken_bundle.voices[spoken_bundle.manifest.voices[0]]
    tokens = OnnxEngine(spoken_bundle, "int8").greedy_tokens(
        np.array([text]), voice.embedding[None], num_tokens=NUM_TOKENS, min_tokens=NUM_TOKENS
    )
    return Utterance("test", tuple(text), voice, seed=5), tokens


def spoken(stage: OnnxToken2Wav, tokens: np.ndarray, utterance: Utterance, sizes: list[int]) -> list[np.ndarray]:
    """Chunks of samples for groups of these sizes and one of all the rest."""
    chunks, state = [], None
    groups = np.split(tokens, np.cumsum(sizes))
    for index, group in enumerate(groups):
        chunk, state = stage.decode(SpeechTokens(group, index == len(groups) - 1), utterance, state)
        chunks.append(chunk.samples)
    return chunks


@pytest.mark.parametrize(
    ("sizes", "speed"),
    [([10, 20], 1.0), ([10, 20], 1.5), ([12, 12, 12], 1.0), ([30, NUM_TOKENS - 30], 1.0)],
    ids=["growing", "faster", "small", "with an empty end"],
)
def test_seams_do_not_click_and_streaming_stays_close_to_the_whole(
    speaker: OnnxToken2Wav, sentence: tuple[Utterance, np.ndarray], sizes: list[int], speed: float
) -> None:
    utterance, tokens = sentence
    utterance = replace(utterance, speed=speed)
    chunks = spoken(speaker, tokens, utterance, sizes)
    streamed, whole = np.concatenate(chunks), spoken(speaker, tokens, utterance, [])[0]
    assert len(streamed) == len(whole)
    seams = np.cumsum([len(chunk) for chunk in chunks])[:-1]
    seams = seams[(seams > 0) & (seams < len(streamed))]
    assert len(seams) > 0
    jumps = np.abs(np.diff(streamed.astype(np.int64)))
    assert jumps[seams - 1].max() <= np.abs(np.diff(whole.astype(np.int64))).max()
    features = MelSpectrogram()
    distance = np.abs(features(streamed / np.float32(32768)) - features(whole / np.float32(32768)))
    assert distance.mean() < MAX_DISTANCE


def test_seams_are_no_louder_than_elsewhere(speaker: OnnxToken2Wav, sentence: tuple[Utterance, np.ndarray]) -> None:
    """A click is broadband: the sample-to-sample jump at a seam against its own surroundings of 10 ms."""
    utterance, tokens = sentence
    chunks = spoken(speaker, tokens, utterance, [12] * 4)
    jumps = np.abs(np.diff(np.concatenate(chunks).astype(np.float64)))
    for seam in np.cumsum([len(chunk) for chunk in chunks])[:-1]:
        around = jumps[max(0, seam - 220) : seam + 220]
        if len(around) == 440:
            assert jumps[seam - 1] <= 1.5 * np.sort(around)[-3] + 50


def median_pitch(samples: np.ndarray) -> float:
    """Median F0 in Hz of the voiced 40 ms frames, by normalized autocorrelation between 80 and 400 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 882)[::441]
    pitches = []
    for frame in frames[frames.std(axis=1) > 500]:
        frame = (frame - frame.mean()) * np.hanning(len(frame))
        correlation = np.correlate(frame, frame, "full")[len(frame) - 1 :]
        lag = 55 + int(correlation[55:276].argmax())
        if correlation[lag] > 0.4 * correlation[0]:
            pitches.append(SAMPLE_RATE / lag)
    assert len(pitches) > 10
    return float(np.median(pitches))


@pytest.mark.parametrize("speed", [0.6, 1.5])
def test_speed_changes_duration_and_not_pitch(
    speaker: OnnxToken2Wav, sentence: tuple[Utterance, np.ndarray], speed: float
) -> None:
    utterance, tokens = sentence
    normal = np.concatenate(spoken(speaker, tokens, utterance, [20, 40]))
    changed = np.concatenate(spoken(speaker, tokens, replace(utterance, speed=speed), [20, 40]))
    assert len(changed) == pytest.approx(len(normal) / speed, abs=256)
    assert median_pitch(changed) == pytest.approx(median_pitch(normal), rel=0.05)

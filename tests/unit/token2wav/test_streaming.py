"""A streamed utterance is the unstreamed one: in length to the sample, in the vocoder up to float rounding."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.config import ChunkSchedule
from pipeline.errors import StageFailed
from pipeline.runtime.bundle import Bundle, Manifest
from pipeline.runtime.session import Session
from pipeline.token2wav.audio_stream import AudioStream
from pipeline.token2wav.mel_stream import MelStream
from pipeline.token2wav.regulator import Interpolation
from pipeline.token2wav.token2wav import DecodeJob, OnnxToken2Wav, to_int16
from pipeline.token2wav.vocoder import OnnxVocoder
from pipeline.types import DecodeState, Profile, Prompt, SpeechTokens, Utterance, Voice

SPEEDS = [0.25, 1.0, 1.3, 4.0]


@pytest.fixture(scope="module", params=[("fp32", 1), ("int8", 1), ("int8", 2)])
def token2wav(bundle: Bundle, request: pytest.FixtureRequest) -> OnnxToken2Wav:
    precision, num_threads = request.param
    return OnnxToken2Wav(bundle, precision, num_threads)


def random_groups(tokens: np.ndarray, random: np.random.Generator, largest: int) -> list[SpeechTokens]:
    """Consecutive groups of 0 to `largest` tokens; the last one may be empty."""
    groups, start = [], 0
    while start < len(tokens):
        size = int(random.integers(0, largest + 1))
        groups.append(SpeechTokens(tokens[start : start + size], False))
        start += size
    if not groups or random.random() < 0.5:
        return [*groups, SpeechTokens(tokens[:0], True)]
    return [*groups[:-1], replace(groups[-1], is_last=True)]


def stream(
    token2wav: OnnxToken2Wav, groups: list[SpeechTokens], utterance: Utterance
) -> tuple[list[np.ndarray], DecodeState]:
    state, chunks = None, []
    for group in groups:
        chunk, state = token2wav.decode(group, utterance, state)
        chunks.append(chunk.samples)
    assert state is not None
    return chunks, state


def whole(token2wav: OnnxToken2Wav, tokens: np.ndarray, utterance: Utterance) -> np.ndarray:
    chunk, _ = token2wav.decode(SpeechTokens(tokens, True), utterance, None)
    return chunk.samples


def random_tokens(num_tokens: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 64, num_tokens)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize(("num_tokens", "largest"), [(0, 1), (1, 1), (19, 1), (47, 20)])
def test_streamed_and_whole_have_equal_length(
    token2wav: OnnxToken2Wav, utterance: Utterance, num_tokens: int, largest: int, speed: float
) -> None:
    tokens, utterance = random_tokens(num_tokens), replace(utterance, speed=speed)
    groups = random_groups(tokens, np.random.default_rng(num_tokens), largest)
    chunks, state = stream(token2wav, groups, utterance)
    num_frames = int(token2wav.manifest.num_mel_frames(num_tokens) / speed)
    assert sum(map(len, chunks)) == num_frames * token2wav.manifest.vocoder.hop_length
    assert len(whole(token2wav, tokens, utterance)) == sum(map(len, chunks))
    assert state.num_tokens == num_tokens


class NoiseFlow:
    """Stands in for the flow: its mel is the noise of the window, so that frames show where they came from."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.spec = manifest.flow
        self.num_windows = 0

    def mel(self, tokens: np.ndarray, voice: Voice, z: np.ndarray, interpolation: Interpolation) -> np.ndarray:
        assert interpolation.upper.max(initial=0) < len(tokens)
        assert len(z) == len(interpolation.lower) + (0 if voice.prompt is None else len(voice.prompt.mel))
        self.num_windows += 1
        return z[len(z) - len(interpolation.lower) :]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("token_rate", [25.0, 50.0])
def test_every_frame_comes_from_its_own_noise_for_any_grouping(
    token2wav: OnnxToken2Wav, utterance: Utterance, seed: int, token_rate: float
) -> None:
    flow = NoiseFlow(token2wav.manifest.model_copy(update={"token_rate": token_rate}))
    mel_stream = MelStream(flow, left_context_s=0.5, lookahead_s=0.2)
    random = np.random.default_rng(seed)
    if seed % 2:
        prompt = Prompt(np.zeros(0, np.int64), np.arange(5), np.zeros((17, 80), np.float32))
        utterance = replace(utterance, voice=replace(utterance.voice, prompt=prompt))
    tokens = random_tokens(int(random.integers(1, 200)), seed)
    state = token2wav.initial_state()
    for group in random_groups(tokens, random, int(random.integers(1, 60))):
        state = mel_stream.extend(state, group, utterance)
        assert len(state.token_ids) <= 0.5 * token_rate + 60 + 0.2 * token_rate + 1
    alone = mel_stream.extend(token2wav.initial_state(), SpeechTokens(tokens, True), utterance)
    np.testing.assert_array_equal(state.mel, alone.mel)
    assert len(state.provisional_mel) == 0


def test_single_tokens_wait_for_each_other(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    flow = NoiseFlow(token2wav.manifest)
    state = token2wav.initial_state()
    for token in range(50):
        state = MelStream(flow).extend(state, SpeechTokens(np.array([token]), False), utterance)
    assert 8 <= flow.num_windows <= 50 / (0.16 * 25)


def test_an_empty_last_group_costs_no_window(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    flow = NoiseFlow(token2wav.manifest)
    state = MelStream(flow).extend(token2wav.initial_state(), SpeechTokens(np.arange(40), False), utterance)
    state = MelStream(flow).extend(state, SpeechTokens(np.arange(0), True), utterance)
    assert flow.num_windows == 1
    assert state.num_mel_frames == token2wav.manifest.num_mel_frames(40)


class VoicedVocoder:
    """The real vocoder, with F0 raised into the range of voices: random weights give almost none."""

    def __init__(self, vocoder: OnnxVocoder) -> None:
        self._vocoder = vocoder
        self.spec, self.source, self.wave = vocoder.spec, vocoder.source, vocoder.wave

    def f0(self, mel: np.ndarray) -> np.ndarray:
        return 1500 * self._vocoder.f0(mel)


@pytest.mark.parametrize("speed", SPEEDS)
def test_vocoder_chunks_joined_are_the_whole(token2wav: OnnxToken2Wav, utterance: Utterance, speed: float) -> None:
    audio_stream = AudioStream(VoicedVocoder(token2wav.vocoder))
    utterance = replace(utterance, speed=speed)
    random = np.random.default_rng(0)
    mel = random.standard_normal((150, 80)).astype(np.float32)
    expected, _ = audio_stream.extend(
        replace(token2wav.initial_state(), mel=mel, num_mel_frames=len(mel)), utterance, is_last=True
    )
    state, chunks, start = token2wav.initial_state(), [], 0
    while start < len(mel):
        stop = min(len(mel), start + int(random.integers(1, 60)))
        state = replace(state, mel=np.concatenate([state.mel, mel[start:stop]]), num_mel_frames=stop)
        samples, state = audio_stream.extend(state, utterance, is_last=stop == len(mel))
        chunks.append(samples)
        start = stop
    assert len(chunks) > 2
    assert len(expected) == int(150 / speed) * 256
    np.testing.assert_allclose(np.concatenate(chunks), expected, atol=2e-5)


def test_state_stays_small_and_travels_by_value(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    mel_stream = MelStream(NoiseFlow(token2wav.manifest))
    state, sizes = token2wav.initial_state(), []
    for _ in range(8):
        state = mel_stream.extend(state, SpeechTokens(random_tokens(25), False), utterance)
        _, state = AudioStream(token2wav.vocoder).extend(state, utterance, is_last=False)
        state = pickle.loads(pickle.dumps(state))
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes) < 1.1 * min(sizes[:4]) < 30_000


def test_a_seed_gives_the_same_audio_and_another_seed_does_not(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    tokens = random_tokens(20)
    first, second = (whole(token2wav, tokens, utterance) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (whole(token2wav, tokens, replace(utterance, seed=8)) != first).any()


def test_a_batch_gives_bitwise_what_each_job_gives_alone(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    jobs = [
        DecodeJob(SpeechTokens(random_tokens(size, size), is_last), replace(utterance, seed=size), None)
        for size, is_last in ((12, True), (30, False), (31, True))
    ]
    batch = token2wav.decode_batch(jobs)
    for job, result in zip(jobs, batch, strict=True):
        assert not isinstance(result, Exception)
        chunk, state = token2wav.decode(job.tokens, job.utterance, job.state)
        np.testing.assert_array_equal(result[0].samples, chunk.samples)
        np.testing.assert_array_equal(result[1].mel, state.mel)


@pytest.mark.parametrize("profile", ["exact", "fast"])
@pytest.mark.parametrize("num_threads", [2, 4])
def test_a_job_on_a_lane_of_its_own_gives_the_same_bits(
    bundle: Bundle, utterance: Utterance, profile: Profile, num_threads: int
) -> None:
    stage = OnnxToken2Wav(bundle, "int8", num_threads, profile=profile)
    job = DecodeJob(SpeechTokens(random_tokens(60), True), utterance, None)
    chunk, _ = stage.decode(job.tokens, job.utterance, job.state)
    for result in stage.decode_batch([job] * 3):
        assert not isinstance(result, Exception)
        np.testing.assert_array_equal(result[0].samples, chunk.samples)


@pytest.mark.parametrize(("profile", "num_threads"), [("exact", 1), ("exact", 2), ("fast", 2)])
def test_warming_up_runs_every_session_that_speech_runs(
    bundle: Bundle, utterance: Utterance, monkeypatch: pytest.MonkeyPatch, profile: Profile, num_threads: int
) -> None:
    stage = OnnxToken2Wav(bundle, "int8", num_threads, profile=profile)
    ran: list[tuple[Session, tuple[int, ...]]] = []
    run = Session.run

    def record(session: Session, inputs: dict[str, np.ndarray], *args: Any) -> dict[str, np.ndarray]:
        ran.append((session, next(iter(inputs.values())).shape))
        return run(session, inputs, *args)

    monkeypatch.setattr(Session, "run", record)
    stage.warm_up([0.4, 0.8])
    warm, state = set(ran), None
    ran.clear()
    for num_tokens in (10, 20):
        _, state = stage.decode(SpeechTokens(random_tokens(num_tokens), False), utterance, state)
    assert set(ran) <= warm
    assert len(ran) > 2 * len({shape for _, shape in warm})  # as the warm-up takes fewer steps


def test_the_first_chunk_of_the_default_schedule_is_heard(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    num_tokens = round(ChunkSchedule().first_s * token2wav.manifest.token_rate)
    chunk, _ = token2wav.decode(SpeechTokens(random_tokens(num_tokens), False), utterance, None)
    assert len(chunk.samples) > 0.1 * chunk.sample_rate


def test_a_failing_job_fails_alone(token2wav: OnnxToken2Wav, utterance: Utterance) -> None:
    good = DecodeJob(SpeechTokens(random_tokens(8), True), utterance, None)
    bad = DecodeJob(SpeechTokens(np.array([3, 64]), True), utterance, None)
    worse = DecodeJob(good.tokens, replace(utterance, voice=Voice("odd", np.zeros(3, np.float32))), None)
    results = token2wav.decode_batch([good, bad, worse, good])
    assert isinstance(results[1], StageFailed)
    assert "64" in results[1].message
    assert isinstance(results[2], StageFailed)
    for result in (results[0], results[3]):
        assert not isinstance(result, Exception)
        assert len(result[0].samples) > 0


def test_samples_are_rounded_and_clipped() -> None:
    samples = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.6 / 32767], np.float32)
    assert to_int16(samples).tolist() == [0, 32767, -32767, 32767, -32768, 1]

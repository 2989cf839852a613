"""Every format decodes with another library than the one that wrote it, streamed or whole, and comes out promptly."""

from __future__ import annotations

import io
import struct
import sys

import av
import numpy as np
import pytest
import soundfile

from pipeline.audio.encode import FORMATS, encode_whole, make_encoder
from pipeline.errors import UnsupportedFormat
from pipeline.types import I16

RATE = 22050
LOSSLESS = {"wav", "flac", "pcm"}
# Samples of silence that the codec may put in front and behind (at its own rate): encoder delay and padding to a frame.
PADDING = {"mp3": 3 * 1152, "opus": 0, "aac": 2 * 1024, "wav": 0, "flac": 0, "pcm": 0}
# Seconds of audio that may still be inside after `encode`: the codec's block, look-ahead and page.
LATENCY_S = {"mp3": 0.08, "opus": 0.13, "aac": 0.1, "flac": 0.06, "wav": 0.0, "pcm": 0.0}


def voice_like(duration_s: float, rate: int = RATE) -> I16:
    """int16 [n]: harmonics of a gliding fundamental, with syllables, plus a little breath."""
    t = np.arange(round(duration_s * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * t)) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    breath = np.random.default_rng(1).normal(0, 0.02, len(t))
    return ((0.25 * tone * (1.2 + np.sin(2 * np.pi * 4 * t)) + breath) * 9000).astype(np.int16)


def stream(name: str, samples: I16, sizes: tuple[int, ...], output_rate: int | None = None) -> bytes:
    encoder = make_encoder(name, RATE, output_rate)
    parts, start, turn = [], 0, 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        parts.append(encoder.encode(samples[start : start + size]))
        start, turn = start + size, turn + 1
    return b"".join([*parts, encoder.finish()])


def decode_with_av(data: bytes) -> tuple[I16, int]:
    with av.open(io.BytesIO(data)) as container:
        to_int16 = av.AudioResampler(format="s16", layout="mono")
        frames = [out for frame in container.decode(audio=0) for out in to_int16.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]), frames[0].sample_rate


def decode(name: str, data: bytes, rate: int) -> tuple[I16, int]:
    """With PyAV (FFmpeg); it is also what wrote aac, for which no other decoder is at hand."""
    if name == "pcm":
        return np.frombuffer(data, "<i2").astype(np.int16), rate
    return decode_with_av(data)


def resampled(samples: I16, source: int, target: int) -> np.ndarray:
    """By Fourier transform, so not by the library under test."""
    if source == target:
        return samples.astype(np.float64)
    num = round(len(samples) * target / source)
    spectrum = np.fft.rfft(samples.astype(np.float64))
    return np.fft.irfft(spectrum[: num // 2 + 1], num) * num / len(samples)


def similarity(reference: np.ndarray, heard: np.ndarray) -> tuple[float, int]:
    """Correlation at the best alignment, and by how many samples `heard` is late."""
    size = 1 << (len(reference) + len(heard)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(reference, size)), size)
    lag = int(np.argmax(cross))
    lag -= size if lag > size // 2 else 0
    heard = heard[max(lag, 0) :]
    num = min(len(reference), len(heard))
    return float(np.corrcoef(reference[:num], heard[:num])[0, 1]), lag


@pytest.mark.parametrize("sizes", [(1,), (1000, 1, 4097, 333), (10**6,)], ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_decodes_to_what_went_in(name: str, sizes: tuple[int, ...]) -> None:
    samples = voice_like(0.2 if sizes == (1,) else 2.0)
    heard, rate = decode(name, stream(name, samples, sizes), RATE)
    reference = resampled(samples, RATE, rate)
    if name in LOSSLESS:
        assert rate == RATE
        assert np.array_equal(heard, samples)
    else:
        assert 0 <= len(heard) - len(reference) <= PADDING[name]
        correlation, lag = similarity(reference, heard.astype(np.float64))
        assert correlation > 0.98
        assert 0 <= lag <= PADDING[name]


@pytest.mark.parametrize("name", FORMATS)
def test_whole_audio_decodes_to_what_went_in(name: str) -> None:
    samples = voice_like(2.0)
    heard, rate = decode(name, encode_whole(name, samples, RATE), RATE)
    reference = resampled(samples, RATE, rate)
    padding = 0 if name == "mp3" else PADDING[name]  # LAME's header lets decoders trim
    assert 0 <= len(heard) - len(reference) <= padding
    assert similarity(reference, heard.astype(np.float64))[0] > 0.98


@pytest.mark.parametrize("name", ["wav", "mp3", "opus"])
def test_libsndfile_also_reads_the_streams(name: str) -> None:
    samples = voice_like(1.0)
    heard, rate = soundfile.read(io.BytesIO(stream(name, samples, (5000,))))
    assert similarity(resampled(samples, RATE, rate), heard)[0] > 0.98


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_come_out_as_audio_goes_in(name: str) -> None:
    samples = voice_like(3.0)
    encoder = make_encoder(name, RATE)
    received = b""
    for start_s, end_s in ((0.0, 0.6), (0.6, 1.5), (1.5, 3.0)):
        received += encoder.encode(samples[round(start_s * RATE) : round(end_s * RATE)])
        heard, rate = decode(name, received, RATE)
        assert len(heard) / rate >= end_s - LATENCY_S[name] - 1e-9


@pytest.mark.parametrize("num_samples", [1, 100, 1152])
@pytest.mark.parametrize("name", FORMATS)
def test_very_short_audio_is_not_lost(name: str, num_samples: int) -> None:
    samples = voice_like(0.5)[5000 : 5000 + num_samples]
    heard, rate = decode(name, stream(name, samples, (10**6,)), RATE)
    assert 0 <= len(heard) - round(num_samples * rate / RATE) <= PADDING[name]


def test_a_wav_without_samples_is_its_header() -> None:
    encoder = make_encoder("wav", RATE)
    assert len(encoder.finish()) == 44


def test_a_streamed_wav_claims_no_length() -> None:
    data = stream("wav", voice_like(0.1), (100,))
    assert struct.unpack_from("<I", data, 4) == struct.unpack_from("<I", data, 40) == (0xFFFFFFFF,)


def test_a_whole_wav_tells_its_true_length() -> None:
    data = encode_whole("wav", voice_like(0.1), RATE)
    assert struct.unpack_from("<I", data, 4) == (len(data) - 8,)
    assert struct.unpack_from("<I", data, 40) == (len(data) - 44,)
    assert soundfile.info(io.BytesIO(data)).frames == len(voice_like(0.1))


def total_samples(flac: bytes) -> int:
    """The 36 bits of STREAMINFO (RFC 9639, section 8.2); 0 means unknown."""
    return int.from_bytes(flac[21:26], "big") & (1 << 36) - 1


def test_flac_tells_its_length_only_when_it_is_known() -> None:
    samples = voice_like(0.5)
    assert total_samples(stream("flac", samples, (4000,))) == 0
    assert total_samples(encode_whole("flac", samples, RATE)) == len(samples)


def test_a_streamed_mp3_starts_with_sound_not_with_an_empty_frame() -> None:
    encoder = make_encoder("mp3", RATE)
    frames = encoder.encode(voice_like(0.5))
    assert frames[:2] == b"\xff\xf3"  # a frame header: MPEG 2, layer III
    assert any(frames[4:40])  # the placeholder has zeros here


def test_adts_frames_are_whole_and_tell_the_rate() -> None:
    data = stream("aac", voice_like(1.0), (3000,))
    position = num_frames = 0
    while position < len(data):  # ISO 13818-7, 6.2: sync word, rate index in byte 2, length in bytes 3 to 5
        assert data[position] == 0xFF
        assert data[position + 1] & 0xF6 == 0xF0
        assert data[position + 2] >> 2 & 0xF == 7  # 22050 Hz
        position += int.from_bytes(data[position + 3 : position + 6], "big") >> 5 & 0x1FFF
        num_frames += 1
    assert position == len(data)
    assert num_frames * 1024 >= RATE


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("name", FORMATS)
def test_any_format_resamples_to_the_rate_asked_for(name: str, rate: int) -> None:
    samples = voice_like(1.0)
    heard, decoded_rate = decode(name, stream(name, samples, (3001, 700), rate), rate)
    assert decoded_rate == (48000 if name == "opus" else rate)  # Opus always decodes to 48 kHz
    num_expected = round(len(samples) * decoded_rate / RATE)
    assert 0 <= len(heard) - num_expected <= PADDING[name]
    if name in LOSSLESS:
        assert np.abs(heard - resampled(samples, RATE, rate))[500:-500].max() < 0.02 * np.abs(samples).max()


def test_resampling_in_pieces_equals_resampling_at_once() -> None:
    samples = voice_like(1.0)
    assert stream("pcm", samples, (997, 1, 60), 16000) == encode_whole("pcm", samples, RATE, 16000)


@pytest.mark.parametrize(
    ("name", "rate", "is_copy"), [("pcm", None, True), ("wav", RATE, True), ("wav", 8000, False), ("flac", None, False)]
)
def test_samples_that_stay_as_they_are_need_no_thread(name: str, rate: int | None, is_copy: bool) -> None:
    assert make_encoder(name, RATE, rate).is_copy is is_copy


def test_opus_takes_the_next_rate_it_can_carry_by_itself() -> None:
    assert make_encoder("opus", RATE).sample_rate == 24000
    assert make_encoder("mp3", RATE).sample_rate == RATE


@pytest.mark.parametrize(
    ("name", "rate", "said"),
    [
        ("ogg", None, "mp3, opus, aac, flac, wav, pcm"),
        ("MP3", None, "'MP3'"),
        ("opus", 22050, "24000"),
        ("mp3", 9000, "11025"),
        ("wav", 7999, "8000"),
        ("pcm", 48001, "48000"),
    ],
)
def test_what_no_encoder_can_do_is_refused_with_the_choices(name: str, rate: int | None, said: str) -> None:
    with pytest.raises(UnsupportedFormat, match=said):
        make_encoder(name, RATE, rate)


def test_without_pyav_aac_names_the_extra_and_opus_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnsupportedFormat, match=r"pip install 'cosyvoice-serve\[audio\]'"):
        make_encoder("aac", RATE)
    assert stream("opus", voice_like(0.2), (1000,)).startswith(b"OggS")

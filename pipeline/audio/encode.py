"""One streaming encoder per stream and format: samples go in chunk by chunk, bytes come out as the audio goes on.

A new format is a codec class and a line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.audio.aac import AacCodec
from pipeline.audio.raw import PcmCodec, WavCodec
from pipeline.audio.resample import Resampler
from pipeline.audio.sndfile import FlacCodec, Mp3Codec, OpusCodec
from pipeline.errors import UnsupportedFormat
from pipeline.types import I16

MIN_SAMPLE_RATE = 8000  # Hz
MAX_SAMPLE_RATE = 48000  # Hz


class Codec(Protocol):
    """Encodes one mono stream at one sample rate. `finish` is called once, last."""

    def encode(self, samples: I16) -> bytes: ...

    def finish(self) -> bytes: ...


class Encoder(Protocol):
    """What a stream needs of its encoder.

    Attributes:
        sample_rate: Hz, of what comes out.
        is_copy: whether encoding merely copies samples, which takes less time than to hand them to another thread.
    """

    media_type: str
    sample_rate: int
    is_copy: bool

    def encode(self, samples: I16) -> bytes:
        """int16 [n] -> the bytes that became final, possibly none."""
        ...

    def finish(self) -> bytes:
        """The rest of the stream; nothing may be encoded afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """`open(sample_rate, num_samples)` makes a codec; num_samples is None while a stream's length is not known."""

    media_type: str
    open: Callable[[int, int | None], Codec]
    sample_rates: tuple[int, ...] | None = None  # Hz, ascending; None: any
    is_raw: bool = False  # samples as they are

    def natural_rate(self, sample_rate: int) -> int:
        """The lowest rate of the format that loses nothing of audio at `sample_rate`."""
        if self.sample_rates is None:
            return sample_rate
        return next((rate for rate in self.sample_rates if rate >= sample_rate), self.sample_rates[-1])


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)

FORMATS: dict[str, Format] = {
    "mp3": Format("audio/mpeg", Mp3Codec, _MPEG_RATES),
    "opus": Format("audio/ogg", OpusCodec, _OPUS_RATES),
    "aac": Format("audio/aac", AacCodec, _MPEG_RATES),
    "flac": Format("audio/flac", FlacCodec),
    "wav": Format("audio/wav", WavCodec, is_raw=True),
    "pcm": Format("audio/pcm", PcmCodec, is_raw=True),
}


class _ResamplingEncoder:
    def __init__(self, media_type: str, sample_rate: int, resampler: Resampler, codec: Codec, *, is_copy: bool) -> None:
        self.media_type = media_type
        self.sample_rate = sample_rate
        self.is_copy = is_copy
        self._resampler = resampler
        self._codec = codec

    def encode(self, samples: I16) -> bytes:
        return self._codec.encode(self._resampler.resample(samples))

    def finish(self) -> bytes:
        return self._codec.encode(self._resampler.finish()) + self._codec.finish()


def make_encoder(format: str, sample_rate: int, output_rate: int | None = None) -> Encoder:
    """An encoder for one stream of samples at `sample_rate` Hz.

    `output_rate` (Hz) resamples; by default the rate is kept, or raised to the next one that the format can carry.
    Raises UnsupportedFormat for an unknown format, a rate it cannot carry, or a library that is not installed.
    """
    spec, rate = _choose(format, sample_rate, output_rate)
    is_copy = spec.is_raw and rate == sample_rate
    resampler, codec = Resampler(sample_rate, rate), spec.open(rate, None)
    return _ResamplingEncoder(spec.media_type, rate, resampler, codec, is_copy=is_copy)


def encode_whole(format: str, samples: I16, sample_rate: int, output_rate: int | None = None) -> bytes:
    """All of the audio at once, so that headers tell its true length. Arguments and errors as of `make_encoder`."""
    spec, rate = _choose(format, sample_rate, output_rate)
    resampler = Resampler(sample_rate, rate)
    resampled = np.concatenate([resampler.resample(samples), resampler.finish()])
    codec = spec.open(rate, len(resampled))
    return codec.encode(resampled) + codec.finish()


def _choose(format: str, sample_rate: int, output_rate: int | None) -> tuple[Format, int]:
    spec = FORMATS.get(format)
    if spec is None:
        raise UnsupportedFormat(f"response_format {format[:40]!r} does not exist; there are: {', '.join(FORMATS)}.")
    if output_rate is None:
        return spec, spec.natural_rate(sample_rate)
    if spec.sample_rates is not None and output_rate not in spec.sample_rates:
        rates = ", ".join(map(str, spec.sample_rates))
        raise UnsupportedFormat(f"{format} has no sample rate of {output_rate} Hz; it has: {rates}.")
    if not MIN_SAMPLE_RATE <= output_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedFormat(
            f"sample_rate {output_rate} Hz is out of range: choose {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}."
        )
    return spec, output_rate

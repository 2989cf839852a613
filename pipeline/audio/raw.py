"""Samples without compression: bare PCM and WAV (signed 16-bit little-endian mono)."""

from __future__ import annotations

import struct

from pipeline.types import I16

UNKNOWN_LENGTH = 0xFFFFFFFF  # RIFF's way of saying that the data goes on until the stream ends
_BYTES_PER_SAMPLE = 2


class PcmCodec:
    def __init__(self, sample_rate: int, num_samples: int | None) -> None:
        pass

    def encode(self, samples: I16) -> bytes:
        return samples.astype("<i2").tobytes()

    def finish(self) -> bytes:
        return b""


class WavCodec:
    """WAV whose header goes out with the first bytes, with true lengths if the number of samples is known by then."""

    def __init__(self, sample_rate: int, num_samples: int | None) -> None:
        self._header = wav_header(sample_rate, num_samples)

    def encode(self, samples: I16) -> bytes:
        return self._take_header() + samples.astype("<i2").tobytes()

    def finish(self) -> bytes:
        return self._take_header()

    def _take_header(self) -> bytes:
        header, self._header = self._header, b""
        return header


def wav_header(sample_rate: int, num_samples: int | None) -> bytes:
    """The 44 bytes in front of mono 16-bit samples: RIFF, fmt, data (Multimedia Programming Interface 1.0, 1991)."""
    data_size = riff_size = UNKNOWN_LENGTH
    if num_samples is not None:
        data_size = num_samples * _BYTES_PER_SAMPLE
        riff_size = 36 + data_size  # everything after this field
    byte_rate = sample_rate * _BYTES_PER_SAMPLE
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_size, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, byte_rate, _BYTES_PER_SAMPLE, 16),
        *(b"data", data_size),
    )

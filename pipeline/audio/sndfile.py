"""FLAC, MP3 and Ogg Opus through libsndfile, which writes into a buffer that is emptied after every chunk."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import soundfile

from pipeline.types import I16

_SFC_SET_OGG_PAGE_LATENCY_MS = 0x1302  # sndfile.h; soundfile has no name for it
_OPUS_PAGE_MS = 40.0  # two Opus frames; by default libsndfile holds back a second of audio


class _Buffer:
    """The file libsndfile believes it writes: it keeps only bytes that were not taken yet.

    At the end libsndfile goes back to put lengths into the header. In bytes that were taken already this does nothing.
    """

    def __init__(self, skips_first_write: bool) -> None:
        self._bytes = bytearray()
        self._num_taken = 0
        self._position = 0
        self._skips_next_write = skips_first_write

    def write(self, data: bytes) -> int:
        start = self._position - self._num_taken
        self._position += len(data)
        if self._skips_next_write:
            self._skips_next_write = False
            self._num_taken = self._position
        elif start >= 0:
            self._bytes[start : start + len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_taken + len(self._bytes)}
        self._position = origin[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        self._num_taken += len(taken)
        return taken


class _SndfileCodec:
    """Encodes with soundfile. With `num_samples` all comes out at the end, under a header that tells the length."""

    options: ClassVar[Mapping[str, Any]]
    starts_with_placeholder: ClassVar[bool] = False

    def __init__(self, sample_rate: int, num_samples: int | None) -> None:
        self._is_streaming = num_samples is None
        self._buffer = _Buffer(skips_first_write=self._is_streaming and self.starts_with_placeholder)
        self._file = soundfile.SoundFile(self._buffer, "w", samplerate=sample_rate, channels=1, **self.options)

    def encode(self, samples: I16) -> bytes:
        self._file.write(samples)
        return self._buffer.take() if self._is_streaming else b""

    def finish(self) -> bytes:
        self._file.close()
        return self._buffer.take()


class FlacCodec(_SndfileCodec):
    # Level 2 of 8: the highest with blocks of 1152 samples instead of 4096, so that less waits for its block to fill.
    options: ClassVar = {"format": "FLAC", "subtype": "PCM_16", "compression_level": 2 / 8}


class Mp3Codec(_SndfileCodec):
    # Constant bit rate (80 kbit/s at 22.05 kHz): players tell the duration of a stream from it. LAME's first frame is
    # silence that makes room for a table of contents, which a stream never gets.
    options: ClassVar = {
        "format": "MP3",
        "subtype": "MPEG_LAYER_III",
        "bitrate_mode": "CONSTANT",
        "compression_level": 0.5,
    }
    starts_with_placeholder: ClassVar = True


class OpusCodec(_SndfileCodec):
    options: ClassVar = {"format": "OGG", "subtype": "OPUS"}

    def __init__(self, sample_rate: int, num_samples: int | None) -> None:
        super().__init__(sample_rate, num_samples)
        latency = soundfile._ffi.new("double *", _OPUS_PAGE_MS)
        soundfile._snd.sf_command(
            self._file._file, _SFC_SET_OGG_PAGE_LATENCY_MS, latency, soundfile._ffi.sizeof("double")
        )

"""AAC in ADTS frames, through PyAV (FFmpeg), which the extra `audio` installs."""

from __future__ import annotations

import io

from pipeline.errors import UnsupportedFormat
from pipeline.types import I16

_BIT_RATE = 64_000  # bit/s, mono speech


class AacCodec:
    def __init__(self, sample_rate: int, num_samples: int | None) -> None:
        try:
            import av
        except ImportError:
            raise UnsupportedFormat(
                "response_format 'aac' needs PyAV, which the server does not have: "
                "pip install 'cosyvoice-serve[audio]', or ask for another format."
            ) from None
        self._sample_rate = sample_rate
        self._new_frame = av.AudioFrame.from_ndarray
        self._bytes = io.BytesIO()
        self._container = av.open(self._bytes, "w", format="adts")
        self._stream = self._container.add_stream("aac", rate=sample_rate, layout="mono", bit_rate=_BIT_RATE)

    def encode(self, samples: I16) -> bytes:
        if len(samples):
            frame = self._new_frame(samples.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = self._sample_rate
            self._container.mux(self._stream.encode(frame))
        return self._take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._take()

    def _take(self) -> bytes:
        taken = self._bytes.getvalue()
        self._bytes.seek(0)
        self._bytes.truncate()
        return taken

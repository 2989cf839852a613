"""Speak a text into a file, in process: what `cosyvoice-serve say` does."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pipeline.audio.encode import FORMATS, make_encoder
from pipeline.build import LocalSynthesizer
from pipeline.config import ServiceConfig
from pipeline.errors import InvalidRequest, UnsupportedFormat
from pipeline.types import SpeechRequest


async def say(
    config: ServiceConfig,
    text: str,
    output: Path,
    *,
    voice: str | None = None,
    speed: float = 1.0,
    seed: int | None = None,
    language: str | None = None,
) -> None:
    """Writes `output` chunk by chunk; the suffix chooses the format. Progress goes to stderr."""
    audio_format = output.suffix.removeprefix(".").lower()
    if audio_format not in FORMATS:
        raise UnsupportedFormat(f"{output.name!r}: write to a file that ends in .{', .'.join(FORMATS)}.")
    if not 0.25 <= speed <= 4.0:
        raise InvalidRequest(f"speed {speed} is out of range: choose 0.25 to 4.0.")
    started = time.perf_counter()
    with LocalSynthesizer(config) as synthesizer:
        loaded = time.perf_counter()
        manifest = synthesizer.bundle.manifest
        request = SpeechRequest(text, voice or manifest.voices[0], speed, seed, language)
        encoder = make_encoder(audio_format, manifest.sample_rate)
        chunks = synthesizer.stream(request)
        first = await anext(chunks)  # an early error leaves no file
        first_audio_s = time.perf_counter() - loaded
        num_samples = len(first.samples)
        with output.open("wb") as file:
            file.write(encoder.encode(first.samples))
            async for chunk in chunks:
                num_samples += len(chunk.samples)
                file.write(encoder.encode(chunk.samples))
                _progress(f"\r{num_samples / manifest.sample_rate:6.1f} s of speech")
            file.write(encoder.finish())
    audio_s, spent_s = num_samples / manifest.sample_rate, time.perf_counter() - loaded
    _progress(
        f"\r{audio_s:.2f} s of speech in {spent_s:.2f} s (first audio after {first_audio_s:.2f} s, "
        f"loaded in {loaded - started:.2f} s) -> {output}\n"
    )


def _progress(line: str) -> None:
    print(line, end="", file=sys.stderr, flush=True)

"""The audio to be judged: sentences through `Synthesizer.stream`, as it is served, and copies of the teacher's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.acoustic.engine import LocalAcousticModel
from pipeline.build import LocalToken2Wav, build_engine, build_frontend, build_token2wav, open_bundle
from pipeline.config import ModelConfig, ServiceConfig
from pipeline.synthesizer import Synthesizer, TextFrontend
from pipeline.text.frontend import LocalFrontend
from pipeline.token2wav.token2wav import to_int16
from pipeline.training.voice.dataset import TOKENS_FILE
from pipeline.types import F32, I16, I64, SpeechRequest, SpeechTokens, Utterance

_SEED = 1


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text_ids` None leaves the reading to the text frontend."""

    text: str
    voice: str
    language: str | None
    text_ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Spoken:
    samples: I16
    cpu_s: float  # of the whole process, which is what one thread alone would take
    wall_s: float


class _FixedFrontend:
    """Stands in for the text frontend where the symbols are known."""

    def __init__(self, utterance: Utterance) -> None:
        self._utterance = utterance

    async def prepare(self, request: SpeechRequest) -> Sequence[Utterance]:
        return [self._utterance]


class VoiceUnderTest(AbstractContextManager["VoiceUnderTest"]):
    """A bundle, one thread for each of its models."""

    def __init__(self, bundle: str) -> None:
        config = ServiceConfig(model=ModelConfig(bundle=bundle))
        self.bundle = open_bundle(config.model)
        self.sample_rate = self.bundle.manifest.sample_rate
        self._engine = build_engine(config, self.bundle, 1)
        self._token2wav = build_token2wav(config, self.bundle, 1)
        self._frontend = LocalFrontend(build_frontend(config, self.bundle))
        self._acoustic = LocalAcousticModel(self._engine)
        self._decoder = LocalToken2Wav(self._token2wav)

    def speak(self, sentence: Sentence, seed: int = _SEED) -> Spoken:
        frontend: TextFrontend = self._frontend
        if sentence.text_ids is not None:
            voice = self.bundle.voice(sentence.voice)
            frontend = _FixedFrontend(Utterance(sentence.text, sentence.text_ids, voice, seed))
        synthesizer = Synthesizer(frontend, self._acoustic, self._decoder)
        request = SpeechRequest(sentence.text, sentence.voice, seed=seed, language=sentence.language)
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        samples = asyncio.run(_collect(synthesizer, request))
        return Spoken(samples, time.process_time() - cpu_s, time.perf_counter() - wall_s)

    def copy_tokens(self, speech: I64, voice: str) -> I16:
        """The teacher's speech tokens through flow and vocoder: what is left is the language model's."""
        utterance = Utterance("", (), self.bundle.voice(voice), _SEED)
        return self._token2wav.decode(SpeechTokens(speech, True), utterance, None)[0].samples

    def copy_mel(self, mel: F32) -> I16:
        """The teacher's mel f32 [T, mel_bins] through the vocoder: the floor of all distances."""
        vocoder = self._token2wav.vocoder
        f0 = vocoder.f0(mel)
        source = vocoder.source.make(f0, vocoder.source.phases(f0, 0.0)[:-1], _SEED, 0)
        return to_int16(vocoder.wave(mel, source))

    def shares_symbols(self, data: Path) -> bool:
        """Whether text ids and speech tokens of the dataset are the bundle's."""
        files = self.bundle.path / TOKENS_FILE, data / TOKENS_FILE
        return files[0].is_file() and files[0].read_bytes().split() == files[1].read_bytes().split()

    def close(self) -> None:
        self._engine.close()
        self._decoder.close()

    def __exit__(self, *_: object) -> None:
        self.close()


async def _collect(synthesizer: Synthesizer, request: SpeechRequest) -> I16:
    chunks = [chunk.samples async for chunk in synthesizer.stream(request)]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)

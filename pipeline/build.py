"""The composition root: ServiceConfig -> bundle -> the real stages."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.acoustic.engine import Engine, LocalAcousticModel
from pipeline.acoustic.speech_lm import OnnxSpeechLM
from pipeline.config import BUNDLED_VOICE, ModelConfig, ServiceConfig
from pipeline.errors import BundleError
from pipeline.runtime.bundle import Bundle, Precision
from pipeline.runtime.core_claims import machine_claims
from pipeline.runtime.prepared import usual_places
from pipeline.runtime.threads import num_threads_for
from pipeline.synthesizer import Synthesizer
from pipeline.text.frontend import Frontend, LocalFrontend
from pipeline.text.tokenizer import make_tokenizer
from pipeline.token2wav.token2wav import DecodeJob, OnnxToken2Wav
from pipeline.types import AudioChunk, DecodeState, SpeechTokens, Utterance

WARM_UP_MAX_S = 1.0  # of speech in a chunk: where nothing is streamed, chunks have no length of their own
# Where all share cores, audio of tokens that are there goes before more tokens. Ray's replicas begin with a niceness of
# 15, and 19 is the last there is.
TOKEN2WAV_NICENESS, ENGINE_NICENESS = 0, 4

BUNDLED_PATH = Path(__file__).parent / "voices" / "bundled"


def open_bundle(config: ModelConfig) -> Bundle:
    path = BUNDLED_PATH if config.bundle == BUNDLED_VOICE else Path(config.bundle)
    return Bundle.open(path, _prepared_in(config.prepared, path), is_lowered=config.operators == "auto")


def _prepared_in(prepared: str | None, bundle: Path) -> tuple[Path, ...]:
    """Nothing is kept of the bundled voice unless a folder is named: it loads in half a second as it is."""
    if prepared is None or (prepared == "auto" and bundle == BUNDLED_PATH):
        return ()
    return usual_places(bundle) if prepared == "auto" else (Path(prepared).expanduser(),)


def precision_of(config: ModelConfig, bundle: Bundle) -> Precision:
    """The configured precision, or the bundle's first, which its exporter chose as the default."""
    if config.precision != "auto":
        return config.precision
    if not bundle.manifest.graphs:
        raise BundleError(f"bundle {bundle.path} lists no graphs: export it again.")
    return next(iter(bundle.manifest.graphs))


def build_frontend(config: ServiceConfig, bundle: Bundle) -> Frontend:
    return Frontend(bundle, make_tokenizer(bundle), config.text)


def build_engine(
    config: ServiceConfig, bundle: Bundle, num_threads: int, *, max_threads: int | None = None, niceness: int = 0
) -> Engine:
    """An engine that computes on `num_threads`, and on the most there are while nobody else computes."""
    acoustic = config.acoustic
    manifest = bundle.manifest
    claims = machine_claims()
    lm = OnnxSpeechLM(
        bundle,
        precision_of(config.model, bundle),
        num_threads=num_threads,
        max_batch_size=acoustic.max_batch_size,
        max_context=acoustic.max_context,
        max_threads=max(num_threads, max_threads or acoustic.max_threads or num_threads),
        is_alone=claims.is_alone,
    )
    lm.warm_up()
    return Engine(
        lm,
        spec=manifest.lm,
        token_rate=manifest.token_rate,
        max_batch_size=acoustic.max_batch_size,
        max_queued=acoustic.max_queued,
        chunks=acoustic.chunks,
        prefill_batch_size=acoustic.admission_batch_size,
        prefill_chunk=acoustic.prefill_chunk,
        niceness=niceness,
        claims=claims,
        num_cores=num_threads,
    )


def build_token2wav(config: ServiceConfig, bundle: Bundle, num_threads: int) -> OnnxToken2Wav:
    """Warm for the first two windows of an utterance; later ones differ in nothing but their length."""
    precision = precision_of(config.model, bundle)
    profile = config.token2wav.profile or bundle.manifest.flow.profile
    token2wav = OnnxToken2Wav(
        bundle, precision, num_threads, profile=profile, niceness=TOKEN2WAV_NICENESS, claims=machine_claims()
    )
    chunks = config.acoustic.chunks
    groups_s = [min(chunks.first_s, WARM_UP_MAX_S), min(chunks.first_s * chunks.growth, WARM_UP_MAX_S)]
    token2wav.warm_up(groups_s)
    return token2wav


class LocalToken2Wav:
    """Token2wav in this process, on threads of its own, so that the event loop stays free."""

    def __init__(self, token2wav: OnnxToken2Wav) -> None:
        self._token2wav = token2wav

    async def decode(
        self, tokens: SpeechTokens, utterance: Utterance, state: DecodeState | None
    ) -> tuple[AudioChunk, DecodeState]:
        (decoded,) = self._token2wav.submit([DecodeJob(tokens, utterance, state)])
        return await asyncio.wrap_future(decoded)

    def close(self) -> None:
        self._token2wav.close()


class LocalSynthesizer(Synthesizer):
    """All three stages in this process, which are built side by side. Close it, or use it as a context manager."""

    def __init__(self, config: ServiceConfig) -> None:
        self.bundle = open_bundle(config.model)
        with ThreadPoolExecutor(2, "build") as builders:
            engine = builders.submit(self._build_engine, config)
            token2wav = builders.submit(self._build_token2wav, config)
            frontend = LocalFrontend(build_frontend(config, self.bundle))
        self._engine, self._decoder = engine.result(), LocalToken2Wav(token2wav.result())
        super().__init__(frontend, LocalAcousticModel(self._engine), self._decoder)

    def _build_engine(self, config: ServiceConfig) -> Engine:
        """On half of the cores while both models compute at the same time."""
        all_threads = num_threads_for(None, None)
        num_threads = config.acoustic.num_threads or max(1, all_threads // 2)
        max_threads = num_threads if config.acoustic.num_threads else all_threads
        max_threads = config.acoustic.max_threads or max_threads
        return build_engine(config, self.bundle, num_threads, max_threads=max_threads, niceness=ENGINE_NICENESS)

    def _build_token2wav(self, config: ServiceConfig) -> OnnxToken2Wav:
        """On all of them: it has most of the work, and is alone once the last token is there."""
        return build_token2wav(config, self.bundle, config.token2wav.num_threads or num_threads_for(None, None))

    def close(self) -> None:
        self._engine.close()
        self._decoder.close()

    def __enter__(self) -> LocalSynthesizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The whole configuration, as one frozen tree. `args:` of an application in serve_config.yaml is a ServiceConfig.

Replicas, resources and autoscaling are Ray's and stay in its `deployments:` section.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.types import Profile

BUNDLED_VOICE = "bundled"
Operators = Literal["auto", "onnxruntime"]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(_Config):
    """Which bundle to speak with."""

    bundle: str = BUNDLED_VOICE  # "bundled" or the path of a bundle folder, the same on every node
    precision: Literal["auto", "fp32", "int8", "int4"] = "auto"  # auto: the first that the bundle lists
    # Where graphs are kept as this machine computes them, which later starts and other replicas map: a folder, or auto:
    # with the bundle, else below ~/.cache (the bundled voice needs it nowhere). None: every process makes its own.
    prepared: str | None = "auto"
    operators: Operators = "auto"  # auto: those of pipeline/native where this CPU has them


class TextConfig(_Config):
    max_text_length: int = Field(4096, gt=0)  # characters in one request
    max_piece_length: int = Field(80, ge=20)  # characters in one utterance; latin letters count a third
    first_piece_length: int = Field(40, ge=8)  # the first one, so that audio starts early
    max_piece_tokens: int = Field(256, ge=32)  # text tokens in one utterance
    lexicon: str | None = (
        "~/.local/share/cosyvoice-serve/lexicon.db"  # a file or redis:// URL; None: shipped words only
    )
    lexicon_cache_size: int = Field(4096, gt=0)  # entries kept in each process
    lexicon_poll_s: float = Field(1.0, ge=0)  # a change reaches every replica within this time
    batch_size: int = Field(8, gt=0)
    batch_window_ms: float = Field(0.0, ge=0)


class ChunkSchedule(_Config):
    """How many seconds of speech tokens go to token2wav at a time: a small first chunk, growing ones after it.

    The first is what the earliest audio takes. Doubled, the bundled voice's second is made on one core while its first
    is heard; a machine slower than speech leaves a gap after any first chunk.
    """

    first_s: float = Field(0.4, gt=0)
    growth: float = Field(2.0, ge=1)
    max_s: float = Field(3.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> ChunkSchedule:
        if self.first_s > self.max_s:
            raise ValueError(f"first_s ({self.first_s}) must not be above max_s ({self.max_s})")
        return self


class AcousticConfig(_Config):
    """The continuous-batching engine and its admission."""

    max_batch_size: int = Field(8, gt=0)  # sequences that decode together: KV slots
    max_queued: int = Field(64, ge=0)  # sequences that wait for a slot; one more is refused
    max_context: int = Field(2048, ge=64)  # positions of one sequence: prompt, text and speech tokens
    admission_window_ms: float = Field(10.0, ge=0)  # arrivals of a window share one prefill; 0: do not wait
    admission_batch_size: int = Field(4, gt=0)
    # Positions that are prefilled between two decode steps: so long a new text holds up streams that are being heard.
    # At 300M 64 take as long as about four decode steps; 32 take over half of that, as the weights are read each time.
    prefill_chunk: int = Field(64, ge=8, multiple_of=8)
    num_threads: int | None = Field(None, gt=0)  # None: the replica's num_cpus
    max_threads: int | None = Field(None, gt=0)  # while no other stage computes on this machine; None: num_threads
    chunks: ChunkSchedule = ChunkSchedule()


class Token2WavConfig(_Config):
    # fast: under half the flow's cost, further from its exact solution; None: as the bundle's manifest says.
    profile: Profile | None = None
    batch_size: int = Field(4, gt=0)  # chunks of like length that are decoded together
    batch_window_ms: float = Field(0.0, ge=0)
    num_threads: int | None = Field(None, gt=0)


class LimitsConfig(_Config):
    max_body_bytes: int = Field(1 << 20, gt=0)
    first_audio_timeout_s: float = Field(120.0, gt=0)


class ResultsConfig(_Config):
    """Where finished speech of seeded requests is kept for a repeat of the same request."""

    store: str | None = None  # a file or redis:// URL; None: nothing is kept
    max_mib: int = Field(256, gt=0)  # what was not used for longest goes first


class ServiceConfig(_Config):
    model: ModelConfig = ModelConfig()
    text: TextConfig = TextConfig()
    acoustic: AcousticConfig = AcousticConfig()
    token2wav: Token2WavConfig = Token2WavConfig()
    results: ResultsConfig = ResultsConfig()
    limits: LimitsConfig = LimitsConfig()

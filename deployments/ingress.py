"""The ingress: the HTTP API over a synthesizer whose stages are other deployments."""

from __future__ import annotations

import asyncio
from typing import Any

from ray.serve.handle import DeploymentHandle
from starlette.applications import Starlette

from deployments.api.app import create_app
from deployments.api.catalogue import Catalogue, ModelCard
from deployments.metrics import MeteredSpeaker, SpeechMetrics
from deployments.remote import RemoteAcousticModel, RemoteFrontend, RemoteToken2Wav
from pipeline.build import open_bundle, precision_of
from pipeline.cache.results import open_results, service_identity
from pipeline.config import ServiceConfig
from pipeline.errors import TTSError
from pipeline.runtime.bundle import Manifest
from pipeline.synthesizer import Synthesizer

READY_TIMEOUT_S = 5.0


class Ingress:
    def __init__(
        self,
        config: ServiceConfig,
        frontend: DeploymentHandle[Any],
        acoustic: DeploymentHandle[Any],
        token2wav: DeploymentHandle[Any],
    ) -> None:
        self._config = config
        self._stages = RemoteFrontend(frontend), RemoteAcousticModel(acoustic), RemoteToken2Wav(token2wav)
        bundle = open_bundle(config.model)
        self._catalogue = Catalogue((model_card(bundle.manifest),))
        identity = service_identity(config, bundle, precision_of(config.model, bundle))
        self._results = open_results(config.results, identity)

    def __serve_build_asgi_app__(self) -> Starlette:
        metrics = SpeechMetrics()
        return create_app(
            MeteredSpeaker(Synthesizer(*self._stages), metrics),
            self._stages[0],
            self._catalogue,
            limits=self._config.limits,
            max_text_length=self._config.text.max_text_length,
            lexicon_poll_s=self._config.text.lexicon_poll_s,
            readiness=self.readiness,
            observer=metrics,
            results=self._results,
            sends_request_id=False,
        )

    async def readiness(self) -> str | None:
        """None when every stage can speak, otherwise what the first that cannot says."""
        checks = asyncio.gather(*(stage.ready() for stage in self._stages))
        try:
            await asyncio.wait_for(checks, READY_TIMEOUT_S)
        except asyncio.TimeoutError:
            return f"a stage did not answer within {READY_TIMEOUT_S:g} s."
        except TTSError as error:
            return error.message
        return None


def model_card(manifest: Manifest) -> ModelCard:
    return ModelCard(
        id=manifest.name,
        voices=manifest.voices,
        languages=manifest.languages,
        sample_rate=manifest.sample_rate,
        token_rate=manifest.token_rate,
        description=manifest.description,
    )

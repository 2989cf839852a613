"""The application: which deployments there are and who calls whom. `serve run serve_config.yaml` starts it."""

from __future__ import annotations

from typing import cast

from ray import serve
from ray.serve import Application, Deployment

from deployments.acoustic_model import AcousticModel
from deployments.ingress import Ingress
from deployments.text_frontend import TextFrontend
from deployments.token2wav import Token2Wav
from pipeline.config import ServiceConfig


def build_app(args: ServiceConfig) -> Application:
    """Binds the graph. Replicas, resources and limits of each deployment are in serve_config.yaml."""
    config = ServiceConfig.model_validate(args)  # Ray passes a plain dict: it cannot resolve a postponed annotation
    frontend, acoustic, token2wav = (_deployment(cls).bind(config) for cls in (TextFrontend, AcousticModel, Token2Wav))
    return _deployment(serve.ingress()(Ingress), "Ingress").bind(config, frontend, acoustic, token2wav)


def _deployment(cls: type, name: str | None = None) -> Deployment:
    return cast(Deployment, serve.deployment(cls, name=name or cls.__name__))

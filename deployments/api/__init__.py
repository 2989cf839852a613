"""The HTTP service: Starlette over anything that streams speech. It knows no Ray."""

from deployments.api.app import Readiness, create_app
from deployments.api.boundary import NoObserver, Observer
from deployments.api.catalogue import Catalogue, ModelCard
from deployments.api.speech import Speaker
from deployments.api.text import TextStage

__all__ = ["Catalogue", "ModelCard", "NoObserver", "Observer", "Readiness", "Speaker", "TextStage", "create_app"]

"""The routes of the service, as a Starlette application that knows no Ray."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deployments.api.boundary import Boundary, NoObserver, Observer, log_error
from deployments.api.catalogue import Catalogue
from deployments.api.errors import NotReady, http_exception_response
from deployments.api.openapi import openapi_document
from deployments.api.speech import CreateSpeech, Speaker
from deployments.api.text import Lexicon, PreviewText, TextStage
from pipeline.cache.results import ResultCache
from pipeline.config import LimitsConfig

_PAGE = Path(__file__).parents[1] / "web" / "index.html"
# The page holds its own script and style, talks to this service, and plays what it received.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Readiness = Callable[[], Awaitable[str | None]]


def create_app(
    speaker: Speaker,
    text_stage: TextStage,
    catalogue: Catalogue,
    *,
    limits: LimitsConfig,
    max_text_length: int,
    lexicon_poll_s: float,
    readiness: Readiness,
    observer: Observer | None = None,
    results: ResultCache | None = None,
    sends_request_id: bool = True,
) -> Starlette:
    """The HTTP service over a synthesizer and its text stage.

    Args:
        max_text_length: characters in one request, TextConfig's.
        lexicon_poll_s: within this time a changed lexicon is in force in every replica, TextConfig's.
        readiness: None when every stage can speak, otherwise the reason why not. An exception counts as not ready.
        results: keeps the answers to requests that name a seed.
        sends_request_id: False where a proxy in front (Ray Serve's is one) puts x-request-id on responses itself.
    """
    observer = observer or NoObserver()
    info = _Info(catalogue, readiness, openapi_document(catalogue, limits, max_text_length, lexicon_poll_s))
    preview = PreviewText(text_stage, catalogue, limits, max_text_length)
    lexicon = Lexicon(text_stage, limits, lexicon_poll_s)
    speech = CreateSpeech(speaker, catalogue, limits, max_text_length, observer, results)
    routes = [
        Route("/v1/audio/speech", speech, methods=["POST"]),
        Route("/v1/audio/voices", info.list_voices),
        Route("/v1/text/preview", preview.preview_text, methods=["POST"]),
        Route("/v1/lexicon", lexicon.list_lexicon),
        Route("/v1/lexicon/{word:path}", lexicon.lexicon_entry, methods=["GET", "PUT", "DELETE"]),
        Route("/v1/models", info.list_models),
        Route("/v1/models/{id:path}", info.get_model),
        Route("/healthz", info.healthz),
        Route("/readyz", info.readyz),
        Route("/openapi.json", info.openapi),
        Route("/", info.page),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Boundary, observer=observer, sends_request_id=sends_request_id)],
        exception_handlers={HTTPException: http_exception_response},
    )
    app.router.redirect_slashes = False
    return app


class _Info:
    """The endpoints that tell about the service."""

    def __init__(self, catalogue: Catalogue, readiness: Readiness, document: dict[str, object]) -> None:
        self._catalogue = catalogue
        self._readiness = readiness
        self._document = document
        self._page = _PAGE.read_text("utf-8")

    async def list_models(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.models_as_json())

    async def get_model(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.find(request.path_params["id"]).as_json())

    async def list_voices(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.voices_as_json())

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        try:
            reason = await self._readiness()
        except Exception as error:
            log_error(error, request.state.request_id)
            raise NotReady("not ready: a stage does not answer; see the log.") from None
        if reason is not None:
            raise NotReady(f"not ready: {reason}")
        return JSONResponse({"status": "ready"})

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self._document)

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self._page, headers={"Content-Security-Policy": _PAGE_POLICY})

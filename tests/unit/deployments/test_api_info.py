"""Models, voices, health, the page, the OpenAPI document, and errors of the router."""

from __future__ import annotations

import httpx
import pytest
from speaking import CATALOGUE, MAX_TEXT_LENGTH, client, make_app, post


async def get(path: str, **options: object) -> httpx.Response:
    async with client(make_app(**options)) as http:  # type: ignore[arg-type]
        return await http.get(path)


async def test_models_are_listed_as_openai_does() -> None:
    listed = (await get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["tiny", "org/other"]
    assert listed["data"][0] | {"id": "tiny", "object": "model", "created": 1700000000} == listed["data"][0]
    assert listed["data"][0]["voices"] == ["中文女", "english"]


@pytest.mark.parametrize("model_id", ["tiny", "org/other"])
async def test_one_model_is_shown(model_id: str) -> None:
    assert (await get(f"/v1/models/{model_id}")).json() == CATALOGUE.find(model_id).as_json()


async def test_an_unknown_model_is_a_404() -> None:
    response = await get("/v1/models/tts-1")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_voices_tell_their_model() -> None:
    voices = (await get("/v1/audio/voices")).json()["data"]
    assert [(voice["id"], voice["model"]) for voice in voices] == [
        ("中文女", "tiny"),
        ("english", "tiny"),
        ("solo", "org/other"),
    ]


async def test_a_ready_service_says_so() -> None:
    assert (await get("/readyz")).json() == {"status": "ready"}


async def not_yet() -> str | None:
    return "Token2Wav has no replica"


async def broken() -> str | None:
    raise RuntimeError("secret")


@pytest.mark.parametrize(("readiness", "said"), [(not_yet, "Token2Wav has no replica"), (broken, "does not answer")])
async def test_a_service_that_is_not_ready_says_why_but_is_alive(readiness: object, said: str) -> None:
    response = await get("/readyz", readiness=readiness)
    assert response.status_code == 503
    assert said in response.json()["error"]["message"]
    assert "secret" not in response.text
    assert (await get("/healthz", readiness=readiness)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/models/", 404, "model_not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("POST", "/v1/audio/speech/", 404, "not_found"),
        ("GET", "/v1/audio/speech", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
    ],
)
async def test_the_router_refuses_in_the_same_shape(method: str, path: str, status: int, code: str) -> None:
    async with client(make_app()) as http:
        response = await http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert ("allow" in response.headers) == (status == 405)


async def test_the_page_needs_nothing_from_elsewhere() -> None:
    response = await get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http://" not in response.text
    assert "https://" not in response.text
    assert "v1/audio/speech" in response.text


async def test_the_document_tells_what_the_service_accepts() -> None:
    document = (await get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    schema = document["paths"]["/v1/audio/speech"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["input", "voice"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["input"]["maxLength"] == MAX_TEXT_LENGTH
    assert schema["properties"]["response_format"]["enum"] == ["mp3", "opus", "aac", "flac", "wav", "pcm"]
    assert schema["properties"]["speed"] | {"minimum": 0.25, "maximum": 4.0} == schema["properties"]["speed"]
    for name, field in schema["properties"].items():
        response = await post(**{name: field["default"]}) if "default" in field else None
        assert response is None or response.status_code == 200, name


async def test_every_path_of_the_document_exists() -> None:
    app = make_app()
    document = (await get("/openapi.json")).json()
    served = {route.path.replace(":path", "") for route in app.routes}  # type: ignore[attr-defined]
    assert document["paths"].keys() == served - {"/", "/openapi.json"}


@pytest.mark.parametrize(("given", "is_kept"), [("abc-123", True), ("a b", False), ("x" * 200, False), ("", False)])
async def test_a_request_id_is_kept_if_it_is_fit_for_a_log(given: str, is_kept: bool) -> None:
    async with client(make_app()) as http:
        response = await http.get("/nowhere", headers={"x-request-id": given})
    assert (response.headers["x-request-id"] == given) == is_kept
    assert response.headers["x-request-id"]


async def test_a_proxy_may_send_the_request_id_instead() -> None:
    assert "x-request-id" not in (await get("/healthz", sends_request_id=False)).headers

"""The preview of a text and the user lexicon, over the real text frontend of the bundled voice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from replica import FakeHandle, FakeResponse, enter_replica
from speaking import LIMITS, MAX_TEXT_LENGTH, POLL_S, client, make_app

from deployments.api import TextStage
from deployments.remote import RemoteFrontend
from deployments.text_frontend import TextFrontend, make_frontend
from pipeline.config import ServiceConfig, TextConfig
from pipeline.text.frontend import Frontend
from pipeline.text.lexicon import Lexicon, common_words
from pipeline.text.lexicon_sqlite import SqliteLexicon

PREVIEW, LEXICON = "/v1/text/preview", "/v1/lexicon"
Request = Callable[..., Any]


class AcrossRay:
    """A deployment handle whose replica is in this process."""

    def __init__(self, replica: TextFrontend) -> None:
        self._replica = replica

    def options(self, **_: bool) -> AcrossRay:
        return self

    def __getattr__(self, method: str) -> FakeHandle:
        return FakeHandle(getattr(self._replica, method), FakeResponse)


@pytest.fixture(scope="module")
def frontend() -> Frontend:
    return make_frontend(ServiceConfig(text=TextConfig(lexicon=None)))


@pytest.fixture(params=["here", "across Ray"])
def stage(
    request: pytest.FixtureRequest, frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TextStage:
    """The real frontend with an empty user lexicon."""
    enter_replica(monkeypatch)
    lexicon = Lexicon(SqliteLexicon(tmp_path / "lexicon.db"), common_words())
    monkeypatch.setattr(frontend, "lexicon", lexicon)
    monkeypatch.setattr(frontend._writer, "_lexicon", lexicon)
    replica = TextFrontend(ServiceConfig(), lambda config: frontend)
    return RemoteFrontend(AcrossRay(replica)) if request.param == "across Ray" else replica  # type: ignore[arg-type]


@pytest.fixture
def send(stage: TextStage) -> Request:
    async def send(method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        async with client(make_app(text_stage=stage)) as http:
            return await http.request(method, path, **({"json": body} if body is not None else {}), **options)

    return send


def entry_path(word: str) -> str:
    return f"{LEXICON}/{quote(word, safe='')}"


def refusal(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert response.status_code == status
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 400
    return error


@pytest.mark.parametrize("field", ["text", "input"])
async def test_a_preview_shows_what_becomes_of_a_text(send: Request, field: str) -> None:
    response = await send("POST", PREVIEW, {field: "我有3个[pinyin:chong2 qing4]重庆[/pinyin]朋友 Tom。"})
    assert response.status_code == 200
    preview = response.json()
    assert preview["object"] == "text.preview"
    assert [span["language"] for span in preview["spans"]] == ["zh", "en"]
    assert "".join(span["text"] for span in preview["spans"]) == "我有3个重庆朋友 Tom。"
    assert preview["normalized"].startswith("我有三个重庆朋友")
    (piece,) = preview["pieces"]
    assert len(piece["text_ids"]) == len(piece["symbols"])
    assert {"zh:ch", "zh:ong2"} <= set(piece["symbols"])
    given = [(reading["text"], reading["reading"], reading["source"]) for reading in piece["readings"]]
    assert ("重", "chong2", "markup") in given


async def test_a_preview_takes_a_speech_requests_options(send: Request) -> None:
    assert (await send("POST", PREVIEW, {"text": "有3个", "normalize": False})).json()["normalized"] == "有3个"
    spans = (await send("POST", PREVIEW, {"text": "12", "language": "en"})).json()["spans"]
    assert spans == [{"text": "12", "language": "en"}]


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({}, "text", "missing"),
        ({"text": "a", "input": "a"}, "input", "send one of them"),
        ({"text": ""}, "text", "empty"),
        ({"text": "。。"}, "text", "letter or a digit"),
        ({"input": "x" * (MAX_TEXT_LENGTH + 1)}, "input", f"the limit is {MAX_TEXT_LENGTH}"),
        ({"text": "x" * (MAX_TEXT_LENGTH + 1)}, "text", f"the limit is {MAX_TEXT_LENGTH}"),
        ({"text": "a\x00"}, "text", "position 1"),
        ({"text": 5}, "text", "string"),
        ({"text": "a", "language": "fr"}, "language", "'zh', 'en'"),
        ({"text": "a", "language": "ja"}, "language", "it speaks: zh, en"),
        ({"text": "a", "normalize": "no"}, "normalize", "boolean"),
        ({"text": "a", "voice": "x"}, None, "a preview request has: text, input, language, normalize"),
        ({"text": "[pause:5h]a"}, None, "write it as 500ms"),
        ({"text": "<speak>a"}, None, "column 9: the text ends before </speak>"),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_wrong_preview_is_refused_with_the_reason(
    send: Request, body: Any, param: str | None, said: str
) -> None:
    error = refusal(await send("POST", PREVIEW, body))
    assert error["param"] == param
    assert said in error["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", PREVIEW), ("PUT", entry_path("重庆"))])
async def test_a_body_over_the_limit_is_refused(send: Request, method: str, path: str) -> None:
    response = await send(method, path, content=b" " * (LIMITS.max_body_bytes + 1))
    assert refusal(response, 413)["code"] == "body_too_large"


@pytest.mark.parametrize(("method", "path"), [("POST", PREVIEW), ("PUT", entry_path("重庆"))])
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"a": 1, "a": 2}', b"[" * 9000])
async def test_a_body_that_is_no_json_object_is_refused(send: Request, method: str, path: str, content: bytes) -> None:
    refusal(await send(method, path, content=content))


@pytest.mark.parametrize(
    ("word", "kind", "value", "stored"),
    [
        ("重庆", "pinyin", "chóng qìng", "chong2 qing4"),
        ("Nginx", "phonemes", "eh1 n jh ih0 n k s", "EH1 N JH IH0 N K S"),
        ("km/h", "respelling", "公里每小时", "公里每小时"),
        ("C#", "respelling", " C sharp ", "C sharp"),
        ("100%", "respelling", "百分百", "百分百"),
    ],
)
async def test_a_word_can_be_put_shown_listed_and_deleted(
    send: Request, word: str, kind: str, value: str, stored: str
) -> None:
    entry = {"object": "lexicon.entry", "word": word, "kind": kind, "value": stored}
    response = await send("PUT", entry_path(word), {"kind": kind, "value": value})
    assert response.status_code == 200
    assert response.json() == entry | {"in_force_within_s": POLL_S}
    assert (await send("GET", entry_path(word))).json() == entry
    assert (await send("GET", LEXICON)).json() == {"object": "list", "data": [entry], "has_more": False}
    deleted = await send("DELETE", entry_path(word))
    assert deleted.json() == {
        "object": "lexicon.entry",
        "word": word,
        "deleted": True,
        "in_force_within_s": POLL_S,
    }
    for method in ("GET", "DELETE"):
        error = refusal(await send(method, entry_path(word)), 404)
        assert (error["code"], error["param"]) == ("entry_not_found", "word")
    assert (await send("GET", LEXICON)).json()["data"] == []


async def test_a_put_word_is_in_the_next_preview(send: Request) -> None:
    async def readings() -> list[tuple[str, str]]:
        pieces = (await send("POST", PREVIEW, {"text": "他去重庆了"})).json()["pieces"]
        return [(r["text"], r["reading"]) for r in pieces[0]["readings"] if r["source"] == "lexicon"]

    assert await readings() == []
    await send("PUT", entry_path("重庆"), {"kind": "pinyin", "value": "zhong4 qing1"})
    assert await readings() == [("重", "zhong4"), ("庆", "qing1")]
    await send("DELETE", entry_path("重庆"))
    assert await readings() == []


async def test_a_word_is_found_in_any_unicode_form(send: Request) -> None:
    await send("PUT", entry_path(" cafe\u0301 "), {"kind": "respelling", "value": "coffee shop"})
    assert (await send("GET", entry_path("caf\u00e9"))).json()["word"] == "caf\u00e9"
    assert (await send("DELETE", entry_path("cafe\u0301"))).status_code == 200


async def test_the_list_comes_in_pages(send: Request) -> None:
    words = ["B站", "a", "重", "重庆"]
    for word in words:
        await send("PUT", entry_path(word), {"kind": "respelling", "value": "x"})
    found, after, has_more = [], "", True
    while has_more:
        page = (await send("GET", LEXICON, params={"after": after, "limit": 3})).json()
        assert len(page["data"]) == 3 or not page["has_more"]
        found += [entry["word"] for entry in page["data"]]
        after, has_more = found[-1], page["has_more"]
    assert found == words


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=%F0%9D%9F%93", "limit"),
        ("after=%00", "after"),
        ("page=2", None),
    ],
)
async def test_a_wrong_page_is_refused(send: Request, query: str, param: str | None) -> None:
    assert refusal(await send("GET", f"{LEXICON}?{query}"))["param"] == param


@pytest.mark.parametrize(
    ("word", "body", "param", "said"),
    [
        ("重庆", {"kind": "pinyin", "value": "chong2 qong4"}, None, "'qong4' is no Mandarin syllable"),
        ("重庆", {"kind": "pinyin", "value": "chong2"}, None, "has 1 syllables, '重庆' has 2 characters"),
        ("重庆", {"kind": "pinyin", "value": "chong qing"}, None, "add a number from 1 to 5"),
        ("GPU", {"kind": "pinyin", "value": "ji1"}, None, "give it a respelling instead"),
        ("重庆", {"kind": "phonemes", "value": "HH"}, None, "respelling instead of phonemes"),
        ("GPU", {"kind": "phonemes", "value": "JH IY"}, None, "write IY0, IY1 or IY2"),
        ("GPU", {"kind": "sound", "value": "x"}, "kind", "'pinyin', 'phonemes' or 'respelling'"),
        ("GPU", {"kind": "respelling", "value": "!"}, None, "could be spoken"),
        ("GPU", {"kind": "respelling", "value": "x" * 201}, None, "at most 200"),
        ("x" * 5000, {"kind": "respelling", "value": "x"}, None, "at most 32"),
        ("!" * 5000, {"kind": "respelling", "value": "x"}, None, "at most 32"),
        ("!?", {"kind": "respelling", "value": "x"}, None, "could be spoken"),
        ("a\x01", {"kind": "respelling", "value": "x"}, "word", "position 1"),
        ("GPU", {"kind": "respelling"}, "value", "missing"),
        ("GPU", {"value": "x"}, "kind", "missing"),
        ("GPU", {"kind": "respelling", "value": 5}, "value", "string"),
        ("GPU", {"kind": "respelling", "value": "a", "word": "b"}, None, "a lexicon entry has: kind, value"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_wrong_entry_is_refused_with_the_reason(
    send: Request, word: str, body: Any, param: str | None, said: str
) -> None:
    error = refusal(await send("PUT", entry_path(word), body))
    assert error["param"] == param
    assert said in error["message"]
    assert (await send("GET", LEXICON)).json()["data"] == []


async def test_other_methods_are_refused_with_those_there_are(send: Request) -> None:
    response = await send("POST", entry_path("重庆"), {})
    assert refusal(response, 405)["code"] == "method_not_allowed"
    assert {"GET", "PUT", "DELETE"} <= set(response.headers["allow"].split(", "))


async def test_a_lexicon_that_is_down_answers_503_with_the_cure_while_texts_are_read(
    send: Request, tmp_path: Path
) -> None:
    assert (await send("PUT", entry_path("重庆"), {"kind": "pinyin", "value": "chong1 qing1"})).status_code == 200
    assert "chong1" in (await send("POST", PREVIEW, {"input": "重庆"})).text
    (tmp_path / "lexicon.db").write_bytes(b"no database" * 500)
    for response in [await send("GET", LEXICON), await send("DELETE", entry_path("重庆"))]:
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (503, "lexicon_unavailable")
        assert "lexicon.db cannot be" in error["message"]
        assert int(response.headers["retry-after"]) > 0
    assert "chong1" in (await send("POST", PREVIEW, {"input": "重庆"})).text


async def test_a_service_without_a_user_lexicon_says_how_to_have_one(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_replica(monkeypatch)
    async with client(make_app(text_stage=TextFrontend(ServiceConfig(), lambda config: frontend))) as http:
        for response in [await http.get(LEXICON), await http.delete(entry_path("a"))]:
            assert "set text.lexicon" in refusal(response)["message"]


async def test_the_document_describes_them(send: Request) -> None:
    document = (await send("GET", "/openapi.json")).json()
    put = document["paths"]["/v1/lexicon/{word}"]["put"]
    assert f"within {POLL_S} s" in put["description"]
    assert put["requestBody"]["content"]["application/json"]["schema"]["required"] == ["kind", "value"]
    assert document["paths"][PREVIEW]["post"]["requestBody"]["required"] is True
    schema = document["paths"][PREVIEW]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == (await send("POST", PREVIEW, {"text": "a"})).json().keys()
    assert json.dumps(document)

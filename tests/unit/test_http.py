"""HTTP at the edge: bodies that are too large, HEAD, and whose forms are taken."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.datastructures import Headers

from shared import http
from shared.http import is_from_here, new_api
from shared.openapi import PROBLEM_JSON
from shared.web.responses import POLICY
from tests.support.guards import a_guard


class _Body(BaseModel):
    text: str


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 1024)
    monkeypatch.setattr(http, "MAX_FILE_BYTES", 4096)
    api: FastAPI = new_api("test", "Tests.", a_guard())

    @api.post("/json")
    async def take(body: _Body) -> int:
        return len(body.text)

    @api.post("/file")
    async def take_file(request: Request) -> int:
        return len(await request.body())

    @api.get("/number")
    async def number() -> int:
        return 1000

    @api.get("/fails")
    async def fail() -> None:
        raise RuntimeError

    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 100):
        yield b" " * 100


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 413, answer.text
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert "KiB" in answer.json()["detail"]


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", '"utf-16"'])
async def test_a_body_is_in_utf_8_and_no_codec_of_the_senders_is_ever_run(
    client: httpx.AsyncClient, charset: str
) -> None:
    for kind in ("multipart/form-data; boundary=b", "Multipart/Form-Data; boundary=b", "text/csv"):
        answer = await client.post(
            "/file", content=b"", headers={"content-type": f"{kind}; charset={charset}"}
        )
        assert answer.status_code == 415
        assert answer.headers["content-type"] == PROBLEM_JSON
    plain = {"content-type": "multipart/form-data; boundary=b; charset=UTF-8"}
    assert (await client.post("/file", content=b"xy", headers=plain)).json() == 2


async def test_a_body_that_is_too_large_is_refused_and_files_may_be_larger(
    client: httpx.AsyncClient,
) -> None:
    json, csv = {"content-type": "application/json"}, {"content-type": "text/csv; charset=utf-8"}
    assert (await client.post("/json", json={"text": "x" * 1000})).json() == 1000
    refused(await client.post("/json", json={"text": "x" * 1024}))
    refused(await client.post("/json", content=in_pieces(1100), headers=json))
    assert (await client.post("/file", content=b" " * 4096, headers=csv)).json() == 4096
    refused(await client.post("/file", content=b" " * 4097, headers=csv))
    refused(await client.post("/file", content=in_pieces(4200), headers=csv))


async def test_head_is_answered_as_get_and_without_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/number")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "4", b"")


@pytest.mark.parametrize(
    ("sent", "is_ours"),
    [
        ({}, True),
        ({"origin": "https://formations.example.fr"}, True),
        ({"origin": "http://catalogue:8001"}, True),
        ({"origin": "https://ailleurs.example"}, False),
        ({"origin": "https://formations.example.fr.ailleurs.example"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_a_form_is_taken_from_our_own_pages_by_either_of_our_names(
    sent: dict[str, str], is_ours: bool
) -> None:
    headers = Headers({"host": "catalogue:8001"} | sent)
    assert is_from_here(headers, "https://formations.example.fr/offre") is is_ours


async def test_a_slash_too_many_leads_to_no_host_of_the_clients(client: httpx.AsyncClient) -> None:
    answer = await client.get("/number/", headers={"host": "ailleurs.example"})
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


async def test_a_head_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/json", headers={"x": "x" * 40_000})
    assert (answer.status_code, answer.headers["content-type"]) == (431, PROBLEM_JSON)


@pytest.mark.parametrize("path", ["/json", "/fails", "/openapi.json", "/nowhere"])
async def test_no_browser_takes_an_answer_for_a_page_or_shows_it_in_one(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "RuntimeError" not in answer.text
    assert (await client.get("/docs")).headers["content-security-policy"] == POLICY, "that of pages"


async def test_trace_is_not_answered(client: httpx.AsyncClient) -> None:
    answer = await client.request("TRACE", "/json", headers={"X-Secret": "4711"})
    assert answer.status_code == 405
    assert "4711" not in answer.text

"""JSON by its tag and compressed: not sent again to who has it, never kept where nobody may, never a page."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi.responses import HTMLResponse, JSONResponse

from shared.http import Problem, new_api
from tests.support.guards import a_guard

LIST = {"items": ["é" * 10] * 500, "next": None}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    api = new_api("test", "Tests.", a_guard())

    @api.get("/api/v1/list")
    async def listed() -> JSONResponse:
        return JSONResponse(LIST, headers={"Vary": "Accept-Language", "X-Other": "1"})

    @api.get("/api/v1/small")
    async def small() -> int:
        return 1

    @api.get("/api/v1/feed")
    async def feed() -> JSONResponse:
        return JSONResponse(LIST, headers={"Cache-Control": "no-store"})

    @api.get("/api/v1/missing")
    async def missing() -> None:
        raise Problem(404, "Not found", "x" * 3000)

    @api.post("/api/v1/list")
    async def posted() -> JSONResponse:
        return JSONResponse(LIST)

    @api.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>" + "x" * 3000)

    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_list_with_a_known_tag_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/api/v1/list")
    assert first.json() == LIST
    assert first.headers["etag"].startswith('W/"')
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/api/v1/list", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "Accept-Language" in again.headers["vary"]
    assert {"x-other", "content-type", "content-length"} & again.headers.keys() == set()
    other = await client.get("/api/v1/list", headers={"if-none-match": '"another"'})
    assert other.json() == LIST
    head = await client.head("/api/v1/list")
    assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])


async def test_what_a_token_shows_is_kept_by_its_owner_alone(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/list", headers={"authorization": "Bearer x"})
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_the_tag_is_the_same_compressed_or_not(client: httpx.AsyncClient) -> None:
    squeezed = await client.get("/api/v1/list")
    plain = await client.get("/api/v1/list", headers={"accept-encoding": "identity"})
    assert squeezed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert squeezed.headers["etag"] == plain.headers["etag"]
    assert squeezed.json() == plain.json()
    assert int(squeezed.headers["content-length"]) < int(plain.headers["content-length"]) / 10
    assert "Accept-Encoding" in squeezed.headers["vary"]


async def test_only_large_json_is_compressed_and_a_problem_has_no_tag(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/small", "/page"):
        assert "content-encoding" not in (await client.get(path)).headers
    answer = await client.get("/api/v1/missing")
    assert (answer.headers["content-encoding"], answer.json()["status"]) == ("gzip", 404)
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/feed"), ("POST", "/api/v1/list"), ("GET", "/page")]
)
async def test_other_answers_are_left_alone(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, headers={"if-none-match": "*"})
    assert (answer.status_code, "etag" in answer.headers, len(answer.content) > 2000) == (200, False, True)

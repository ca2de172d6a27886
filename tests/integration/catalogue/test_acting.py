"""The transaction of a request of an organiser: committed before the answer is sent."""

from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from services.catalogue import api
from shared.auth import Tokens
from shared.database import Database
from tests.integration.catalogue.conftest import BRETAGNE, a_draft_of
from tests.support.guards import a_guard


async def drafted_over(database: Database, tokens: Path, offer_id: str, seen: list[str]) -> httpx.Response:
    web = api.build(database, Tokens(tokens), a_guard(database))

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            seen.append(message["type"])
            await send(message)

        await web(scope, receive, noted)

    transport = httpx.ASGITransport(app=watched, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {BRETAGNE}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://x/api/v1", headers=headers) as client:
        return await client.post("/sessions", json=a_draft_of(offer_id))


async def test_a_change_is_committed_before_it_is_answered(
    database: Database, tokens_file: Path, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    monkeypatch.setattr(database, "after_commit", lambda: happened.append("committed"))
    answer = await drafted_over(database, tokens_file, an_empty_offer, happened)
    assert answer.status_code == 201
    assert happened[:2] == ["committed", "http.response.start"]


async def test_a_commit_that_fails_is_never_answered_as_a_success(
    database: Database, tokens_file: Path, an_empty_offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the commit failed")

    monkeypatch.setattr(database, "after_commit", fail)
    answer = await drafted_over(database, tokens_file, an_empty_offer, [])
    assert answer.status_code == 500

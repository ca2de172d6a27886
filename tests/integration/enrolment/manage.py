"""Somebody of a delegation at the pages about enrolments: logs in, reads, fills in forms."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from shared.events.catalogue import SessionState
from tests.integration.enrolment.conftest import ToApplication
from tests.integration.enrolment.organising import BRETAGNE

MANAGE = "/inscriptions/gestion"
OrganiserClient = httpx.AsyncClient


async def log_in(organiser: OrganiserClient, token: str = BRETAGNE) -> httpx.Response:
    return await organiser.post(f"{MANAGE}/connexion", data={"jeton": token})


@pytest.fixture
async def visitor(application: ToApplication) -> AsyncIterator[OrganiserClient]:
    """A browser that nobody has logged in with yet."""
    transport = httpx.ASGITransport(app=application())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8001") as organiser:
        yield organiser


@pytest.fixture
async def organiser(visitor: OrganiserClient) -> OrganiserClient:
    """The browser of somebody of Bretagne, logged in."""
    assert (await log_in(visitor)).status_code == 303
    return visitor


def page_of(session: SessionState, rest: str = "") -> str:
    return f"{MANAGE}/sessions/{session.session_id}{rest}"


def text_of(answer: httpx.Response, status: int = 200) -> str:
    """What a page says, without its markup, in one line."""
    assert answer.status_code == status, answer.text
    main = answer.text.partition("<main")[2]
    shown = re.sub(r"<(?:script|style).*?</(?:script|style)>|<[^>]+>", " ", main, flags=re.DOTALL)
    return " ".join(unescape(shown).replace("\u202f", " ").split())


def hidden(page: str, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert match, page
    return unescape(match[1])


async def send(organiser: OrganiserClient, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Send the form of a page with its hidden fields as a browser does, and these."""
    body = (await organiser.get(page)).text
    form = {name: hidden(body, name) for name in ("cle", "version") if f'name="{name}"' in body}
    return await organiser.post(to or page, data=form | fields)

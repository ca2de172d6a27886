"""Somebody of a delegation at the pages about enrolments: logs in, reads, fills in forms."""

import re
from html import unescape

import httpx

from shared.events.catalogue import SessionState
from tests.integration.enrolment.organising import BRETAGNE

MANAGE = "/inscriptions/gestion"
OrganiserClient = httpx.AsyncClient


async def log_in(organiser: OrganiserClient, token: str = BRETAGNE) -> httpx.Response:
    return await organiser.post(f"{MANAGE}/connexion", data={"jeton": token})


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

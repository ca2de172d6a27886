"""Somebody of a delegation at the pages about enrolments: logs in, reads, fills in forms."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import httpx

from shared import clock
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.organising import BRETAGNE
from tests.support.builders import an_agent

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


async def walk(
    organiser: OrganiserClient, address: str, way: str, entries: Callable[[str], list[str]]
) -> tuple[list[str], str]:
    """What a page and those behind its links of this name show, and the address of the last."""
    found: list[str] = []
    for _ in range(100):
        page = (await organiser.get(address)).text
        shown = entries(page)
        found += shown if way == "next" else shown[::-1]
        link = re.search(rf'rel="{way}" href="([^"]+)"', page)
        if link is None:
            return found, address
        address = unescape(link[1])
    raise AssertionError(f"no page of {address} is the last one")


def hidden(page: str, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert match, page
    return unescape(match[1])


async def send(organiser: OrganiserClient, page: str, to: str = "", **fields: str) -> httpx.Response:
    """Send the form of a page with its hidden fields as a browser does, and these."""
    body = (await organiser.get(page)).text
    form = {name: hidden(body, name) for name in ("cle", "version") if f'name="{name}"' in body}
    return await organiser.post(to or page, data=form | fields)


PERSON = {
    "given_name": "Anne",
    "family_name": "Riou",
    "email": "anne.riou@ville-exemple.fr",
    "function": "agent",
    "employer": "Ville de Rennes",
    "siret": "213 502 388 00019",
    "delegation": "bretagne",
}


async def person_page(front: Front, session: SessionState, agent: Agent) -> str:
    return f"{MANAGE}/inscriptions/{(await front.of(session, agent)).enrolment_id}"


async def full(front: Front, **changes: Any) -> tuple[SessionState, list[Agent]]:
    """Two seats, two agents who have one, two who wait."""
    names = (("Zoé", "Durand"), ("Loïc", "Le Goff"), ("Élise", "Martin"), ("Yann", "Bernard"))
    agents = [an_agent(given_name=given, family_name=family) for given, family in names]
    return await front.open(*agents, **{"capacity": 2} | changes), agents


def from_now(**delta: int) -> datetime:
    return clock.now() + timedelta(**delta)

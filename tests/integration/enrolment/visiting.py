"""Readers of letters who open links: the paths of the links, and what every page has."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web.links import Links, LinkSettings, Purpose
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent

KEY = "a key of thirty-two characters for tests only"
LATER = datetime.now(UTC) + timedelta(days=60)
PUBLIC = "https://parcours.example"


def links(key: str = KEY) -> Links:
    made = LinkSettings(link_signing_key=key).links
    assert made is not None
    return made


def path(purpose: Purpose, *subject: object, until: datetime = LATER, key: str = KEY) -> str:
    return f"{purpose.value}/{links(key).token(purpose, *map(str, subject), until=until)}"


def onward(text: str, purpose: Purpose) -> str:
    """The path of the one link of a page that serves this purpose."""
    [found] = re.findall(f'href="{PUBLIC}({purpose.value}/[^"]*)"', text)
    return str(found)


def page(answer: httpx.Response, status: int, title: str) -> str:
    """A page in French with this title, and the headers that keep it to itself."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="fr">' in answer.text
    assert f"<h1>{title}</h1>" in answer.text.replace("\u00a0", " ")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert re.search(r"<script(?! src=\"/inscriptions/static/)|<style", answer.text) is None
    return answer.text


async def enrolled(front: Front, **changes: Any) -> tuple[SessionState, Agent, str]:
    """A session, an agent who asked for a seat, and the path of the letter's link to withdraw."""
    session = await front.open(agent := an_agent(), **changes)
    return session, agent, await letter(front, Purpose.WITHDRAW, session, agent)


async def an_offer(
    front: Front, agent: Agent | None = None, **changes: Any
) -> tuple[SessionState, Agent, str]:
    """A session, an agent to whom its one seat is offered, and the path of the letter's link."""
    first, agent = an_agent(), agent or an_agent()
    session = await front.open(first, agent, **{"capacity": 1, "waiting_list": "offer"} | changes)
    await front.withdraw(session, first)
    return session, agent, await letter(front, Purpose.OFFER, session, agent)


async def letter(
    front: Front, purpose: Purpose, session: SessionState, agent: Agent, *, until: datetime = LATER
) -> str:
    """The path of a link in a letter about this enrolment, to the agent's address."""
    enrolment = await front.of(session, agent)
    number = [enrolment.version] if purpose is Purpose.OFFER else []
    return path(purpose, enrolment.enrolment_id, links().mark(agent.email), *number, until=until)

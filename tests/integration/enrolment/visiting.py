"""Who opens the links of letters: their paths, and what every page has."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web.links import Links, LinkSettings, Purpose
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, open_now

KEY = "a key of thirty-two characters for tests only"
LATER = datetime.now(UTC) + timedelta(days=60)


def links(key: str = KEY) -> Links:
    made = LinkSettings(link_signing_key=key).links
    assert made is not None
    return made


def path(purpose: Purpose, *subject: object, until: datetime = LATER, key: str = KEY) -> str:
    return f"{purpose.value}/{links(key).token(purpose, *map(str, subject), until=until)}"


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
    session, agent = open_now(**changes), an_agent()
    await front.publish(session)
    await front.enrol(session, agent)
    return session, agent, await letter(front, Purpose.WITHDRAW, session, agent)


async def letter(
    front: Front, purpose: Purpose, session: SessionState, agent: Agent, *, until: datetime = LATER
) -> str:
    """The path of a link in a letter about this enrolment, to the agent's address."""
    enrolment = await front.of(session, agent)
    number = [enrolment.version] if purpose is Purpose.OFFER else []
    return path(purpose, enrolment.enrolment_id, links().mark(agent.email), *number, until=until)

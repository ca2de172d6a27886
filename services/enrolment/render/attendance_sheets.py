"""The signature sheet as a tagged PDF in French, without a logo.

The template never evaluates a text as markup, so a name can have any character.
"""

import asyncio
import functools
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from services.enrolment.render import TEMPLATES, Texts
from services.enrolment.render.certificates import breakable
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.web import french, labels

_BLANK = 5


async def sheet_of(session: SessionState, agents: Sequence[Agent], now: datetime) -> bytes:
    return await asyncio.to_thread(render, session, agents, now)


def render(session: SessionState, agents: Sequence[Agent], now: datetime) -> bytes:
    from services.enrolment.render.typesetting import typeset  # noqa: PLC0415 most processes never need this library

    return typeset(_template(), "sheet", texts_of(session, agents, now), now)


def texts_of(session: SessionState, agents: Sequence[Agent], now: datetime) -> Texts:
    zone = session.timezone
    modules = [
        [breakable(module.title), french.period(module.starts_at, module.ends_at, zone)]
        for module in session.modules
    ]
    whole = ["", french.period(session.starts_at, session.ends_at, zone)]
    return {
        "title": breakable(session.title),
        "organiser": french.capitalised(labels.organiser(session.organiser)),
        "venue": breakable(session.venue) if session.venue else "",
        "modules": modules or [whole],
        "people": [
            [breakable(agent.family_name), breakable(agent.given_name), breakable(agent.employer.name)]
            for agent in agents
        ]
        + [["", "", ""]] * _BLANK,
        "printed": french.day(now.astimezone(ZoneInfo(zone))),
    }


@functools.cache
def _template() -> bytes:
    return (TEMPLATES / "emargement.typ").read_bytes()

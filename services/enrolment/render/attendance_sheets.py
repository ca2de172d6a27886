"""The signature sheet as a tagged PDF in French, without a logo.

The template never evaluates a text as markup, so a name can have any character.
"""

import functools
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.enrolment.render import TEMPLATES, Texts
from services.enrolment.render.certificates import breakable
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.references import reference_of
from shared.web import french, labels, sheet_queue

MOST_LINES = 3_000
"""Lines of one sheet: they take 250 MB."""
_BLANK = 5
_DAYS = 5
"""A longer session has no page for each day."""
_NOON, _AFTERNOON = time(12), time(14)


def fits(session: SessionState, people: int) -> bool:
    return people * len(_sittings(session)) <= MOST_LINES


async def sheet_of(session: SessionState, agents: Sequence[Agent], now: datetime) -> bytes:
    return await sheet_queue.in_thread(functools.partial(render, session, agents, now))


def render(session: SessionState, agents: Sequence[Agent], now: datetime) -> bytes:
    from services.enrolment.render.typesetting import typeset  # noqa: PLC0415 most processes never need this library

    return typeset(_template(), "sheet", texts_of(session, agents, now), now)


def texts_of(session: SessionState, agents: Sequence[Agent], now: datetime) -> Texts:
    zone = session.timezone
    return {
        "title": breakable(session.title),
        "organiser": french.capitalised(labels.organiser(session.organiser)),
        "venue": breakable(session.venue) if session.venue else "",
        "reference": reference_of(session.session_id),
        "sittings": [_sitting(*sitting, zone) for sitting in _sittings(session)],
        "people": [
            [breakable(agent.family_name), breakable(agent.given_name), breakable(agent.employer.name)]
            for agent in agents
        ]
        + [["", "", ""]] * _BLANK,
        "printed": french.day(now.astimezone(ZoneInfo(zone))),
    }


def _sittings(session: SessionState) -> list[tuple[str, datetime, datetime]]:
    """Return title, start and end of each time for which people sign: séances, else days, else the whole."""
    if session.modules:
        return [(module.title, module.starts_at, module.ends_at) for module in session.modules]
    zone = ZoneInfo(session.timezone)
    first, last = session.starts_at.astimezone(zone), session.ends_at.astimezone(zone)
    days = (last.date() - first.date()).days + 1
    if not 1 < days <= _DAYS or last.time() <= first.time():
        return [("", first, last)]
    whole = last - first - timedelta(days=days - 1)
    return [("", start := first + timedelta(days=number), start + whole) for number in range(days)]


def _sitting(title: str, starts_at: datetime, ends_at: datetime, zone: str) -> dict[str, str | list[str]]:
    start, end = starts_at.astimezone(ZoneInfo(zone)), ends_at.astimezone(ZoneInfo(zone))
    is_one_day = start.date() == end.date()
    has_both_halves = is_one_day and start.time() < _NOON and end.time() > _AFTERNOON
    return {
        "title": breakable(title),
        "when": french.period(starts_at, ends_at, zone),
        "length": french.hours(ends_at - starts_at) if is_one_day else "",
        "signed": ["Signature, matin", "Signature, après-midi"] if has_both_halves else ["Signature"],
    }


@functools.cache
def _template() -> bytes:
    return (TEMPLATES / "emargement.typ").read_bytes()

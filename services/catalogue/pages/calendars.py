from collections.abc import Callable, Sequence

from services.catalogue.rules.sessions import ListedSession
from shared.events.vocabulary import Status
from shared.web import calendars, labels
from shared.web.calendars import CalendarEvent, Details
from shared.web.rendering import Rendering

PRODUCT = "-//Parcours//Catalogue//FR"


def write(rendering: Rendering, address: str, found: Sequence[ListedSession], name: str) -> bytes:
    description = rendering.module("agenda.txt").description
    events = [_event(address, listed, description) for listed in found]
    return calendars.write(events, product=PRODUCT, method="PUBLISH", name=name, refresh="PT4H")


def _event(address: str, listed: ListedSession, description: Callable[..., str]) -> CalendarEvent:
    """Use only stored data, so that an unchanged calendar has the same bytes."""
    session, plan = listed.session, listed.session.plan
    page = f"{address}/sessions/{session.session_id}"
    details = Details(
        format=session.format,
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
        timezone=plan.timezone,
        summary=plan.title,
        location=plan.venue or labels.ONLINE,
        url=page,
        description=str(description(session, page, calendars.speaking(session.speakers))),
        category=labels.FORMATS[session.format],
        cancelled=session.status is Status.CANCELLED,
    )
    return CalendarEvent(f"{session.session_id}@parcours", session.version, listed.changed_at, details)

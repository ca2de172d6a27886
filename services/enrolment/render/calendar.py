from collections.abc import Iterator, Sequence

from services.enrolment.rules.links import AgentEnrolment
from shared.web import calendars, labels
from shared.web.calendars import CalendarEvent, Details

PRODUCT = "-//Parcours//Mes inscriptions//FR"


def calendar_of(enrolments: Sequence[AgentEnrolment]) -> bytes:
    """Equal enrolments give equal bytes.

    UID and sequence equal those in letters, so that a later letter can change or cancel an entry. Without a
    seat an entry is tentative and has no link.
    """
    events = [event for seen in enrolments for event in _events(seen)]
    return calendars.write(events, product=PRODUCT, method="PUBLISH", name="Mes formations")


def _events(seen: AgentEnrolment) -> Iterator[CalendarEvent]:
    enrolment, session = seen.enrolment, seen.session
    has_seat = enrolment.state.has_seat
    link = session.join_url if has_seat else None
    online = labels.ONLINE if session.join_url else None
    title = session.title if has_seat else f"{labels.ENROLMENT_STATES[enrolment.state]} : {session.title}"
    for module in seen.numbered_modules:
        yield CalendarEvent(
            calendars.uid(enrolment.enrolment_id, module.number),
            calendars.sequence(enrolment.version, session.version),
            seen.updated_at,
            Details(
                format=session.format,
                starts_at=module.starts_at,
                ends_at=module.ends_at,
                timezone=session.timezone,
                summary=title if module.title is None else f"{title} : {module.title}",
                location=session.venue or link or online,
                url=link,
                description=calendars.about((), session.directions),
                tentative=not has_seat,
                busy=has_seat,
            ),
        )

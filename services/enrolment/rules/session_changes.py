"""Which changes of a session those who are in it must hear of, and of what each is notified."""

from services.enrolment.rules.enrolments import Enrolment
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionChangedForAgent, SessionPart


def parts_changed(before: SessionState, after: SessionState) -> set[SessionPart]:
    """Return what of the dates, the place and the link is not as it was."""
    differ = {
        SessionPart.DATES: (before.starts_at, before.ends_at, before.modules)
        != (after.starts_at, after.ends_at, after.modules),
        SessionPart.PLACE: before.venue != after.venue,
        SessionPart.LINK: before.join_url != after.join_url,
    }
    return {part for part, is_new in differ.items() if is_new}


def change_event(
    session: SessionState, changed: set[SessionPart], enrolment: Enrolment
) -> SessionChangedForAgent:
    """Return the event that notifies of one agent. The link is for those alone who have a seat."""
    return SessionChangedForAgent(
        session_id=session.session_id,
        session_version=session.version,
        enrolment_id=enrolment.enrolment_id,
        agent=enrolment.agent,
        changed=tuple(part for part in SessionPart if part in changed),
        starts_at=session.starts_at,
        ends_at=session.ends_at,
        timezone=session.timezone,
        modules=session.modules,
        venue=session.venue,
        join_url=session.join_url if enrolment.state.has_seat else None,
    )

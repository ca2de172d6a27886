"""A session as the pages behind a link show it."""

from datetime import datetime

from shared.events.catalogue import SessionState
from shared.events.vocabulary import Format
from shared.web import french, labels


def shown(session: SessionState) -> dict[str, str]:
    """A session as its page shows it. Never the address to join, which is for those who have a seat."""
    return {
        "title": session.title,
        "when": french.capitalised(french.period(session.starts_at, session.ends_at, session.timezone)),
        "where": session.venue or _where(session),
        "organiser": french.capitalised(labels.organiser(session.organiser)),
    }


def _where(session: SessionState) -> str:
    online = session.join_url is not None or session.format in (Format.MOOC, Format.WEBINAR)
    return "En ligne" if online else "Le lieu vous sera communiqué"


def moment(instant: datetime, session: SessionState) -> str:
    """A moment in the zone of the session."""
    return french.moment(instant, session.timezone)

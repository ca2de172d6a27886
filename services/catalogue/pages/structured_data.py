"""Offers and sessions for search engines, in the vocabulary of schema.org (JSON-LD)."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from services.catalogue.pages.site import Site
from services.catalogue.rules.availability import Access, availability
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession, ShownSession
from shared.events.vocabulary import Status
from shared.web import french, labels

_CONTEXT = {"@context": "https://schema.org"}
_CNFPT = {
    "@type": "GovernmentOrganization",
    "name": "Centre national de la fonction publique territoriale",
    "alternateName": "CNFPT",
    "url": "https://www.cnfpt.fr",
}


def event(site: Site, listed: ListedSession, offer: Offer, now: datetime) -> Markup:
    """The offer does not say that the session is free of charge, so the event does not either."""
    session, plan = listed.session, listed.session.plan
    known = availability(session, listed.occupancy, now)
    data = _instance(site, session) | {
        "@type": "EducationEvent",
        "description": listed.session.presentation.summary or offer.summary,
        "organizer": _CNFPT | {"department": {"@type": "Organization", "name": _organiser(session)}},
    }
    if plan.capacity is not None:
        data["maximumAttendeeCapacity"] = plan.capacity
    if known.access is Access.SEATS:
        data["remainingAttendeeCapacity"] = known.seats
    return _script(data)


def course(site: Site, offer: Offer, sessions: Sequence[ListedSession]) -> Markup:
    data: dict[str, Any] = {
        "@type": "Course",
        "name": offer.title,
        "description": offer.summary,
        "url": f"{site.address}/offres/{offer.offer_id}",
        "inLanguage": "fr",
        "provider": _CNFPT,
    }
    if sessions:
        data["hasCourseInstance"] = [_course_instance(site, listed.session) for listed in sessions]
    return _script(data)


def _course_instance(site: Site, session: ShownSession) -> dict[str, Any]:
    mode = "online" if session.plan.venue is None else "onsite"
    return _instance(site, session) | {"@type": "CourseInstance", "courseMode": mode}


def _instance(site: Site, session: ShownSession) -> dict[str, Any]:
    plan, address = session.plan, f"{site.address}/sessions/{session.session_id}"
    zone = ZoneInfo(plan.timezone)
    online = plan.venue is None
    location = (
        {"@type": "VirtualLocation", "url": address}
        if online
        # People write the venue in one line, with the town, so name and address are equal.
        else {"@type": "Place", "name": plan.venue, "address": plan.venue}
    )
    cancelled = session.status is Status.CANCELLED
    return {
        "name": plan.title,
        "url": address,
        "startDate": plan.starts_at.astimezone(zone).isoformat(),
        "endDate": plan.ends_at.astimezone(zone).isoformat(),
        "eventStatus": f"https://schema.org/Event{'Cancelled' if cancelled else 'Scheduled'}",
        "eventAttendanceMode": f"https://schema.org/{'Online' if online else 'Offline'}EventAttendanceMode",
        "location": location,
        "inLanguage": "fr",
    }


def _organiser(session: ShownSession) -> str:
    return french.capitalised(labels.organiser(session.organiser))


def _script(data: dict[str, Any]) -> Markup:
    """A script element would end at the first ``</`` in the JSON."""
    text = json.dumps(_CONTEXT | data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 the text has no HTML any more

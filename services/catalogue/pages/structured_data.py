"""Offers and sessions for search engines, in the vocabulary of schema.org (JSON-LD)."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from services.catalogue.pages.described import DescribedSession, described
from services.catalogue.pages.site import Site
from services.catalogue.rules.availability import Access, availability
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.sessions import ListedSession
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
    session, plan = described(site.address, listed.session, offer), listed.session.plan
    known = availability(listed.session, listed.occupancy, now)
    data = _instance(session) | {
        "@type": "EducationEvent",
        "description": session.description,
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
        data["hasCourseInstance"] = [
            _course_instance(described(site.address, listed.session, offer)) for listed in sessions
        ]
    return _script(data)


def _course_instance(session: DescribedSession) -> dict[str, Any]:
    mode = "online" if session.place is None else "onsite"
    return _instance(session) | {"@type": "CourseInstance", "courseMode": mode}


def _instance(session: DescribedSession) -> dict[str, Any]:
    online = session.place is None
    return {
        "name": session.title,
        "url": session.address,
        "startDate": session.starts_at.isoformat(),
        "endDate": session.ends_at.isoformat(),
        "eventStatus": f"https://schema.org/Event{'Cancelled' if session.cancelled else 'Scheduled'}",
        "eventAttendanceMode": f"https://schema.org/{'Online' if online else 'Offline'}EventAttendanceMode",
        "location": _location(session),
        "inLanguage": "fr",
    }


def _location(session: DescribedSession) -> dict[str, Any]:
    place = session.place
    if place is None:
        return {"@type": "VirtualLocation", "url": session.address}
    if place.postal_code is None:
        return {"@type": "Place", "name": place.venue, "address": place.venue}
    address = {
        "@type": "PostalAddress",
        "streetAddress": place.street,
        "postalCode": place.postal_code,
        "addressLocality": place.commune,
        "addressCountry": "FR",
    }
    return {"@type": "Place", "name": place.venue, "address": address}


def _organiser(session: DescribedSession) -> str:
    return french.capitalised(labels.organiser(session.organiser))


def _script(data: dict[str, Any]) -> Markup:
    """A script element would end at the first ``</`` in the JSON."""
    text = json.dumps(_CONTEXT | data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 the text has no HTML any more

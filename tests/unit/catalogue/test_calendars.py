"""A session as an entry of the calendars that anyone may subscribe to."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from icalendar import Calendar

from services.catalogue.pages import calendars
from services.catalogue.pages.site import TEMPLATES
from services.catalogue.rules.sessions import ListedSession, Presentation, Session
from shared.events.vocabulary import Status
from shared.web.rendering import Rendering
from tests.unit.catalogue.builders import a_published_session

RENDERING = Rendering(TEMPLATES)
CHANGED = datetime(2025, 3, 2, 10, 0, 1, tzinfo=UTC)


def written(session: Session) -> bytes:
    listed = ListedSession(replace(session, presentation=Presentation(summary="L’IA & l’élu")), None, CHANGED)
    return calendars.write(RENDERING, "https://parcours.example.org", [listed], "Parcours")


def test_the_same_session_is_the_same_bytes_and_another_version_is_not() -> None:
    session = a_published_session()
    assert written(session) == written(session)
    cancelled = replace(session, status=Status.CANCELLED, version=9)
    entry: Any
    (entry,) = Calendar.from_ical(written(cancelled)).walk("VEVENT")
    assert (str(entry["status"]), entry["sequence"]) == ("CANCELLED", 9)
    assert entry["dtstamp"].dt == entry["last-modified"].dt == CHANGED
    summary, organiser, until, page = str(entry["description"]).split("\n")
    assert summary == "L’IA & l’élu"
    assert organiser.startswith("Organisation\u00a0: la délégation ")
    assert until.startswith("Inscription jusqu’au ")
    assert page.startswith("https://parcours.example.org/sessions/")

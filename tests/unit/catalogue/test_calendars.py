"""A session as an entry of calendars, the date of the pages, and where their button leads."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar

from services.catalogue.pages import calendars
from services.catalogue.pages.site import BUILT, SOURCES, TEMPLATES, Site
from services.catalogue.rules.sessions import ListedSession, Presentation, Session
from shared.auth import Tokens
from shared.database import Database
from shared.events.vocabulary import Status
from shared.web import labels
from shared.web.rendering import Rendering
from tests.support.guards import a_guard
from tests.unit.catalogue.builders import a_draft, a_published_session

RENDERING = Rendering(TEMPLATES)
CHANGED = datetime(2025, 3, 2, 10, 0, 1, tzinfo=UTC)


def written(session: Session) -> bytes:
    listed = ListedSession(replace(session, presentation=Presentation(summary="L’IA & l’élu")), None, CHANGED)
    return calendars.write(RENDERING, "https://parcours.example.org", [listed], "Parcours")


def test_the_same_session_is_the_same_bytes_and_another_version_is_not() -> None:
    session = a_published_session()
    assert written(session) == written(session)
    entry: Any
    (entry,) = Calendar.from_ical(written(replace(session, status=Status.CANCELLED, version=9))).walk(
        "VEVENT"
    )
    assert (str(entry["status"]), entry["sequence"]) == ("CANCELLED", 9)
    assert entry["dtstamp"].dt == entry["last-modified"].dt == CHANGED
    summary, *_, page = str(entry["description"]).split("\n")
    assert (summary, page) == ("L’IA & l’élu", f"https://parcours.example.org/sessions/{session.session_id}")


def test_a_page_is_as_new_as_its_template_its_labels_and_its_style_sheet() -> None:
    shared = Path(labels.__file__).parent
    for path in (TEMPLATES / "session.html", shared / "labels.py", shared / "static" / "parcours.css"):
        assert path in SOURCES
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC) <= BUILT


@pytest.mark.parametrize("placeholder", ["{session_id}", "%7Bsession_id%7D"])
def test_the_address_of_the_portal_may_have_its_braces_as_a_url_has_them(placeholder: str) -> None:
    portal = f"https://portail.example/sessions/{placeholder}"
    database = Database("postgresql://nobody@nowhere.example/none", application_name="test")
    site = Site(database=database, tokens=Tokens(), guard=a_guard(), address="", portal=portal)
    session = a_draft()
    assert site.portal_home == "https://portail.example/"
    assert site.enrol_at(session) == f"https://portail.example/sessions/{session.session_id}"

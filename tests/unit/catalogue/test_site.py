"""What dates the pages, and where their button leads."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.catalogue.pages.site import BUILT, SOURCES, TEMPLATES, Site
from shared.auth import Tokens
from shared.database import Database
from shared.web import labels
from tests.support.guards import a_guard
from tests.unit.catalogue.builders import a_draft


def test_a_page_is_as_new_as_its_template_its_labels_and_its_style_sheet() -> None:
    shared = Path(labels.__file__).parent
    for path in (TEMPLATES / "session.html", shared / "labels.py", shared / "static" / "parcours.css"):
        assert path in SOURCES
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC) <= BUILT


@pytest.mark.parametrize("placeholder", ["{session_id}", "%7Bsession_id%7D"])
def test_the_address_of_the_portal_may_have_its_braces_as_a_url_has_them(placeholder: str) -> None:
    site = Site(
        database=Database("postgresql://nobody@nowhere.example/none", application_name="test"),
        tokens=Tokens(),
        guard=a_guard(),
        address="",
        portal=f"https://portail.example/sessions/{placeholder}",
    )
    session = a_draft()
    assert site.portal_home == "https://portail.example/"
    assert site.enrol_at(session) == f"https://portail.example/sessions/{session.session_id}"

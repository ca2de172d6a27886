"""What dates the pages."""

from datetime import UTC, datetime
from pathlib import Path

from services.catalogue.pages.site import BUILT, SOURCES, TEMPLATES
from shared.web import labels


def test_a_page_is_as_new_as_its_template_its_labels_and_its_style_sheet() -> None:
    shared = Path(labels.__file__).parent
    for path in (TEMPLATES / "session.html", shared / "labels.py", shared / "style.css"):
        assert path in SOURCES
        assert datetime.fromtimestamp(path.stat().st_mtime, UTC) <= BUILT

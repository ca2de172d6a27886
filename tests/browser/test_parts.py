"""Every part that pages are made of, on one page: nothing for axe to report, nothing wider than a phone."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from shared.web.rendering import Rendering
from tests.browser.conftest import Show, new_tab, violations

pytestmark = pytest.mark.browser

SPECIMEN = Path(__file__).parent / "specimen"


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_axe_finds_nothing_in_any_part(
    chromium: Browser, show: Show, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = Rendering(SPECIMEN).text("specimen.html")
    with new_tab(chromium, color_scheme=scheme, viewport={"width": width, "height": 900}) as tab:
        show(tab, page)
        assert violations(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_rows_are_found_whatever_their_accents(chromium: Browser, show: Show) -> None:
    with new_tab(chromium) as tab:
        show(tab, Rendering(SPECIMEN).text("specimen.html"))
        row = tab.get_by_role("row", name="Zoé Durand")
        field = tab.get_by_label("Chercher dans la liste")
        field.fill("DURAND zoe")
        expect(row).to_be_visible()
        field.fill("dupont")
        expect(row).to_be_hidden()

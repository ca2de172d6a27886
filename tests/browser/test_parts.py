"""Every part that pages are made of, on one page: nothing for axe to report, nothing wider than a phone."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from shared.web.rendering import Rendering
from tests.browser.conftest import Show, new_tab, violations

pytestmark = pytest.mark.browser

SPECIMEN = Path(__file__).parent / "specimen"


@pytest.mark.parametrize(
    ("width", "scheme", "contrast"),
    [(320, "light", "no-preference"), (1280, "dark", "no-preference"), (1280, "dark", "more")],
)
def test_axe_finds_nothing_in_any_part(
    chromium: Browser,
    show: Show,
    width: int,
    scheme: Literal["light", "dark"],
    contrast: Literal["no-preference", "more"],
) -> None:
    viewport = {"width": width, "height": 900}
    with new_tab(chromium, color_scheme=scheme, contrast=contrast, viewport=viewport) as tab:
        show(tab, Rendering(SPECIMEN).text("specimen.html"))
        assert violations(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width

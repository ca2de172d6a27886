"""`make pictures`: the pictures of README.md, from the services and the example portal as tests fill them.

No test: pytest brings the services. Dates are those of the day on which it runs.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ServedCatalogue, ServedEnrolment, ServedPortal, new_tab
from tests.browser.test_manage_enrolments import log_in
from tests.letters.samples import samples
from tests.letters.showing import show
from tests.pages.served_enrolment import TOKEN
from tests.pages.states_enrolment import MANAGE

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST = 80_000
"""Bytes of a picture."""
AS_WEBP = """async (png) => {
  const image = await createImageBitmap(await (await fetch(png)).blob());
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL('image/webp', 0.7);
}"""


@contextmanager
def screen(chromium: Browser, url: str) -> Iterator[Page]:
    """A tab of one size for all pictures, in which nothing moves."""
    viewport = {"width": 1200, "height": 900}
    with new_tab(chromium, base_url=url, viewport=viewport, reduced_motion="reduce") as page:
        yield page


def keep(page: Page, name: str) -> None:
    """Write what is seen as docs/pictures/<name>.webp."""
    page.evaluate("document.fonts.ready")
    png = base64.b64encode(page.screenshot()).decode()
    page.goto("about:blank")
    found = page.evaluate(AS_WEBP, f"data:image/png;base64,{png}")
    content = base64.b64decode(found.partition(",")[2])
    assert len(content) < LARGEST, (name, len(content))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.webp").write_bytes(content)


@pytest.mark.browser
def test_pictures(
    chromium: Browser,
    served: ServedCatalogue,
    served_enrolment: ServedEnrolment,
    served_portal: ServedPortal,
) -> None:
    """Write all four."""
    with screen(chromium, served.url) as page:
        page.goto("/sessions")
        keep(page, "sessions")
    with screen(chromium, served_enrolment.url) as page:
        log_in(page, TOKEN)
        page.goto(f"{MANAGE}/sessions/{served_enrolment.known.sessions['full']}")
        keep(page, "organiser")
    with screen(chromium, served_portal.url) as page:
        page.goto("/")
        page.locator("li", has_text="D" * 80).evaluate("row => row.remove()")  # as long as tests want it
        keep(page, "portal")
    [letter, *_] = [sample for sample in samples() if sample.template == "enrolment-confirmed"]
    with screen(chromium, served.url) as page:
        page.set_content(show(letter).page)
        keep(page, "letter")

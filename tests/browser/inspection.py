"""What every page has to hold, in whatever state, looked at in one go; docs/accessibility.md says why."""

from typing import Any

from playwright.sync_api import Page

from tests.browser.conftest import OF_COLOURS, WITHOUT_CONTRAST, violations

LOOKS = ("room", "level", "columns", "air")
"""What is asked of how it is laid out."""


def faults(page: Page, within: str = "html", **options: Any) -> list[str]:
    """Say what is wrong with the page on a phone by day. Leaves it as it was, but for the focus.

    The rest is for ``violations``.
    """
    page.wait_for_load_state("load")
    found = _ask(page, "markup", *LOOKS) + violations(page, within, **options)
    page.keyboard.press("Tab")
    return found + _ask(page, "focus")


def faults_of_main(page: Page) -> list[str]:
    """As `faults`, but axe-core reads `main` alone and no contrast. Typical pages show it both."""
    return faults(page, "main", rules=WITHOUT_CONTRAST)


def faults_in_every_width(page: Page) -> list[str]:
    """Say what is wrong on a phone, a tablet and a desk, by day and by night, and with large text."""
    found, before = faults(page), page.viewport_size
    found += _at(page, 360, "larger")
    found += _at(page, 320, "room", "spread")  # a window of 1280 at 400 %
    found += _at(page, 768, *LOOKS) + _at(page, 1440, *LOOKS)
    found += _at(page, 1280, "room", "enlarged")
    page.emulate_media(color_scheme="dark")
    found += [f"1280 px, dark: {fault}" for fault in violations(page, runOnly=OF_COLOURS)]
    page.emulate_media(color_scheme="light", forced_colors="active", reduced_motion="reduce")
    found += _ask(page, "edges", "motion")
    page.emulate_media(color_scheme="light", forced_colors="none", reduced_motion="no-preference")
    if before:
        page.set_viewport_size(before)
    return found


def _at(page: Page, width: int, *questions: str) -> list[str]:
    page.set_viewport_size({"width": width, "height": 800})
    return [f"{width} px: {fault}" for fault in _ask(page, *questions)]


def _ask(page: Page, *questions: str) -> list[str]:
    """What these functions of inspection.js say, one after the other."""
    found: list[str] = page.evaluate(
        """async (names) => {
          await new Promise(requestAnimationFrame);  // by then autofocus has had its effect
          return names.flatMap((name) => inspection[name]());
        }""",
        questions,
    )
    return found

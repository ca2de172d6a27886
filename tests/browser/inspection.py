"""What every page has to hold, in whatever state, looked at in one go; docs/accessibility.md says why."""

from playwright.sync_api import Page

from tests.browser.conftest import violations

WIDTHS = 320, 360, 768, 1280, 1440
"""In CSS pixels: 320 is a window of 1280 at 400 %."""


def faults(page: Page) -> list[str]:
    """Say what is wrong with the page as it stands. Leaves it as it was, but for the focus."""
    found = violations(page) + _ask(page, "markup()")
    before = page.viewport_size
    for width in WIDTHS:
        found += _at(page, width, "room()")
    found += _at(page, 320, "spread(true), inspection.room()", "spread out, ")
    found += _at(page, 1280, "spread(false), inspection.enlarge(true), inspection.room()", "text of 200 %, ")
    _ask(page, "enlarge(false), []")
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {fault}" for fault in violations(page, only="color-contrast")]
    page.emulate_media(color_scheme="light", forced_colors="active", reduced_motion="reduce")
    found += _ask(page, "edges()") + _ask(page, "motion()")
    page.emulate_media(color_scheme="light", forced_colors="none", reduced_motion="no-preference")
    page.keyboard.press("Tab")
    found += _ask(page, "focus()")
    if before:
        page.set_viewport_size(before)
    return found


def _at(page: Page, width: int, question: str, how: str = "") -> list[str]:
    page.set_viewport_size({"width": width, "height": 800})
    return [f"{how}{width} px: {fault}" for fault in _ask(page, question)]


def _ask(page: Page, question: str) -> list[str]:
    found: list[str] = page.evaluate(f"(inspection.{question})")
    return found

"""Letters as a phone shows them: nothing to push aside, and nothing for axe to report."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from services.notifier.letters import KINDS, Tone
from shared.web import tokens
from tests.browser.conftest import new_tab, violations
from tests.letters.samples import samples
from tests.letters.showing import show

pytestmark = pytest.mark.browser

NARROW = 360
SAMPLES = samples()


@pytest.fixture(scope="module")
def tab(chromium: Browser) -> Iterator[Page]:
    """One for all letters: they have no script, and leave nothing behind."""
    with new_tab(chromium, viewport={"width": NARROW, "height": 740}) as page:
        yield page


@pytest.fixture(scope="module")
def dark(chromium: Browser) -> Iterator[Page]:
    """The same for letters read by night."""
    with new_tab(chromium, viewport={"width": NARROW, "height": 740}, color_scheme="dark") as page:
        yield page


def test_every_letter_fits_a_narrow_screen(tab: Page) -> None:
    wide = []
    for sample in SAMPLES:
        tab.set_content(show(sample).page)
        if tab.evaluate("document.documentElement.scrollWidth") > NARROW:
            wide.append(sample.name)
    assert wide == []


def test_axe_finds_nothing_in_a_letter_of_each_kind(tab: Page) -> None:
    found = []
    for sample in {sample.template: sample for sample in SAMPLES}.values():
        tab.set_content(show(sample).page)
        found += [f"{sample.name}: {fault}" for fault in violations(tab)]
    assert found == []


BY_TONE = {KINDS[sample.template].tone: sample for sample in SAMPLES}


@pytest.mark.parametrize("tone", Tone)
def test_a_letter_of_each_tone_can_be_read_on_a_dark_screen(dark: Page, tone: Tone) -> None:
    dark.set_content(show(BY_TONE[tone]).page)
    assert violations(dark) == []
    red, green, blue = bytes.fromhex(tokens.DARK["raised"][1:])
    ground = dark.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert ground == f"rgb({red}, {green}, {blue})"


def test_a_letter_has_one_button_and_none_only_for_who_has_no_enrolments() -> None:
    for sample in SAMPLES:
        page = show(sample).page
        expected = {1} if "/mes-inscriptions/" in page else {0, 1}
        assert page.count('class="button"') in expected, sample.name


def test_a_fault_in_a_letter_would_be_found(tab: Page) -> None:
    page = show(SAMPLES[0]).page.replace("<h2>", "<h4>").replace("</h2>", "</h4>")
    tab.set_content(page.replace("<p>", f"<p>{'W' * 60}", 1))
    assert tab.evaluate("document.documentElement.scrollWidth") > NARROW
    assert any(fault.startswith("heading-order: ") for fault in violations(tab))

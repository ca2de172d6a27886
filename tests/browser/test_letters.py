"""Letters as a phone shows them: nothing to push aside, and nothing for axe to report."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from services.notifier.letters import KINDS, Tone
from shared.web import tokens
from tests.browser.conftest import OF_COLOURS, WITHOUT_CONTRAST, new_tab, violations
from tests.letters.samples import samples
from tests.letters.showing import show

pytestmark = pytest.mark.browser

NARROW = 360
SAMPLES = samples()
BY_TONE = {KINDS[sample.template].tone: sample.name for sample in SAMPLES}
Letters = dict[str, str]


@pytest.fixture(scope="module")
def letters() -> Letters:
    """The HTML of every sample, by its name."""
    return {sample.name: show(sample).page for sample in SAMPLES}


@pytest.fixture(scope="module")
def tab(chromium: Browser) -> Iterator[Page]:
    """One for all letters: they have no script, and leave nothing behind."""
    with new_tab(chromium, viewport={"width": NARROW, "height": 740}) as page:
        yield page


def is_wide(tab: Page) -> bool:
    return bool(tab.evaluate("document.documentElement.scrollWidth") > NARROW)


def test_nothing_is_wrong_with_any_letter_on_a_narrow_screen(tab: Page, letters: Letters) -> None:
    wide, found = [], []
    first_of_kind = {sample.template: sample.name for sample in reversed(SAMPLES)}.values()
    for name, page in letters.items():
        tab.set_content(page)
        wide += [name] if is_wide(tab) else []
        faults = violations(tab, rules=WITHOUT_CONTRAST) if name in first_of_kind else []
        found += [f"{name}: {fault}" for fault in faults]
    assert (wide, found) == ([], [])


@pytest.mark.parametrize("tone", Tone)
def test_a_letter_of_each_tone_can_be_read_by_day_and_on_a_dark_screen(
    tab: Page, letters: Letters, tone: Tone
) -> None:
    tab.set_content(letters[BY_TONE[tone]])
    tab.emulate_media(color_scheme="light")
    assert violations(tab, runOnly=OF_COLOURS) == []
    tab.emulate_media(color_scheme="dark")
    assert violations(tab, runOnly=OF_COLOURS) == []
    red, green, blue = bytes.fromhex(tokens.DARK["raised"][1:])
    ground = tab.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert ground == f"rgb({red}, {green}, {blue})"


def test_a_letter_has_one_button_and_none_only_for_who_has_no_enrolments(letters: Letters) -> None:
    for name, page in letters.items():
        expected = {1} if "/mes-inscriptions/" in page else {0, 1}
        assert page.count('class="button"') in expected, name


def test_a_fault_in_a_letter_would_be_found(tab: Page, letters: Letters) -> None:
    page = next(iter(letters.values())).replace("<h2>", "<h4>").replace("</h2>", "</h4>")
    tab.set_content(page.replace("<p>", f"<p>{'W' * 60}", 1))
    assert is_wide(tab)
    assert any(fault.startswith("heading-order: ") for fault in violations(tab))

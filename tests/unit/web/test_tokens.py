"""The colours can be read, in light, in dark and on paper; the style sheet names no other."""

import re

import pytest

from shared.web import assets, tokens
from shared.web.tokens import DARK, LIGHT, PRINT, Theme
from tests.support.colours import EDGES, TEXTS, contrast

THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}
themes = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#123456", "#123456") == 1


@themes
def test_each_text_has_a_contrast_of_4_5_on_each_of_its_grounds(theme: Theme) -> None:
    faint = {pair: contrast(theme[pair[0]], theme[pair[1]]) for pair in TEXTS}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}


@themes
def test_edges_of_fields_and_the_focus_have_a_contrast_of_3(theme: Theme) -> None:
    faint = {pair: contrast(theme[pair[0]], theme[pair[1]]) for pair in EDGES}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 3} == {}


def test_every_theme_has_every_colour() -> None:
    assert LIGHT.keys() == DARK.keys() == PRINT.keys()


def test_the_style_sheet_takes_its_colours_from_the_tokens_and_uses_each() -> None:
    rules = (assets.FOLDER / assets.STYLE_SHEET).read_text()
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", rules) == []
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", rules))
    own = set(re.findall(r"--([a-z0-9-]+):", rules))
    assert used <= LIGHT.keys() | own
    assert LIGHT.keys() <= used, "a colour that nothing has"
    sheet = assets.ASSETS[assets.STYLE_SHEET].content.decode()
    assert sheet.startswith(tokens.style_sheet() + "@font-face")

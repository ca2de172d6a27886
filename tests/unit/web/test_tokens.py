"""The colours can be read, in light, in dark and on paper; the style sheet names no other."""

import re

import pytest

from shared.web import assets, tokens
from shared.web.tokens import DARK, LIGHT, PRINT, Theme
from tests.support.colours import EDGES, TEXTS, contrast

THEMES = {"light": LIGHT, "dark": DARK, "print": PRINT}
themes = pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)


@themes
def test_texts_have_a_contrast_of_4_5_and_edges_of_3(theme: Theme) -> None:
    faint = [
        pair
        for pairs, least in ((TEXTS, 4.5), (EDGES, 3))
        for pair in pairs
        if contrast(theme[pair[0]], theme[pair[1]]) < least
    ]
    assert faint == []


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

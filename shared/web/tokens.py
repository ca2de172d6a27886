"""The colours of every page and letter, in light and in dark, and the style sheet's variables made of them.

A colour is named for what it does. A test measures the contrast of each pair that is used together.
"""

from collections.abc import Mapping

Theme = Mapping[str, str]

LIGHT: Theme = {
    "paper": "#f5f7f9",
    "raised": "#ffffff",
    "sunk": "#e8eef2",
    "ink": "#15212c",
    "quiet": "#485766",
    "line": "#d3dce3",
    "edge": "#73828f",
    "accent": "#0b5a7a",
    "accent-strong": "#08445d",
    "on-accent": "#ffffff",
    "accent-tint": "#e0eff6",
    "deep": "#0a3549",
    "on-deep": "#ffffff",
    "deep-quiet": "#c5dde9",
    "open": "#12603a",
    "open-tint": "#e0f3e8",
    "few": "#7a4a00",
    "few-tint": "#fcefd3",
    "wait": "#583793",
    "wait-tint": "#eee7fa",
    "closed": "#a3161f",
    "closed-tint": "#fce7e7",
    "mooc": "#234fa3",
    "mooc-tint": "#e4ecfb",
    "webinar": "#8c2a6c",
    "webinar-tint": "#fae5f1",
    "local-event": "#0a6558",
    "local-event-tint": "#dcf2ed",
    "bespoke": "#874410",
    "bespoke-tint": "#faebdc",
    "inet": "#474690",
    "inet-tint": "#e8e8f8",
    "resource": "#3d5063",
    "resource-tint": "#e5ebf0",
}
DARK: Theme = {
    "paper": "#11171d",
    "raised": "#19212a",
    "sunk": "#232d37",
    "ink": "#e9eef2",
    "quiet": "#b0bdc8",
    "line": "#33404c",
    "edge": "#8593a0",
    "accent": "#7cc6e6",
    "accent-strong": "#a6daf0",
    "on-accent": "#0b1a22",
    "accent-tint": "#16364a",
    "deep": "#0b2836",
    "on-deep": "#f1f8fb",
    "deep-quiet": "#b7d5e2",
    "open": "#8bd6a8",
    "open-tint": "#16372a",
    "few": "#f2c26b",
    "few-tint": "#3b2d10",
    "wait": "#c9b4f4",
    "wait-tint": "#2e2547",
    "closed": "#ff9f9a",
    "closed-tint": "#461d20",
    "mooc": "#a3c0ff",
    "mooc-tint": "#1c2c4d",
    "webinar": "#f0a9d6",
    "webinar-tint": "#411f38",
    "local-event": "#80d8c8",
    "local-event-tint": "#12352f",
    "bespoke": "#f0bb8c",
    "bespoke-tint": "#3e2919",
    "inet": "#c0bff6",
    "inet-tint": "#2a2a4c",
    "resource": "#bac6d0",
    "resource-tint": "#29333d",
}
PRINT: Theme = {
    **LIGHT,
    "paper": "#ffffff",
    "sunk": "#ffffff",
    "ink": "#000000",
    "quiet": "#333333",
    "line": "#999999",
    "deep": "#ffffff",
    "on-deep": "#000000",
    "deep-quiet": "#333333",
}
"""On paper: nothing but lines and letters, whatever the screen had."""

TONES = ("open", "few", "wait", "closed")
"""How something stands: it goes on, hurry, wait, it is over or wrong. Each has an icon and a sentence too."""
FORMATS = ("mooc", "webinar", "local-event", "bespoke", "inet", "resource")
"""What sort of training it is: the colour of an icon and of an edge, never of a state."""
TEXTS = (
    *((text, ground) for text in ("ink", "quiet", "accent") for ground in ("paper", "raised", "sunk")),
    *((text, ground) for text in TONES for ground in (f"{text}-tint", "paper", "raised", "sunk")),
    *((text, ground) for text in FORMATS for ground in (f"{text}-tint", "paper", "raised")),
    *(("ink", f"{tone}-tint") for tone in TONES),
    ("accent", "accent-tint"),
    ("ink", "accent-tint"),
    ("accent-strong", "raised"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-deep", "deep"),
    ("deep-quiet", "deep"),
)
"""Each text with each of its grounds: 4.5:1 at least (WCAG 1.4.3)."""
EDGES = tuple((edge, ground) for edge in ("edge", "accent") for ground in ("paper", "raised", "sunk"))
"""The edges of fields and what shows the focus: 3:1 at least (WCAG 1.4.11)."""


def style_sheet() -> str:
    """The variables of each theme, as the beginning of the style sheet."""
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{_variables(PRINT)}}}}}\n"
    )


def _variables(theme: Theme) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in theme.items())


def contrast(first: str, second: str) -> float:
    """The ratio of two colours as ``#rrggbb``, from 1 to 21 (WCAG 2.1, "contrast ratio")."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

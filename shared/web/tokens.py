"""The colours of pages and letters, by use, for light and dark themes.

A test measures the contrast of each pair that is used together.
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
"""On paper only lines and text are printed."""


def style_sheet() -> str:
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{_variables(PRINT)}}}}}\n"
    )


def _variables(theme: Theme) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in theme.items())

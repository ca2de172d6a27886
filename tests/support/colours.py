"""Which colours stand on which, and how well they can be told apart: what the tokens are held to."""

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

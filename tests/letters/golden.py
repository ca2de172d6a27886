"""The golden file of a letter: all that its reader sees; of the HTML the words and links, not the style."""

from pathlib import Path

from tests.letters.showing import Shown
from tests.unit.notifier.reading import LetterPage

GOLDEN = Path(__file__).parent / "golden"


def golden(letter: Shown) -> str:
    parts = [
        f"Subject: {letter.subject}",
        letter.text,
        "HTML:",
        LetterPage(letter.page).read,
        *letter.calendars,
    ]
    return "\n".join(parts)

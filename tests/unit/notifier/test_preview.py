"""Golden tests: every letter reads as it was last looked at.

After a change that is meant: ``python -m tests.unit.notifier.test_preview``, and read the difference.
"""

import sys
from pathlib import Path

import icalendar
import pytest

from services.notifier.letters import LetterType
from services.notifier.render import preview
from services.notifier.render.preview import Sample, show
from tests.unit.notifier.reading import LetterPage

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = preview.samples()


def golden(sample: Sample) -> str:
    """All that the reader sees; of the HTML part the words and links, not the style."""
    letter = show(sample)
    parts = [f"Subject: {letter.subject}", letter.text, "HTML:", LetterPage(letter.page).read]
    parts.extend(letter.calendars)
    return "\n".join(parts)


def test_every_letter_has_a_sample() -> None:
    assert {sample.template for sample in SAMPLES} == set(LetterType)
    assert len({sample.name for sample in SAMPLES}) == len(SAMPLES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_reads_as_it_was_last_looked_at(sample: Sample) -> None:
    kept = (GOLDEN / f"{sample.name}.txt").read_text()
    assert golden(sample) == kept, "if this is meant: python -m tests.unit.notifier.test_preview"


def test_no_letter_is_kept_that_is_no_more() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {sample.name for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_shows_no_word_of_the_code(sample: Sample) -> None:
    letter = show(sample)
    for content in (letter.text, letter.page):
        assert not [word for word in ("None", "{{", "{%", "undefined", "·e") if word in content]
    assert "\n\n\n" not in letter.text
    assert max(len(line) for line in letter.text.splitlines() if "https://" not in line) < 700


def test_the_preview_is_a_page_and_the_files_it_names(tmp_path: Path) -> None:
    assert preview.write(tmp_path) == len(SAMPLES)
    page = (tmp_path / "index.html").read_text()
    for sample in SAMPLES:
        assert f'href="{sample.name}.html"' in page
        assert (tmp_path / f"{sample.name}.eml").exists()
    calendars = list(tmp_path.glob("*.ics"))
    assert len(calendars) > 8
    for calendar in calendars:
        assert icalendar.Calendar.from_ical(calendar.read_bytes()).walk("VEVENT")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for sample in SAMPLES:
        (GOLDEN / f"{sample.name}.txt").write_text(golden(sample))
    sys.stdout.write(f"{len(SAMPLES)} letters written to {GOLDEN}: read the difference\n")

"""Every letter reads as its golden file. After a change that is meant: ``python -m tests.letters``."""

import pytest

from services.notifier.letters import LetterType
from tests.letters.golden import GOLDEN, golden
from tests.letters.samples import Sample, samples
from tests.letters.showing import show

SAMPLES = samples()


def test_every_letter_has_a_sample_and_every_sample_a_golden_file() -> None:
    assert {sample.template for sample in SAMPLES} == set(LetterType)
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(sample.name for sample in SAMPLES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_reads_as_its_golden_file_and_shows_no_word_of_the_code(sample: Sample) -> None:
    letter = show(sample)
    assert golden(letter) == (GOLDEN / f"{sample.name}.txt").read_text(), (
        "if this is meant: python -m tests.letters"
    )
    for content in (letter.text, letter.page):
        assert not [word for word in ("None", "{{", "{%", "undefined", "·e") if word in content]
    assert "\n\n\n" not in letter.text
    assert max(len(line) for line in letter.text.splitlines() if "https://" not in line) < 700

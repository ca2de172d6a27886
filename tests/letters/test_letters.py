"""Every letter reads as its golden file. After a change that is meant: ``python -m tests.letters``."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from services.notifier.letters import LetterType
from tests.letters.golden import GOLDEN, golden
from tests.letters.samples import Sample, samples
from tests.letters.showing import letter_of, renderer_of, show

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


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_is_the_same_after_one_to_another_reader(sample: Sample) -> None:
    mail, context = letter_of(sample)
    other = replace(
        mail,
        mail_id=UUID(int=1),
        enrolment_id=mail.enrolment_id and UUID(int=2),
        address="ann.other@ville.example",
        given_name="Ann",
        family_name="<b>Other",
        called_for_at=mail.called_for_at - timedelta(minutes=1),
    )
    renderer = renderer_of(sample)
    first = renderer.render(other, context).content
    assert renderer.render(mail, context) == renderer_of(sample).render(mail, context)
    assert renderer.render(other, context).content == first

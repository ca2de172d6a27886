"""Every letter reads as its golden file. After a change that is meant: ``python -m tests.letters``."""

import re
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


ENDS = (
    LetterType.REFUSED,
    LetterType.SESSION_CANCELLED,
    LetterType.SEAT_NOT_OBTAINED,
    LetterType.OFFER_LAPSED,
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_has_one_button_at_most_and_after_an_end_it_leads_to_other_dates(sample: Sample) -> None:
    buttons = re.findall('<a class="button" href="([^"]*)">', show(sample).page)
    assert len(buttons) <= 1
    if sample.template in ENDS:
        assert "/sessions?ouvertes=oui" in buttons[0]
    if sample.template is LetterType.SESSION_CHANGED:
        assert "/desistement/" in buttons[0]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_letter_about_one_session_names_the_time_zone_once_and_only_where_it_could_be_mistaken(
    sample: Sample,
) -> None:
    session = sample.session
    if session is None or sample.other is not None or sample.listed:
        return
    others = sum(other.join_url is not None for other in sample.others)
    could_be_mistaken = session.join_url is not None or session.timezone != "Europe/Paris"
    assert show(sample).text.count(", heure de ") <= could_be_mistaken + others


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

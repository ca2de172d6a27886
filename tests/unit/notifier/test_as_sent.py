"""What is kept of a letter that left writes it again as it was, and names nobody but its reader."""

import json
from dataclasses import replace

import pytest

from services.notifier.store.attempts import as_json, written
from services.notifier.tables import MailAttemptRow
from tests.letters.samples import Sample, samples
from tests.letters.showing import letter_of, renderer_of
from tests.unit.notifier.builders import MAIL_ID

SAMPLES = samples()
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])


@every_sample
def test_every_letter_is_written_again_as_it_was(sample: Sample) -> None:
    mail, context = letter_of(sample)
    kept = {"written_at": sample.now, "written_by": "1", "written_from": json.loads(as_json(context))}
    assert not kept["written_from"].keys() & {"people", "trainers"}, "nobody else is named"
    again = written([MailAttemptRow(mail_id=MAIL_ID, number=1, **kept)])
    assert again is not None
    same = replace(again.context, people=context.people, trainers=context.trainers)
    first, second = renderer_of(sample), renderer_of(sample).at(again.at)
    assert second.text(mail, same) == first.text(mail, context)
    assert second.page(mail, same) == first.page(mail, context)

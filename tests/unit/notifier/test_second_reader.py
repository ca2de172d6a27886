"""The calendars of letters, read by libraries that had no part in writing them."""

from collections.abc import Sequence
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import ics
import pytest
from dateutil.tz import tzical
from pydantic import TypeAdapter

from services.notifier.letters import KINDS, CalendarAction, LetterType, NumberedModule
from shared.events.vocabulary import Format
from tests.letters.samples import Sample, samples
from tests.letters.showing import show

WITH_CALENDAR = [
    sample
    for sample in samples()
    if KINDS[sample.template].calendar not in (None, CalendarAction.REPLACE)
    and sample.details.get("had_seat") is not False
]
IDS = [sample.name for sample in WITH_CALENDAR]
ROWS = TypeAdapter(list[NumberedModule])


def read(sample: Sample) -> Any:
    return ics.Calendar(of(sample))


def of(sample: Sample) -> str:
    (written,) = show(sample).calendars
    return written.replace("\n", "\r\n")


def value(event: Any, name: str) -> str:
    """The value of a property that this library keeps without reading it."""
    (line,) = [line for line in event.extra if line.name == name]
    return str(line.value)


@pytest.mark.parametrize("sample", WITH_CALENDAR, ids=IDS)
def test_dates_are_read_in_the_zone_that_the_calendar_explains(sample: Sample) -> None:
    assert sample.session is not None
    zone: Any = ZoneInfo(sample.session.timezone)
    if sample.session.format is not Format.MOOC:  # that is a matter of days, which have no zone
        zone = tzical(StringIO(of(sample))).get(sample.session.timezone)
    events = [(event.begin.naive, event.end.naive) for event in read(sample).events]
    found = sorted((begin.replace(tzinfo=zone), end.replace(tzinfo=zone)) for begin, end in events)
    assert found == sorted((module.starts_at, module.ends_at) for module in numbered_modules(sample))


def numbered_modules(sample: Sample) -> Sequence[NumberedModule]:
    assert sample.session is not None
    match KINDS[sample.template].calendar:
        case CalendarAction.INVITE:
            return sample.session.numbered_modules
        case CalendarAction.CANCEL:
            return [*sample.session.numbered_modules, *sample.session.gone]
        case _:
            return ROWS.validate_python(sample.details["modules"])


@pytest.mark.parametrize("sample", WITH_CALENDAR, ids=IDS)
def test_what_ends_a_seat_has_its_uids_and_a_higher_sequence(sample: Sample) -> None:
    assert sample.session is not None
    events = read(sample).events
    numbers = {module.number for module in numbered_modules(sample)}
    (enrolment,) = {event.uid[:36] for event in events}
    assert {event.uid for event in events} == {f"{enrolment}-{n}" if n else enrolment for n in numbers}
    (sequence,) = {int(value(event, "SEQUENCE")) for event in events}
    ends = sample.template in (LetterType.WITHDRAWN, LetterType.SESSION_CANCELLED)
    assert (sequence > 40_000) is ends
    assert {event.status for event in events} == {
        "CANCELLED" if KINDS[sample.template].calendar is not CalendarAction.INVITE else "CONFIRMED"
    }

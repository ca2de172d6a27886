"""What stands in an agent's calendar once all letters have come, as a program that follows iTIP keeps it."""

from datetime import datetime, timedelta
from typing import Any

import icalendar
import pytest

from services.notifier.letters import LetterType
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import cancelled, changed, noon, scheduled
from tests.unit.notifier.builders import a_decision
from tests.unit.notifier.reading import body


def a_seance(title: str, days: int) -> dict[str, Any]:
    return {"title": title, "starts_at": noon(days), "ends_at": noon(days) + timedelta(hours=3)}


FIRST, SECOND, THIRD = a_seance("A", 40), a_seance("B", 41), a_seance("C", 42)


def with_seances(*modules: dict[str, Any]) -> dict[str, Any]:
    return {"title": "IA", "modules": modules, "starts_at": noon(40), "ends_at": noon(50)}


AgendaEntry = tuple[str, datetime]


async def calendar_of(notifier: Notifier) -> dict[str, AgendaEntry]:
    """Deliver all. Returns summary and start by UID: the highest SEQUENCE decides (RFC 5546, 2.1.5)."""
    await notifier.deliver()
    entries: dict[str, tuple[int, AgendaEntry | None]] = {}
    for mail in (taken.message for taken in notifier.relay.taken):
        if "text/calendar" not in [part.get_content_type() for part in mail.walk()]:
            continue
        calendar = icalendar.Calendar.from_ical(body(mail, "text/calendar"))
        events: list[Any] = list(calendar.walk("VEVENT"))
        for event in events:
            uid, sequence = str(event["UID"]), int(event["SEQUENCE"])
            if sequence >= entries.get(uid, (-1, None))[0]:
                gone = str(calendar["METHOD"]) == "CANCEL"
                entries[uid] = sequence, None if gone else (str(event["SUMMARY"]), event["DTSTART"].dt)
    return {uid: entry for uid, (_, entry) in entries.items() if entry is not None}


async def test_calendars_follow_the_seances_of_a_session(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**with_seances(FIRST, SECOND, THIRD)))
    await notifier.hear(a_decision(AgentEnrolled))
    invited = await calendar_of(notifier)
    uids = {summary: uid for uid, (summary, _) in invited.items()}
    assert sorted(uids) == ["IA : A", "IA : B", "IA : C"]

    await notifier.hear(changed(**with_seances(FIRST, THIRD)))
    del invited[uids["IA : B"]]
    assert await calendar_of(notifier) == invited
    templates = [row.template for row in await notifier.rows(where="state = 'sent'")]
    assert templates == [LetterType.CONFIRMED, LetterType.MODULE_CANCELLED]

    moved = with_seances(a_seance("A", 45), SECOND, a_seance("C", 43))
    await notifier.hear(changed(version=3, **moved))
    at_last = await calendar_of(notifier)
    assert dict(at_last.values()) == {"IA : A": noon(45), "IA : B": noon(41), "IA : C": noon(43)}
    assert at_last.keys() & set(uids.values()) == {uids["IA : A"], uids["IA : C"]}

    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    assert await calendar_of(notifier) == {}


@pytest.mark.parametrize("by", ["session_cancelled", "agent"])
async def test_a_dropped_seance_is_cancelled_with_the_rest_when_its_own_letter_did_not_leave(
    notifier: Notifier, by: str
) -> None:
    await notifier.hear(scheduled(**with_seances(FIRST, SECOND, THIRD)))
    await notifier.hear(a_decision(AgentEnrolled))
    assert len(await calendar_of(notifier)) == 3
    await notifier.hear(changed(**with_seances(FIRST, SECOND)))
    if by == "session_cancelled":
        await notifier.hear(cancelled(version=3, **with_seances(FIRST, SECOND)))
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2, by=by))
    assert await calendar_of(notifier) == {}
    assert (await notifier.row_of(LetterType.MODULE_CANCELLED)).state == "superseded"

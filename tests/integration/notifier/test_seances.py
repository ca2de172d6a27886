"""What stands in an agent's calendar once all letters have come, as a program that follows iTIP keeps it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any

import icalendar
import pytest

from services.notifier.letters import LetterType
from shared.events.catalogue import SessionCancelled, SessionChanged, SessionScheduled
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_schedule import noon
from tests.unit.notifier.builders import a_decision, a_session
from tests.unit.notifier.reading import body


def a_seance(title: str, days: int) -> dict[str, Any]:
    return {"title": title, "starts_at": noon(days), "ends_at": noon(days) + timedelta(hours=3)}


FIRST, SECOND, THIRD = a_seance("A", 40), a_seance("B", 41), a_seance("C", 42)


def a_state(version: int, *modules: dict[str, Any]) -> dict[str, Any]:
    period = {"starts_at": noon(40), "ends_at": noon(50)}
    return a_session(title="IA", version=version, modules=modules, **period).model_dump()


AgendaEntry = tuple[str, datetime]


def calendar_after(mails: Sequence[EmailMessage]) -> dict[str, AgendaEntry]:
    """Summary and start by UID: the highest SEQUENCE decides, whatever comes last (RFC 5546, 2.1.5)."""
    entries: dict[str, tuple[int, AgendaEntry | None]] = {}
    for mail in mails:
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


async def all_mails(notifier: Notifier) -> list[EmailMessage]:
    await notifier.deliver()
    return [taken.message for taken in notifier.relay.taken]


async def test_calendars_follow_the_seances_of_a_session(notifier: Notifier) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_state(1, FIRST, SECOND, THIRD)))
    await notifier.hear(a_decision(AgentEnrolled))
    invited = calendar_after(await all_mails(notifier))
    uids = {summary: uid for uid, (summary, _) in invited.items()}
    assert sorted(uids) == ["IA : A", "IA : B", "IA : C"]

    await notifier.hear(SessionChanged.model_validate(a_state(2, FIRST, THIRD)))
    after_one_less = await all_mails(notifier)
    assert [row.template for row in await notifier.rows(where="state = 'sent'")] == [
        LetterType.CONFIRMED,
        LetterType.MODULE_CANCELLED,
    ]
    assert str(after_one_less[-1]["Subject"]).startswith("Une séance est annulée : « IA », ")
    del invited[uids["IA : B"]]
    assert calendar_after(after_one_less) == invited

    await notifier.hear(
        SessionChanged.model_validate(a_state(3, a_seance("A", 45), SECOND, a_seance("C", 43)))
    )
    at_last = calendar_after(await all_mails(notifier))
    assert dict(at_last.values()) == {
        "IA : A": noon(45),
        "IA : B": noon(41),
        "IA : C": noon(43),
    }
    assert {uids["IA : A"], uids["IA : C"]} < at_last.keys()
    assert uids["IA : B"] not in at_last

    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    assert calendar_after(await all_mails(notifier)) == {}


@pytest.mark.parametrize("by", ["session_cancelled", "agent"])
async def test_a_dropped_seance_is_cancelled_with_the_rest_when_its_own_letter_did_not_leave(
    notifier: Notifier, by: str
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_state(1, FIRST, SECOND, THIRD)))
    await notifier.hear(a_decision(AgentEnrolled))
    assert len(calendar_after(await all_mails(notifier))) == 3

    await notifier.hear(SessionChanged.model_validate(a_state(2, FIRST, SECOND)))
    if by == "session_cancelled":
        cancelled = a_state(3, FIRST, SECOND) | {"status": "cancelled"}
        await notifier.hear(SessionCancelled.model_validate(cancelled))
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2, by=by))
    assert calendar_after(await all_mails(notifier)) == {}
    (row,) = await notifier.rows(where=f"template = '{LetterType.MODULE_CANCELLED}'")
    assert row.state == "superseded"

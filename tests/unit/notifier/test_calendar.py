"""The calendar part of a letter (RFC 5546); golden letters show the whole of it."""

from datetime import timedelta
from typing import Any

import icalendar
import pytest

from services.notifier.letters import NumberedSession, numbered
from services.notifier.render.calendar import CalendarPart, CalendarWriter, Invitee
from shared.web.calendars import Person
from tests.unit.notifier.builders import ENROLMENT_ID, a_session, at, the_mooc

ZOE = Invitee(str(ENROLMENT_ID), 2, at("2025-03-10T14:05+01:00"), Person("Zoé Durand", "zoe@ville.example"))


def invite(session: NumberedSession) -> CalendarPart:
    return CalendarWriter("formations@cnfpt.example").invitation(session, ZOE)


def cancel(session: NumberedSession) -> CalendarPart:
    return CalendarWriter("formations@cnfpt.example").cancellation(session, ZOE)


def events(part: CalendarPart) -> list[Any]:
    calendar = icalendar.Calendar.from_ical(part.body)
    assert str(calendar["METHOD"]) == part.method
    return list(calendar.walk("VEVENT"))


def uids(part: CalendarPart) -> list[str]:
    return [str(event["UID"]).removeprefix(str(ENROLMENT_ID)) for event in events(part)]


@pytest.mark.parametrize(
    ("session", "method", "busy"),
    [
        (a_session(), "REQUEST", "OPAQUE"),
        (a_session(modules=[the_mooc().modules[0].model_dump()]), "REQUEST", "OPAQUE"),
        (a_session(modules=[m.model_dump() for m in the_mooc().modules]), "PUBLISH", "OPAQUE"),
        (the_mooc(), "PUBLISH", "TRANSPARENT"),
    ],
    ids=["one date", "one module", "several modules", "a MOOC"],
)
def test_several_dates_are_published_since_a_request_is_about_one(
    session: NumberedSession, method: str, busy: str
) -> None:
    """RFC 5546, 3.2.2: all components of a REQUEST have one UID. 3.2.1: a PUBLISH names no attendee."""
    part = invite(session)
    assert part.method == method
    for event in events(part):
        assert ("ATTENDEE" in event) is (method == "REQUEST")
        assert str(event["TRANSP"]) == busy


def test_an_invitation_says_how_to_get_to_the_venue() -> None:
    part = invite(a_session(directions="Métro Sainte-Anne"))
    assert [str(event["DESCRIPTION"]) for event in events(part)] == ["Accès\u00a0: Métro Sainte-Anne"]


@pytest.mark.parametrize("session", [the_mooc(), a_session(venue=None, join_url="https://visio.example/7")])
def test_a_cancellation_does_not_say_how_to_connect(session: NumberedSession) -> None:
    part = cancel(session)
    assert str(session.join_url) in invite(session).body.decode()
    assert str(session.join_url) not in part.body.decode()
    assert all(str(event["LOCATION"]) == "En ligne" for event in events(part))


def test_a_cancellation_takes_out_what_was_dropped_before_too() -> None:
    before = the_mooc()
    modules = [before.modules[0].model_dump(), before.modules[2].model_dump()]
    session = numbered(the_mooc(version=2, modules=modules), before)
    cancellation = cancel(session)
    assert uids(cancellation) == ["-1", "-3", "-2"]
    assert events(cancellation)[2]["DTSTART"].dt == before.modules[1].starts_at
    assert uids(invite(session)) == ["-1", "-3"]


def test_a_module_keeps_its_uid_when_its_title_and_dates_change() -> None:
    before = the_mooc()
    modules = [
        module.model_dump() | {"title": "Autre", "starts_at": module.starts_at - timedelta(hours=1)}
        for module in before.modules
    ]
    assert uids(invite(the_mooc(version=2, modules=modules))) == uids(invite(before))

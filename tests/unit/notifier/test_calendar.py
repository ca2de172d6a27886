"""The calendar part of a letter: whose it is, and what it puts in or takes out (RFC 5546)."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar

from services.notifier.letters import NumberedSession, numbered
from services.notifier.render.calendar import CalendarPart, CalendarWriter, Invitee
from shared.web.calendars import Person
from tests.unit.notifier.builders import ENROLMENT_ID, a_session, at, the_mooc

ZOE = Invitee(str(ENROLMENT_ID), 2, at("2025-03-10T14:05+01:00"), Person("Zoé Durand", "zoe@ville.example"))


def invite(session: NumberedSession, invitee: Invitee = ZOE) -> CalendarPart:
    return CalendarWriter("formations@cnfpt.example").invitation(session, invitee)


def events(part: CalendarPart) -> list[Any]:
    calendar = icalendar.Calendar.from_ical(part.body)
    assert str(calendar["METHOD"]) == part.method
    return list(calendar.walk("VEVENT"))


def test_who_has_a_seat_gets_a_request_that_asks_for_no_answer() -> None:
    part = invite(a_session())
    assert part.method == "REQUEST"
    (event,) = events(part)
    assert event["DTSTART"].dt == datetime(2025, 4, 3, 9, 30, tzinfo=ZoneInfo("Europe/Paris"))
    assert event["DTEND"].dt == datetime(2025, 4, 3, 17, 0, tzinfo=ZoneInfo("Europe/Paris"))
    assert event["DTSTART"].params["TZID"] == "Europe/Paris"
    assert str(event["UID"]) == str(ENROLMENT_ID)
    assert int(event["SEQUENCE"]) == 2
    assert str(event["LOCATION"]).startswith("Le Couvent des Jacobins")
    assert str(event["ORGANIZER"]) == "mailto:formations@cnfpt.example"
    assert str(event["ATTENDEE"]) == "mailto:zoe@ville.example"
    assert event["ATTENDEE"].params["RSVP"] == "FALSE"
    assert event["ATTENDEE"].params["CN"] == "Zoé Durand"
    assert event["DTSTAMP"].dt == at("2025-03-10T14:05+01:00")


def test_the_mooc_is_published_with_one_event_per_module_and_blocks_no_time() -> None:
    part = invite(the_mooc())
    assert part.method == "PUBLISH"
    found = events(part)
    assert [str(event["UID"]) for event in found] == [f"{ENROLMENT_ID}-{n}" for n in (1, 2, 3)]
    assert all("ATTENDEE" not in event for event in found)
    assert {str(event["TRANSP"]) for event in found} == {"TRANSPARENT"}
    assert {int(event["SEQUENCE"]) for event in found} == {2}


def test_several_dates_are_published_since_a_request_is_about_one() -> None:
    """RFC 5546, 3.2.2: all components of a REQUEST have one UID."""
    days = a_session(modules=[module.model_dump() for module in the_mooc().modules])
    part = invite(days)
    assert part.method == "PUBLISH"
    found = events(part)
    assert len({str(event["UID"]) for event in found}) == 3
    assert not any("ATTENDEE" in event for event in found), "RFC 5546, 3.2.1"
    assert {str(event["TRANSP"]) for event in found} == {"OPAQUE"}
    assert invite(a_session(modules=[the_mooc().modules[0].model_dump()])).method == "REQUEST"


def test_a_seance_that_is_dropped_is_cancelled_alone_under_the_uid_it_had() -> None:
    before = the_mooc()
    _, middle, _ = before.numbered_modules
    later = Invitee(ZOE.enrolment_id, 5, ZOE.stamp, ZOE.attendee)
    part = CalendarWriter("formations@cnfpt.example").removal(before, [middle], later)
    assert part.method == "CANCEL"
    (event,) = events(part)
    assert str(event["UID"]) == f"{ENROLMENT_ID}-2"
    assert int(event["SEQUENCE"]) == 5
    assert str(event["STATUS"]) == "CANCELLED"
    assert str(event["SUMMARY"]) == f"{before.title} : {before.modules[1].title}"


def test_a_cancellation_names_what_the_invitation_named() -> None:
    writer = CalendarWriter("formations@cnfpt.example")
    for session in (a_session(), the_mooc()):
        invited = events(writer.invitation(session, ZOE))
        part = writer.cancellation(session, Invitee(ZOE.enrolment_id, 5, ZOE.stamp, ZOE.attendee))
        assert part.method == "CANCEL"
        cancelled = events(part)
        assert [event["UID"] for event in cancelled] == [event["UID"] for event in invited]
        assert all(str(event["STATUS"]) == "CANCELLED" for event in cancelled)
        assert all(event["SEQUENCE"] > invited[0]["SEQUENCE"] for event in cancelled)


def test_a_cancellation_does_not_say_how_to_connect() -> None:
    for session in (the_mooc(), a_session(venue=None, join_url="https://visio.example/7")):
        part = CalendarWriter("formations@cnfpt.example").cancellation(session, ZOE)
        assert str(session.join_url) in invite(session).body.decode()
        assert str(session.join_url) not in part.body.decode()
        assert all(str(event["LOCATION"]) == "En ligne" for event in events(part))


def test_a_cancellation_takes_out_what_was_dropped_before_too() -> None:
    before = the_mooc()
    modules = [before.modules[0].model_dump(), before.modules[2].model_dump()]
    session = numbered(the_mooc(version=2, modules=modules), before)
    found = events(CalendarWriter("formations@cnfpt.example").cancellation(session, ZOE))
    assert [str(event["UID"]) for event in found] == [f"{ENROLMENT_ID}-{n}" for n in (1, 3, 2)]
    assert found[2]["DTSTART"].dt == before.modules[1].starts_at
    assert [str(event["UID"]) for event in events(invite(session))] == [f"{ENROLMENT_ID}-{n}" for n in (1, 3)]


def test_a_module_keeps_its_uid_when_its_title_and_dates_change() -> None:
    before = the_mooc()
    modules = [
        m.model_dump() | {"title": f"{m.title} bis", "starts_at": m.starts_at - timedelta(hours=1)}
        for m in before.modules
    ]
    after = the_mooc(version=2, modules=modules)
    assert [e["UID"] for e in events(invite(before))] == [e["UID"] for e in events(invite(after))]

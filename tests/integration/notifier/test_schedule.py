"""Letters to come and letters to many: planned, moved, dropped, and never doubled by a kill in the middle."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import jobs
from services.notifier.letters import TEMPLATE_OF, FanOut, FanOutTask, timing
from services.notifier.service import enrolments, mails, queue
from services.notifier.service.fan_outs import next_slice
from services.notifier.store import fan_outs
from services.notifier.store import mails as stored_mails
from shared import clock
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    Decision,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
)
from shared.events.notifier import EmailSent
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.events import cancelled, changed, enrolled, in_days, noon, scheduled
from tests.support.consuming import received
from tests.support.locks import locks_awaited
from tests.unit.notifier.builders import SESSION_ID, a_decision, an_agent

ALL = {"joining-instructions", "reminder-week", "reminder-day"}
DAYS_AGO = clock.now() - timedelta(days=2)


def soon(hours: float = 23) -> dict[str, datetime]:
    """The dates of a session that starts so soon; the last reminder of tomorrow's was due an hour ago."""
    start = clock.now() + timedelta(hours=hours)
    return {"starts_at": start, "ends_at": start + timedelta(hours=3)}


TOMORROW = soon()


async def has_a_seat(
    notifier: Notifier, start: dict[str, datetime], *, since: datetime | None = None
) -> UUID:
    """An agent has a seat in a session with these dates. Returns the id of the decision."""
    await notifier.hear(scheduled(**start))
    (decision_id,) = await notifier.hear(a_decision(AgentEnrolled), at=since)
    return decision_id


async def to_come(notifier: Notifier) -> dict[str, datetime]:
    """The letters that time will call for to the enrolled agent, each with its moment."""
    rows = await notifier.query(
        "SELECT task, due_at FROM fan_out JOIN enrolment ON session_id = subject_id "
        "WHERE fan_out.begun_at IS NULL AND standing = 'enrolled' AND since < called_for_at"
    )
    assert len({row.task for row in rows}) == len(rows)
    return {TEMPLATE_OF[FanOutTask(row.task)]: row.due_at for row in rows}


async def planned(notifier: Notifier) -> set[str]:
    """The letters that time calls for which are still to be sent, those due by now too."""
    rows = await notifier.rows(where="state = 'pending'")
    return {row.template for row in rows} & ALL | set(await to_come(notifier))


async def have_begun(notifier: Notifier, *tasks: FanOutTask) -> None:
    """As if the moment of these letters had passed, and they were sent."""
    for task in tasks:
        await notifier.change(
            "UPDATE fan_out SET begun_at = now(), done_at = now() WHERE task = :task", task=task
        )


async def reminded(notifier: Notifier) -> list[tuple[str, str]]:
    """Each recipient of the reminder of the day before, with the state of the mail."""
    rows = await notifier.rows(where="template = 'reminder-day'")
    return sorted((row.recipient, row.state) for row in rows)


async def test_an_enrolment_plans_its_letters_and_they_are_not_sent_before(notifier: Notifier) -> None:
    await has_a_seat(notifier, in_days(40))
    due = await to_come(notifier)
    assert set(due) == ALL
    days = due["reminder-day"] - due["reminder-week"]
    assert days == pytest.approx(timedelta(days=6), abs=timedelta(hours=1))
    assert await notifier.deliver() == 1
    assert [row.template for row in await notifier.rows()] == ["enrolment-confirmed"]


async def test_what_a_newer_process_has_planned_stays_and_stops_nothing(notifier: Notifier) -> None:
    """As in a rolling upgrade that brings a letter which this process does not know."""
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.change(
        "INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, due_at, last_id_done) "
        "SELECT event_id, 'a-newer-letter', subject_id, details, called_for_at, due_at, last_id_done "
        "FROM fan_out WHERE task = 'joining'"
    )
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed(**in_days(50)))
    assert await notifier.query("SELECT 1 FROM dead_letter") == []
    tasks = await notifier.query("SELECT task FROM fan_out WHERE begun_at IS NULL ORDER BY task")
    assert tasks == [("a-newer-letter",), ("joining",), ("reminder-day",), ("reminder-week",)]


@pytest.mark.parametrize(
    ("seat", "start", "expected"),
    [
        pytest.param("since today", in_days(40), ALL, id="in time"),
        pytest.param("since today", in_days(3), {"reminder-day"}, id="three days before"),
        pytest.param("for two months", in_days(10), ALL, id="after the moment of the joining instructions"),
        pytest.param("for two months", soon(20), ALL - {"reminder-week"}, id="on the day before"),
    ],
)
async def test_the_letters_of_an_enrolment_that_overtook_its_session_are_planned_when_it_comes(
    notifier: Notifier, seat: str, start: dict[str, datetime], expected: set[str]
) -> None:
    since = clock.now() - timedelta(days=60 if seat == "for two months" else 0)
    await notifier.hear(a_decision(AgentEnrolled), at=since)
    assert await to_come(notifier) == {}
    await notifier.hear(scheduled(**start))
    assert await planned(notifier) == expected


async def test_letters_move_with_their_session(notifier: Notifier) -> None:
    await has_a_seat(notifier, in_days(40))
    before = await to_come(notifier)
    await notifier.hear(changed(**in_days(30)))
    after = await to_come(notifier)
    for template in ALL:
        assert before[template] - after[template] == pytest.approx(
            timedelta(days=10), abs=timedelta(hours=1)
        ), template


async def test_a_cancelled_session_calls_for_no_letter(notifier: Notifier) -> None:
    await has_a_seat(notifier, in_days(40))
    await notifier.hear(cancelled(**in_days(40)))
    assert await planned(notifier) == set()


@pytest.mark.parametrize(
    ("begun", "days", "expected"),
    [
        pytest.param([], 4, {"joining-instructions", "reminder-day"}, id="nearer: no reminder of the past"),
        pytest.param([FanOutTask.JOINING], 10, {"reminder-week", "reminder-day"}, id="past a moment"),
        pytest.param([FanOutTask.JOINING, FanOutTask.REMINDER_WEEK], 60, ALL, id="further: all again"),
    ],
)
async def test_what_a_session_that_moves_still_calls_for(
    notifier: Notifier, begun: Sequence[FanOutTask], days: int, expected: set[str]
) -> None:
    await has_a_seat(notifier, in_days(40), since=clock.now() - timedelta(days=60))
    await have_begun(notifier, *begun)
    await notifier.hear(changed(**in_days(days)))
    assert await planned(notifier) == expected
    await notifier.hear(changed(version=3, venue="Salle neuve", **in_days(days)))
    assert await planned(notifier) == expected


async def test_a_letter_that_goes_back_for_weeks_may_then_be_tried_for_days(notifier: Notifier) -> None:
    await has_a_seat(notifier, soon(), since=DAYS_AGO)
    await notifier.deliver()
    await notifier.hear(changed(**in_days(60)))
    (sent,) = await notifier.rows(where="template = 'reminder-day'")
    async with notifier.database.transaction() as tx:
        again = await mails.resend(tx, sent.mail_id, actor="test")
    await notifier.deliver()
    (row,) = await notifier.rows(where=f"mail_id = '{again}'")
    assert (row.state, row.due_at > clock.now() + timedelta(days=50)) == ("pending", True)
    assert row.give_up_at - row.due_at == pytest.approx(timedelta(days=4), abs=timedelta(seconds=5))


@pytest.mark.parametrize(
    "then",
    [
        [changed(**in_days(60))],
        [cancelled(**TOMORROW)],
        [a_decision(EnrolmentWithdrawn, version=2)],
        [a_decision(EnrolmentWithdrawn, version=2), a_decision(AgentEnrolled, version=3)],
    ],
    ids=[
        "the session moves",
        "it is cancelled",
        "the enrolment ends",
        "the agent enrols again after the moment",
    ],
)
async def test_a_reminder_in_the_queue_is_not_sent_once_it_is_not_true(
    notifier: Notifier, then: Sequence[Any]
) -> None:
    await has_a_seat(notifier, TOMORROW, since=DAYS_AGO)
    await notifier.hear(*then)
    await notifier.deliver()
    assert await reminded(notifier) == [("IEL-0048151", "superseded")]


async def test_a_seat_given_before_a_reminders_moment_gets_it_even_if_read_after(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**soon()))
    assert await notifier.query("SELECT 1 FROM fan_out") == [], "nobody is enrolled, and nothing is to come"
    await notifier.hear(enrolled(1), at=DAYS_AGO)
    await notifier.hear(enrolled(2), at=clock.now() - timedelta(minutes=5))
    assert await reminded(notifier) == [("A-1", "pending")]


async def test_the_cause_of_a_reminder_is_the_decision_that_gave_the_seat(notifier: Notifier) -> None:
    decision_id = await has_a_seat(notifier, soon(), since=DAYS_AGO)
    await notifier.deliver()
    causes = {event["template"]: event["cause_id"] for event in await notifier.events(EmailSent)}
    (reminder,) = await notifier.rows(where="template = 'reminder-day'")
    async with notifier.database.transaction() as tx:
        row = await stored_mails.get(tx, reminder.mail_id)
    assert row is not None
    assert (causes["reminder-day"], row.cause_id) == (str(decision_id), decision_id)
    assert row.event_id != decision_id


async def a_reminder_is_due(notifier: Notifier, session_id: UUID = SESSION_ID) -> None:
    """The session is known, the moment of its last reminder is near, and the job has not seen it."""
    await notifier.take(scheduled(session_id=session_id, **in_days(40)))
    await notifier.change(
        "UPDATE fan_out SET due_at = now(), called_for_at = :moment WHERE task = 'reminder-day'",
        moment=clock.now(),
    )


async def test_an_enrolment_read_while_a_fan_out_runs_gets_one_letter(notifier: Notifier) -> None:
    await notifier.hear(*(enrolled(number) for number in range(8)), at=DAYS_AGO)
    await a_reminder_is_due(notifier)
    for number in range(8, 16):  # before it begins, and between its slices
        async with notifier.database.transaction() as tx:
            await next_slice(tx, clock.now(), most=1)
        await notifier.take(enrolled(number), at=DAYS_AGO)
    await notifier.fan_out()
    assert await reminded(notifier) == sorted((f"A-{number}", "pending") for number in range(16))


async def test_an_enrolment_that_is_being_read_holds_up_the_beginning_of_its_reminder(
    notifier: Notifier,
) -> None:
    await a_reminder_is_due(notifier)
    decision = received(enrolled(1), received_at=DAYS_AGO)
    async with notifier.database.transaction() as tx:
        await enrolments.process(tx, [decision], clock.now())
        beginning = asyncio.create_task(notifier.fan_out())
        await locks_awaited(notifier.database)  # the job waits for the enrolment
    await beginning
    assert await reminded(notifier) == [("A-1", "pending")]


async def test_a_session_that_moves_there_and_back_reminds_once(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the evening before, when reminders of the night are sent that would be due again."""
    monkeypatch.setattr(timing, "by_day", lambda moment, _zone: moment - timedelta(hours=3))
    here = soon(26)
    await notifier.hear(enrolled(1), enrolled(2))
    await notifier.hear(scheduled(**here))
    await notifier.change("UPDATE mail SET due_at = now() + interval '1 hour' WHERE recipient = 'A-2'")
    await notifier.deliver()
    await notifier.hear(changed(**in_days(60)))
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert await reminded(notifier) == [("A-1", "sent"), ("A-2", "superseded")]
    await notifier.hear(changed(version=3, **here))
    await notifier.deliver()
    assert await reminded(notifier) == [("A-1", "sent"), ("A-2", "sent")]
    assert set(notifier.relay.per_message_id().values()) == {1}


async def test_an_agent_reminded_of_the_old_date_is_reminded_of_the_new_one(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**soon()))
    await notifier.hear(enrolled(1), at=DAYS_AGO)
    await notifier.deliver()
    await notifier.hear(changed(**in_days(60)))
    await notifier.change("UPDATE fan_out SET due_at = now() WHERE task = 'reminder-day'")
    await notifier.fan_out()
    assert await reminded(notifier) == [("A-1", "pending"), ("A-1", "sent")]


async def test_joining_instructions_that_were_to_come_go_out_when_their_session_moves_nearer(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(enrolled(1))
    await notifier.take(changed(**in_days(10)))
    await notifier.take(enrolled(2), at=clock.now() + timedelta(seconds=1))
    await notifier.fan_out()
    assert await notifier.addressees("joining-instructions") == ["A-1"]


async def test_the_age_of_the_queue_counts_from_when_a_reminder_was_due(notifier: Notifier) -> None:
    await a_reminder_is_due(notifier)
    await notifier.change(
        "UPDATE fan_out SET due_at = due_at - interval '1 hour' WHERE task = 'reminder-day'"
    )
    async with notifier.database.transaction() as tx:
        assert (await queue.measure(tx)).age == pytest.approx(3600, abs=60)
    await notifier.fan_out()
    async with notifier.database.transaction() as tx:
        assert (await queue.measure(tx)).age == 0


# ------------------------------------------------------------------------------------------ changes


def decided(agent_id: str, event: type[Decision], **details: Any) -> Any:
    return a_decision(event, agent=an_agent(agent_id=agent_id), enrolment_id=uuid4(), **details)


async def test_a_letter_about_a_change_goes_to_seats_given_before_it_alone(known: Notifier) -> None:
    await known.hear(changed(**in_days(40)))
    await known.hear(enrolled(1), decided("W", AgentWaitlisted, position=1))
    await known.hear(changed(version=3, venue="Salle neuve", **in_days(40)))
    await known.hear(enrolled(2))
    await known.hear(changed(version=4, title="Titre corrigé", venue="Salle neuve", **in_days(40)))
    (row,) = await known.rows(where="template = 'session-changed'")
    assert (row.recipient, row.details["venue_before"][:10]) == ("A-1", "Le Couvent")


@pytest.mark.parametrize("late", ["the change", "the second enrolment"])
async def test_a_letter_about_a_change_goes_to_enrolments_read_before_it_whichever_was_sent_first(
    notifier: Notifier, late: str
) -> None:
    """Whenever it was sent. A confirmation that is written after the change says it itself."""
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(enrolled(1), at=clock.now() - timedelta(minutes=20))
    await notifier.take(changed(**in_days(41)), at=clock.now() - timedelta(minutes=30))
    if late == "the second enrolment":
        await notifier.take(enrolled(2), at=clock.now() - timedelta(minutes=31))
    await notifier.fan_out()
    assert await notifier.addressees("session-changed") == ["A-1"]


async def test_a_letter_about_a_change_goes_to_all_that_wait_for_a_seat_or_an_answer(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(
        enrolled(1),
        decided("W", AgentWaitlisted, position=1),
        decided("O", SeatOffered, hold_until=noon(20)),
        decided("P", EnrolmentPending, awaiting="selection"),
        decided("R", EnrolmentRefused, reason="not_eligible"),
        decided("L", EnrolmentWithdrawn),
    )
    await notifier.hear(changed(venue="Salle neuve", **in_days(40)))
    await notifier.hear(decided("Z", AgentWaitlisted, position=2))
    with_a_link = {"venue": "Salle neuve", "join_url": "https://visio.example/1"}
    await notifier.hear(changed(version=3, **with_a_link, **in_days(40)))
    assert await notifier.addressees("session-changed-waiting") == ["O", "P", "W"]


async def test_two_processes_do_not_work_on_one_fan_out(known: Notifier) -> None:
    await known.hear(enrolled(1))
    async with known.database.transaction() as tx:
        await fan_outs.store(tx, [FanOut(uuid4(), FanOutTask.CHANGE, SESSION_ID, {}, clock.now())])
    async with known.database.transaction() as tx, known.database.transaction() as other:
        assert await next_slice(tx, clock.now(), most=10) == 1
        assert await next_slice(other, clock.now(), most=10) is None


async def test_a_fan_out_rests_longer_than_it_works_so_that_answers_keep_moving(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.hear(scheduled(**in_days(40)))
    await notifier.hear(enrolled(1))
    await notifier.take(changed(venue="Salle neuve", **in_days(40)))
    seconds = itertools.count()
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    rest = await jobs.fan_out(notifier.database)
    assert rest is not None
    assert rest > 1, "it took one second"


# --------------------------------------------------------------------------------------- evaluation

EVALUATION = {"evaluation_url": "https://avis.example/ia"}


def attended(version: int, **changes: Any) -> Any:
    return a_decision(AttendanceRecorded, **{"attendance": "attended", "version": version} | changes)


async def test_an_agent_is_asked_once_for_an_evaluation_from_the_day_after_on(
    notifier: Notifier,
) -> None:
    await notifier.hear(scheduled(**EVALUATION, **in_days(0)))
    await notifier.hear(attended(2), attended(3))
    await notifier.hear(attended(4))
    (mail,) = await notifier.rows()
    assert mail.details["cause_id"] != str(mail.event_id)
    assert (await notifier.deliver(), notifier.relay.taken) == (1, [])
    await notifier.hear(changed(**EVALUATION, **in_days(-2)))
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert await notifier.states() == ["sent"]


async def test_nobody_is_asked_about_a_session_without_a_link(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**in_days(-5)))
    await notifier.hear(attended(2), attended(3, attendance="absent"))
    assert await notifier.rows() == []


# --------------------------------------------------------------------------------------- certificates

VOID = {"certificate_void": True, "attendance": "absent"}
ANOTHER = VOID | {"certified": True}


@pytest.mark.parametrize(
    ("days", "then", "begins"),
    [
        (1, [], []),
        (1, [attended(3, **VOID)], []),
        (1, [attended(3, **ANOTHER)], []),
        (-3, [], ["Votre attestation est disponible"]),
        (
            -3,
            [attended(3, **VOID)],
            ["Votre attestation est disponible", "Votre attestation n’est plus valable"],
        ),
        (
            -3,
            [attended(3, **ANOTHER)],
            ["Votre attestation est disponible", "Votre attestation est corrigée"],
        ),
        (
            -3,
            [attended(3, **ANOTHER), attended(4, **VOID)],
            ["Votre attestation est disponible", "Votre attestation n’est plus valable"],
        ),
    ],
)
async def test_a_correction_of_attendance_is_told_only_after_the_certificate_has_left(
    notifier: Notifier, days: int, then: list[Any], begins: list[str]
) -> None:
    """Rule 24."""
    await notifier.hear(scheduled(**in_days(days)))
    await notifier.hear(attended(2, certified=True))
    await notifier.deliver()
    if then:
        await notifier.hear(*then)
        await notifier.deliver()
        await notifier.change("UPDATE mail SET due_at = now() WHERE state = 'pending'")
        await notifier.deliver()
    subjects = [str(mail.message["Subject"]) for mail in notifier.relay.taken]
    assert [subject.partition(" : ")[0] for subject in subjects] == begins


async def test_a_letter_that_takes_a_certificate_back_waits_while_that_may_leave(notifier: Notifier) -> None:
    await notifier.hear(scheduled(**in_days(-3)))
    await notifier.hear(attended(2, certified=True))
    await notifier.change(
        "UPDATE mail SET state = 'claimed', owner = mail_id, lease_until = now() + interval '1 hour'"
    )
    await notifier.hear(attended(3, **VOID))
    await notifier.deliver()
    assert await notifier.states() == ["claimed", "pending"]
    await notifier.change("UPDATE mail SET state = 'sent', lease_until = NULL WHERE state = 'claimed'")
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert await notifier.states() == ["sent", "sent"]

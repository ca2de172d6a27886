"""Letters to come and letters to many: planned, moved, dropped, and never doubled by a kill in the middle."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import jobs
from services.notifier.letters import TEMPLATE_OF, FanOut, FanOutTask, timing
from services.notifier.service import mails, queue
from services.notifier.service.fan_outs import next_slice
from services.notifier.store import fan_outs, sessions
from services.notifier.store import mails as stored_mails
from shared import clock
from shared.events.catalogue import SessionCancelled, SessionChanged, SessionScheduled
from shared.events.enrolment import (
    AgentEnrolled,
    AgentWaitlisted,
    AttendanceRecorded,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    SeatOffered,
)
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_handlers import enrolled
from tests.unit.notifier.builders import SESSION_ID, a_decision, a_session, an_agent

ALL = {"joining-instructions", "reminder-week", "reminder-day"}


TODAY = clock.now()
"""Fixed once: a test that runs across midnight still speaks of one day."""


def noon(days: int) -> datetime:
    """So many days from today, in the middle of the day."""
    return (TODAY + timedelta(days=days)).replace(hour=11, minute=0, second=0, microsecond=0)


def session(days: int = 40, **changes: Any) -> SessionScheduled:
    """A session that starts in so many days."""
    dates = {"starts_at": noon(days), "ends_at": noon(days) + timedelta(hours=3)}
    return SessionScheduled.model_validate(a_session(**(dates | changes)).model_dump())


def changed(days: int = 40, **changes: Any) -> SessionChanged:
    return SessionChanged.model_validate(session(days, **({"version": 2} | changes)).model_dump())


async def to_come(notifier: Notifier) -> dict[str, datetime]:
    """When time will call for each letter to the one who is enrolled."""
    rows = await notifier.query(
        "SELECT task, due_at FROM fan_out JOIN enrolment ON session_id = subject_id "
        "WHERE fan_out.begun_at IS NULL AND standing = 'enrolled' AND since < called_for_at"
    )
    assert len({row.task for row in rows}) == len(rows)
    return {TEMPLATE_OF[FanOutTask(row.task)]: row.due_at for row in rows}


async def have_begun(notifier: Notifier, *tasks: FanOutTask) -> None:
    """As if the moment of these letters had passed, and they were sent."""
    for task in tasks:
        await notifier.change(
            "UPDATE fan_out SET begun_at = now(), done_at = now() WHERE task = :task", task=task
        )


async def test_an_enrolment_plans_its_letters_and_they_are_not_sent_before(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(a_decision(AgentEnrolled))
    due = await to_come(notifier)
    assert set(due) == ALL
    assert due["reminder-day"] - due["reminder-week"] == pytest.approx(
        timedelta(days=6), abs=timedelta(hours=1)
    )
    assert await notifier.deliver() == 1
    assert notifier.relay.taken[0].message["Subject"].startswith("Votre inscription est confirmée")
    assert len(await notifier.rows()) == 1, "a row that is not due"


async def test_the_letters_of_an_enrolment_that_overtook_its_session_are_planned_when_it_comes(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    assert await to_come(notifier) == {}
    await notifier.hear(session())
    assert set(await to_come(notifier)) == ALL
    await notifier.hear(changed(venue="Salle neuve"))
    assert set(await to_come(notifier)) == ALL


async def test_what_a_newer_process_has_planned_stays_and_stops_nothing(notifier: Notifier) -> None:
    """As in a rolling upgrade that brings a letter which this process does not know."""
    await notifier.hear(session())
    await notifier.change(
        "INSERT INTO fan_out (event_id, task, subject_id, details, called_for_at, due_at, last_id_done) "
        "SELECT event_id, 'a-newer-letter', subject_id, details, called_for_at, due_at, last_id_done "
        "FROM fan_out WHERE task = 'joining'"
    )
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed(50))
    assert await notifier.query("SELECT 1 FROM dead_letter") == []
    tasks = await notifier.query("SELECT task FROM fan_out WHERE begun_at IS NULL ORDER BY task")
    assert tasks == [("a-newer-letter",), ("joining",), ("reminder-day",), ("reminder-week",)]


async def planned(notifier: Notifier) -> set[str]:
    """The letters that time calls for which are still to be sent, those due by now too."""
    rows = await notifier.rows(where="state = 'pending'")
    return {row.template for row in rows} & ALL | set(await to_come(notifier))


async def test_who_enrolled_three_days_before_a_session_that_comes_late_is_reminded_once(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(session(3))
    assert await planned(notifier) == {"reminder-day"}


async def test_who_enrolled_in_time_for_a_session_that_comes_late_has_its_joining_instructions(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.change("UPDATE enrolment SET since = now() - interval '60 days'")
    await notifier.hear(session(10))
    assert await planned(notifier) == ALL


async def test_nobody_is_reminded_of_next_week_on_the_day_before(notifier: Notifier) -> None:
    start = clock.now() + timedelta(hours=20)
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.change("UPDATE enrolment SET since = now() - interval '60 days'")
    await notifier.hear(session(starts_at=start, ends_at=start + timedelta(hours=3)))
    assert await planned(notifier) == ALL - {"reminder-week"}


async def test_a_move_past_a_moment_plans_nothing_for_it(notifier: Notifier) -> None:
    await notifier.hear(session(40))
    await notifier.hear(a_decision(AgentEnrolled))
    await have_begun(notifier, FanOutTask.JOINING)
    await notifier.change("UPDATE enrolment SET since = now() - interval '60 days'")
    await notifier.hear(changed(10))
    assert await planned(notifier) == {"reminder-week", "reminder-day"}


@pytest.mark.parametrize("waits", [False, True])
async def test_only_who_has_a_seat_has_letters_to_come(notifier: Notifier, *, waits: bool) -> None:
    if not waits:
        await notifier.hear(session())
    await notifier.hear(a_decision(AgentWaitlisted, position=1))
    await notifier.hear(session())
    assert await to_come(notifier) == {}


async def test_letters_move_with_their_session(notifier: Notifier) -> None:
    await notifier.hear(session(40))
    await notifier.hear(a_decision(AgentEnrolled))
    before = await to_come(notifier)
    await notifier.hear(changed(30))
    after = await to_come(notifier)
    assert set(after) == ALL
    for template in ALL:
        assert before[template] - after[template] == pytest.approx(timedelta(days=10), abs=timedelta(hours=1))
    assert len(await notifier.rows(where="template = 'session-changed'")) == 1


async def test_a_reminder_whose_moment_has_passed_when_the_session_moves_is_dropped(
    notifier: Notifier,
) -> None:
    await notifier.hear(session(40))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(changed(4))
    assert set(await to_come(notifier)) == {"reminder-day"}
    late = await notifier.rows(where="template <> 'enrolment-confirmed'")
    assert [(row.template, row.state) for row in late if row.template in ALL] == [
        ("joining-instructions", "pending")
    ]


async def test_a_letter_that_goes_back_for_weeks_may_then_be_tried_for_days(notifier: Notifier) -> None:
    await notifier.hear(tomorrow())
    await notifier.hear(a_decision(AgentEnrolled), at=clock.now() - timedelta(days=2))
    await notifier.deliver()
    await notifier.hear(changed(60))
    (sent,) = await notifier.rows(where="template = 'reminder-day'")
    async with notifier.database.transaction() as tx:
        again = await mails.resend(tx, sent.mail_id, actor="test")
    await notifier.deliver()
    (row,) = await notifier.rows(where=f"mail_id = '{again}'")
    assert (row.state, row.due_at > clock.now() + timedelta(days=50)) == ("pending", True)
    assert row.give_up_at - row.due_at == pytest.approx(timedelta(days=4), abs=timedelta(seconds=5))


async def test_a_reminder_that_was_sent_is_sent_again_for_the_new_dates(notifier: Notifier) -> None:
    await notifier.hear(session(40))
    await notifier.hear(a_decision(AgentEnrolled))
    await have_begun(notifier, FanOutTask.JOINING, FanOutTask.REMINDER_WEEK)
    await notifier.hear(changed(60))
    assert set(await to_come(notifier)) == ALL
    await notifier.hear(changed(60, version=3, venue="Salle neuve"))
    assert set(await to_come(notifier)) == ALL


async def test_a_withdrawal_drops_what_was_to_come_and_a_new_enrolment_plans_it_anew(
    notifier: Notifier,
) -> None:
    await notifier.hear(session())
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    assert await to_come(notifier) == {}
    await notifier.hear(a_decision(AgentEnrolled, version=3))
    assert set(await to_come(notifier)) == ALL
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=4), a_decision(AgentEnrolled, version=5))
    assert set(await to_come(notifier)) == ALL


async def test_a_reminder_of_a_cancelled_session_is_not_sent(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.hear(SessionCancelled.model_validate(session(version=2, status="cancelled").model_dump()))
    assert await to_come(notifier) == {}
    await notifier.deliver()
    assert notifier.relay.taken == []
    assert set(await notifier.states()) == {"superseded"}


def tomorrow(**changes: Any) -> SessionScheduled:
    """A session whose last reminder was due an hour ago."""
    start = clock.now() + timedelta(hours=23)
    return session(**({"starts_at": start, "ends_at": start + timedelta(hours=3)} | changes))


async def reminded(notifier: Notifier) -> list[tuple[str, str]]:
    """Who has a row for the reminder of the day before, and where it stands."""
    rows = await notifier.rows(where="template = 'reminder-day'")
    return sorted((row.recipient, row.state) for row in rows)


DAYS_AGO = clock.now() - timedelta(days=2)


async def test_a_reminder_in_the_queue_whose_session_moves_is_sent_for_the_new_date_instead(
    notifier: Notifier,
) -> None:
    await notifier.hear(tomorrow())
    await notifier.hear(a_decision(AgentEnrolled), at=DAYS_AGO)
    await notifier.hear(changed(60))
    await notifier.deliver()
    assert await reminded(notifier) == [("IEL-0048151", "superseded")]
    assert set(await to_come(notifier)) == ALL


async def test_a_reminder_of_an_enrolment_that_has_ended_is_not_sent(notifier: Notifier) -> None:
    await notifier.hear(a_decision(AgentEnrolled), at=DAYS_AGO)
    await notifier.hear(tomorrow())
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    await notifier.deliver()
    assert await reminded(notifier) == [("IEL-0048151", "superseded")]


async def test_who_enrols_again_after_the_moment_is_not_reminded_by_the_enrolment_that_ended(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled), at=DAYS_AGO)
    await notifier.hear(tomorrow())
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2), a_decision(AgentEnrolled, version=3))
    await notifier.deliver()
    assert await reminded(notifier) == [("IEL-0048151", "superseded")]


async def test_who_had_a_seat_before_a_moment_is_written_to_even_if_that_is_heard_after_it(
    notifier: Notifier,
) -> None:
    await notifier.hear(tomorrow())
    assert await notifier.query("SELECT 1 FROM fan_out") == [], "nobody is enrolled, and nothing is to come"
    await notifier.hear(enrolled(1), at=DAYS_AGO)
    await notifier.hear(enrolled(2), at=clock.now() - timedelta(minutes=5))
    assert await reminded(notifier) == [("A-1", "pending")]


async def test_the_cause_of_a_reminder_is_the_decision_that_gave_the_seat(notifier: Notifier) -> None:
    await notifier.hear(tomorrow())
    (decision_id,) = await notifier.hear(a_decision(AgentEnrolled), at=DAYS_AGO)
    await notifier.deliver()
    published = [json.loads(data) for _, data in await notifier.published()]
    causes = {data["template"]: data["cause_id"] for data in published}
    (reminder,) = await notifier.rows(where="template = 'reminder-day'")
    async with notifier.database.transaction() as tx:
        row = await stored_mails.get(tx, reminder.mail_id)
    assert row is not None
    assert (causes["reminder-day"], str(row.cause_id)) == (str(decision_id), str(decision_id))
    assert row.event_id != decision_id


async def a_reminder_is_due(notifier: Notifier, session_id: UUID = SESSION_ID) -> None:
    """The session is known, the moment of its last reminder is near, and the job has not seen it."""
    await notifier.take(session(session_id=session_id))
    await notifier.change(
        "UPDATE fan_out SET due_at = now(), called_for_at = :moment WHERE task = 'reminder-day'",
        moment=clock.now(),
    )


async def test_who_is_heard_of_while_the_fan_out_runs_is_written_to_once(notifier: Notifier) -> None:
    await notifier.hear(*(enrolled(number) for number in range(8)), at=DAYS_AGO)
    await a_reminder_is_due(notifier)
    for number in range(8, 16):  # before it begins, and between its slices
        async with notifier.database.transaction() as tx:
            await next_slice(tx, clock.now(), most=1)
        await notifier.take(enrolled(number), at=DAYS_AGO)
    await notifier.fan_out()
    assert await reminded(notifier) == sorted((f"A-{number}", "pending") for number in range(16))


async def test_a_fan_out_that_begins_and_an_enrolment_at_the_same_time_miss_nobody(
    notifier: Notifier,
) -> None:
    for number in range(25):
        session_id = uuid4()
        await a_reminder_is_due(notifier, session_id)
        await asyncio.gather(
            notifier.take(enrolled(number, session_id=session_id), at=DAYS_AGO), notifier.fan_out()
        )
        await notifier.fan_out()
    assert await reminded(notifier) == sorted((f"A-{number}", "pending") for number in range(25))


async def test_an_enrolment_that_is_being_read_holds_up_the_beginning_of_its_reminder(
    notifier: Notifier, eventually: Callable[..., Awaitable[None]]
) -> None:
    async def it_waits() -> bool:
        return bool(
            await notifier.query(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event = 'advisory'"
            )
        )

    await a_reminder_is_due(notifier)
    async with notifier.database.transaction() as tx:
        await sessions.lock(tx, [SESSION_ID], exclusive=False)
        beginning = asyncio.create_task(jobs.fan_out(notifier.database))
        await eventually(it_waits, "the job waits for the enrolment")
    await beginning


async def test_a_session_that_moves_there_and_back_reminds_once(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the evening before, when reminders of the night are sent that would be due again."""
    monkeypatch.setattr(timing, "by_day", lambda moment, _zone: moment - timedelta(hours=3))
    start = clock.now() + timedelta(hours=26)
    here: dict[str, Any] = {"starts_at": start, "ends_at": start + timedelta(hours=3)}
    await notifier.hear(*(enrolled(number) for number in (1, 2)))
    await notifier.hear(session(**here))
    await notifier.change("UPDATE mail SET due_at = now() + interval '1 hour' WHERE recipient = 'A-2'")
    await notifier.deliver()
    await notifier.hear(changed(60))
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert await reminded(notifier) == [("A-1", "sent"), ("A-2", "superseded")]
    await notifier.hear(changed(version=3, **here))
    await notifier.deliver()
    assert await reminded(notifier) == [("A-1", "sent"), ("A-2", "sent")]
    assert set(notifier.relay.per_message_id().values()) == {1}


async def test_who_was_reminded_of_the_old_date_is_reminded_of_the_new_one(notifier: Notifier) -> None:
    await notifier.hear(tomorrow())
    await notifier.hear(enrolled(1), at=DAYS_AGO)
    await notifier.deliver()
    await notifier.hear(changed(60))
    await notifier.change("UPDATE fan_out SET due_at = now() WHERE task = 'reminder-day'")
    await notifier.fan_out()
    assert await reminded(notifier) == [("A-1", "pending"), ("A-1", "sent")]


async def test_joining_instructions_that_were_to_come_go_out_when_their_session_moves_nearer(
    notifier: Notifier,
) -> None:
    await notifier.hear(session(40))
    await notifier.hear(enrolled(1))
    await notifier.take(changed(10))
    await notifier.take(enrolled(2), at=clock.now() + timedelta(seconds=1))
    await notifier.fan_out()
    rows = await notifier.rows(where="template = 'joining-instructions'")
    assert [(row.recipient, row.state) for row in rows] == [("A-1", "pending")]


@pytest.mark.parametrize(
    ("days_before", "due"),
    [(3, "2 days from now"), (6, "at once")],
)
async def test_a_planned_reminder_follows_the_days_of_its_session(
    notifier: Notifier, days_before: int, due: str
) -> None:
    await notifier.hear(session(5))
    await notifier.hear(enrolled(1))
    await notifier.hear(changed(5, last_reminder_days_before=days_before))
    planned = await to_come(notifier)
    if due == "at once":
        await notifier.fan_out()
        assert await reminded(notifier) == [("A-1", "pending")]
    else:
        assert planned["reminder-day"] == noon(2)


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


async def test_a_change_is_told_to_who_had_a_seat_and_not_to_who_enrolled_after(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(enrolled(1), a_decision(AgentWaitlisted, agent=an_agent(agent_id="W"), position=1))
    await notifier.hear(changed(venue="Salle neuve"))
    await notifier.hear(enrolled(2))
    await notifier.hear(changed(version=3, title="Titre corrigé", venue="Salle neuve"))
    rows = await notifier.rows(where="template = 'session-changed'")
    assert [row.recipient for row in rows] == ["A-1"]
    assert rows[0].details["venue_before"].startswith("Le Couvent")


async def test_a_change_that_is_read_late_is_told_to_who_has_been_told_otherwise_meanwhile(
    notifier: Notifier,
) -> None:
    """Whenever it was sent: the topics are read in no order, and the confirmation had the old date."""
    await notifier.hear(session(40))
    await notifier.hear(enrolled(1), at=clock.now() - timedelta(minutes=20))
    await notifier.hear(changed(41), at=clock.now() - timedelta(minutes=30))
    [mail] = await notifier.rows(where="template = 'session-changed'")
    assert mail.recipient == "A-1"


async def test_a_change_is_not_told_to_who_is_heard_of_later_though_enrolled_before(
    notifier: Notifier,
) -> None:
    """Their confirmation says it."""
    await notifier.hear(session(40))
    await notifier.hear(enrolled(1))
    await notifier.take(changed(41), at=clock.now() - timedelta(minutes=30))
    await notifier.hear(enrolled(2), at=clock.now() - timedelta(minutes=31))
    [mail] = await notifier.rows(where="template = 'session-changed'")
    assert mail.recipient == "A-1"


async def test_a_change_is_told_to_all_who_wait_for_a_seat_or_for_an_answer(notifier: Notifier) -> None:
    def decided(agent_id: str, event: Any, **details: Any) -> Any:
        return a_decision(event, agent=an_agent(agent_id=agent_id), enrolment_id=uuid4(), **details)

    await notifier.hear(session())
    await notifier.hear(
        enrolled(1),
        decided("W", AgentWaitlisted, position=1),
        decided("O", SeatOffered, hold_until=noon(20)),
        decided("P", EnrolmentPending, awaiting="selection"),
        decided("R", EnrolmentRefused, reason="not_eligible"),
        decided("L", EnrolmentWithdrawn),
    )
    await notifier.hear(changed(venue="Salle neuve"))
    await notifier.hear(decided("Z", AgentWaitlisted, position=2))
    await notifier.hear(changed(version=3, venue="Salle neuve", join_url="https://visio.example/1"))
    letters = await notifier.rows("recipient", "template = 'session-changed-waiting'")
    assert sorted(row.recipient for row in letters) == ["O", "P", "W"]


async def test_two_processes_do_not_work_on_one_fan_out(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(enrolled(1))
    async with notifier.database.transaction() as tx:
        await fan_outs.store(tx, [FanOut(uuid4(), FanOutTask.CHANGE, SESSION_ID, {}, clock.now())])
    async with notifier.database.transaction() as tx, notifier.database.transaction() as other:
        assert await next_slice(tx, clock.now(), most=10) == 1
        assert await next_slice(other, clock.now(), most=10) is None


async def test_a_fan_out_rests_longer_than_it_works_so_that_answers_keep_moving(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.hear(session())
    await notifier.hear(enrolled(1))
    await notifier.take(changed(venue="Salle neuve"))
    seconds = itertools.count()
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: next(seconds)))

    rest = await jobs.fan_out(notifier.database)

    assert rest is not None
    assert rest > 1, "it took one second"
    while await jobs.fan_out(notifier.database) is not None:
        pass
    assert len(await notifier.rows(where="template = 'session-changed'")) == 1


# ---------------------------------------------------------------------------------------- evaluation


def attended(version: int, *, certified: bool = False, **changes: Any) -> AttendanceRecorded:
    fields = {"attendance": "attended", "certified": certified, "version": version}
    event = a_decision(AttendanceRecorded, **(fields | changes))
    assert isinstance(event, AttendanceRecorded)
    return event


async def letters_taken(notifier: Notifier) -> list[str]:
    """What each letter that was sent says, as text."""
    await notifier.deliver()
    parts = [mail.message.get_body(("plain",)) for mail in notifier.relay.taken]
    return [part.get_content() for part in parts if part is not None]


EVALUATION = "https://avis.example/ia"


async def test_who_attended_is_asked_once_however_many_modules_and_from_the_day_after_on(
    notifier: Notifier,
) -> None:
    await notifier.hear(session(0, evaluation_url=EVALUATION))
    await notifier.hear(attended(2), attended(3))
    await notifier.hear(attended(4))
    (mail,) = await notifier.rows()
    assert await letters_taken(notifier) == []
    await notifier.hear(changed(-2, evaluation_url=EVALUATION))
    await notifier.change("UPDATE mail SET due_at = now()")
    (letter,) = await letters_taken(notifier)
    assert EVALUATION in letter
    await notifier.hear(attended(5, certified=True))
    _, certificate = await letters_taken(notifier)
    assert EVALUATION not in certificate
    assert mail.details["cause_id"] != str(mail.event_id)


async def test_where_there_is_a_certificate_its_letter_asks_and_no_other(notifier: Notifier) -> None:
    await notifier.hear(session(-5, evaluation_url=EVALUATION))
    await notifier.hear(attended(2), attended(3, certified=True))
    (letter,) = await letters_taken(notifier)
    assert EVALUATION in letter
    assert "attestation" in letter
    states = await notifier.rows("template, state")
    assert {tuple(row) for row in states} == {("evaluation", "superseded"), ("certificate", "sent")}


async def test_nobody_is_asked_about_a_session_without_a_link(notifier: Notifier) -> None:
    await notifier.hear(session(-5))
    await notifier.hear(attended(2), attended(3, attendance="absent"))
    assert await notifier.rows() == []

"""Letters to come and letters to many: planned, moved, dropped, and never doubled by a kill in the middle."""

import itertools
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from services.notifier import jobs
from services.notifier.letters import FanOut, FanOutTask, Template
from services.notifier.service.fan_outs import next_slice
from services.notifier.store import fan_outs
from shared import clock
from shared.events.catalogue import SessionCancelled, SessionChanged, SessionScheduled
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted, EnrolmentWithdrawn
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_handlers import enrolled
from tests.unit.notifier.builders import a_decision, a_session, an_agent

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
    rows = await notifier.rows(where="state = 'pending' AND due_at > now()")
    assert len({row.template for row in rows}) == len(rows)
    return {row.template: row.due_at for row in rows}


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
    row = (await notifier.rows(where="template = 'reminder-day'"))[0]
    assert row.give_up_at - row.due_at == timedelta(days=4)


async def test_the_letters_of_an_enrolment_that_overtook_its_session_are_planned_when_it_comes(
    notifier: Notifier,
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    assert await to_come(notifier) == {}
    await notifier.hear(session())
    assert set(await to_come(notifier)) == ALL
    await notifier.hear(changed(venue="Salle neuve"))
    assert set(await to_come(notifier)) == ALL


async def planned(notifier: Notifier) -> set[str]:
    """The letters that time calls for which are still to be sent, those due by now too."""
    rows = await notifier.rows(where="state = 'pending'")
    return {row.template for row in rows} & ALL


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
    await notifier.change("UPDATE mail SET state = 'sent'")
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
    states = {row.template: row.state for row in await notifier.rows()}
    assert states["reminder-week"] == "superseded"
    assert (states["joining-instructions"], states["reminder-day"]) == ("pending", "pending")


async def test_a_letter_that_goes_back_for_weeks_may_then_be_tried_for_days(notifier: Notifier) -> None:
    await notifier.hear(session(16))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.change("UPDATE mail SET state = 'retry', due_at = now() WHERE template = 'reminder-day'")
    await notifier.hear(changed(60))
    await notifier.deliver()
    (row,) = await notifier.rows(where="template = 'reminder-day' AND state = 'pending'")
    assert row.give_up_at - row.due_at == pytest.approx(timedelta(days=4), abs=timedelta(seconds=5))


async def test_a_reminder_that_was_sent_is_sent_again_for_the_new_dates(notifier: Notifier) -> None:
    await notifier.hear(session(40))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.change("UPDATE mail SET state = 'sent' WHERE template <> 'reminder-day'")
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
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    assert notifier.relay.taken == []
    assert set(await notifier.states()) == {"superseded"}


async def test_a_reminder_whose_session_moved_before_the_queue_knew_goes_back(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(a_decision(AgentEnrolled))
    due = await to_come(notifier)
    await notifier.change("UPDATE mail SET due_at = now() WHERE template = 'reminder-day'")
    await notifier.deliver()
    assert len(notifier.relay.taken) == 1
    row = (await notifier.rows(where="template = 'reminder-day'"))[0]
    assert (row.state, row.attempts) == ("pending", 0)
    assert abs(row.due_at - due["reminder-day"]) < timedelta(seconds=5)


async def test_a_change_is_told_to_who_had_a_seat_and_not_to_who_enrolled_after(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(enrolled(1), a_decision(AgentWaitlisted, agent=an_agent(agent_id="W"), position=1))
    await notifier.hear(changed(venue="Salle neuve"))
    await notifier.hear(enrolled(2))
    await notifier.hear(changed(version=3, title="Titre corrigé", venue="Salle neuve"))
    rows = await notifier.rows(where="template = 'session-changed'")
    assert [row.recipient for row in rows] == ["A-1"]
    assert rows[0].details["venue_before"].startswith("Le Couvent")


async def test_two_processes_do_not_work_on_one_fan_out(notifier: Notifier) -> None:
    await notifier.hear(session())
    await notifier.hear(enrolled(1))
    async with notifier.database.transaction() as tx:
        await fan_outs.begin(
            tx, [FanOut(uuid4(), FanOutTask.CHANGE, a_session().session_id, {}, clock.now())]
        )
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


async def test_the_database_and_the_rules_mean_the_same_letters_to_come() -> None:
    from services.notifier import letters, tables

    assert {Template(name) for name in tables.SCHEDULED.split("'")[1::2]} == set(letters.SCHEDULED)

"""Whatever is kept of an agent stands in the register, and ends by its rules."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.personal_data import REGISTER
from services.enrolment.rules.policy import Policy
from services.enrolment.service import session_changes
from services.enrolment.settings import Settings
from services.enrolment.tables import metadata
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.notifier import BounceKind, EmailBounced
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    ApprovalDecided,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    QuestionAnswer,
    WithdrawalRequested,
)
from shared.events.vocabulary import Agent, Contact
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.messaging.giving_up import end_undecided
from shared.observability import configure_logging
from shared.process.jobs import end_old_rows
from tests.integration.enrolment.conftest import Front
from tests.support.builders import a_question, an_agent, open_now
from tests.support.consuming import a_record, received, take
from tests.support.logs import lines_of, logging_as_before
from tests.support.searching import MARK, columns_with, registered

SETTINGS = Settings(
    enrolment_database_url="postgresql://user@localhost/name", kafka_bootstrap_servers="localhost:1"
)


@pytest.fixture
def database(answering: Database) -> Database:
    return answering


def the_agent(number: int) -> Agent:
    name = f"{MARK}-{number}"
    employer = {"siret": "21350238800019", "name": MARK, "delegation": "bretagne"}
    return an_agent(
        name, email=f"{name}@exemple.fr", given_name=name, family_name=name, employer=employer, issuer="iel"
    )


async def live_through_everything(database: Database, front: Front) -> SessionState:
    """Leave the mark of agents in every way that they come into this service."""
    seats, approved = open_now(capacity=1), open_now(approval="employer")
    asking = open_now(questions=[a_question(kind="text")])
    await front.publish(seats, approved, asking)
    first, second, third = (the_agent(number) for number in range(3))
    answer = QuestionAnswer(question_id="repas", value=MARK)
    requests = (
        EnrolmentRequested(session_id=seats.session_id, agent=first),
        GroupEnrolmentRequested(
            session_id=seats.session_id,
            agents=(second, third),
            requested_by=Contact(name=MARK, email=f"{MARK}@exemple.fr"),
        ),
        WithdrawalRequested(session_id=seats.session_id, agent_id=first.agent_id, reason=MARK),
        EnrolmentRequested(session_id=approved.session_id, agent=first),
        ApprovalDecided(
            session_id=approved.session_id, agent_id=first.agent_id, granted=False, decided_by=MARK
        ),
        EnrolmentRequested(session_id=uuid4(), agent=first),
        EnrolmentRequested(session_id=asking.session_id, agent=first, answers=(answer,)),
    )
    await take(router, database, [received(request, issuer="iel") for request in requests], policy=Policy())
    bounce = EmailBounced(
        mail_id=uuid4(),
        agent_id=first.agent_id,
        issuer="iel",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        enrolment_id=uuid4(),
        message_id="<1@parcours.example>",
        kind=BounceKind.HARD,
        bounced_at=clock.now(),
        suppressed=True,
    )
    await take(router, database, [received(bounce)])
    async with database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(requests[0]), None, "no reason", MARK)])
    return seats


async def test_whatever_is_kept_of_an_agent_stands_in_the_register(database: Database, front: Front) -> None:
    seats = await live_through_everything(database, front)
    await front.publish(seats.model_copy(update={"version": 2, "venue": "Brest, 1 quai du Test"}))
    async with database.transaction() as tx:
        assert await session_changes.next_slice(tx, most=1)
    agent_id = the_agent(1).agent_id
    of_agent = (
        AgentCorrected(agent_id=agent_id, family_name=f"{MARK}-Martin"),
        AgentErasureRequested(agent_id=agent_id, requested_at=clock.now()),
    )
    await take(router, database, [received(request, issuer="iel") for request in of_agent], policy=Policy())

    found = await columns_with(database, metadata)

    assert found - registered(REGISTER) == set()
    assert {table for table, _ in found} == {
        "bad_address",
        "correction",
        "dead_letter",
        "enrolment",
        "enrolment_change",
        "erasure",
        "outbox",
        "question_answer",
        "request",
        "session_change",
    }


async def test_at_debug_the_log_tells_of_each_event_and_batch_and_names_nobody(
    database: Database, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_as_before():
        configure_logging("json", "DEBUG", "enrolment")
        await live_through_everything(database, front)

    lines = lines_of(capsys)
    assert MARK.lower() not in str(lines).lower()
    said = [line["message"] for line in lines]
    assert [text for text in said if text.startswith("portal.enrolments: a batch of 7 in ")]
    assert [text for text in said if text.endswith("GroupEnrolmentRequested.v1")]


async def test_nothing_is_left_of_an_agent_when_every_rule_has_ended_it(
    database: Database, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through_everything(database, front)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET sent_at = now()"))
        await tx.execute(text("UPDATE request SET decided_at = coalesce(decided_at, now())"))
    before = await columns_with(database, metadata)
    await end_old_rows(database, REGISTER, SETTINGS)
    assert await columns_with(database, metadata) == before

    later = clock.now() + timedelta(days=SETTINGS.enrolment_attendance_kept_days + 60)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    assert await end_undecided(database, router, SETTINGS.dead_letters_kept_days) is not None
    await end_old_rows(database, REGISTER, SETTINGS)

    assert await columns_with(database, metadata) == set()


@pytest.mark.parametrize(("days", "left"), [(360, ["enrolled", "withdrawn"]), (370, ["enrolled"])])
async def test_a_seat_is_kept_for_years_and_what_ended_without_one_for_a_year(
    database: Database, front: Front, monkeypatch: pytest.MonkeyPatch, days: int, left: list[str]
) -> None:
    session, seated, gone = open_now(), the_agent(1), the_agent(2)
    await front.publish(session)
    await front.enrol(session, seated, gone)
    await front.withdraw(session, gone)
    later = clock.now() + timedelta(days=days)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await end_old_rows(database, REGISTER, SETTINGS)
    async with database.quiet_transaction() as tx:
        states = await tx.scalars(text("SELECT state FROM enrolment ORDER BY state"))
        changes = await tx.scalars(text("SELECT count(*) FROM enrolment_change"))
        assert (list(states), changes.one()) == (left, len(left) - 1)

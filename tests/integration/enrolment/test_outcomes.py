"""What became of a request, and why: by its id alone, and without a word about anybody."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from faststream import ContextRepo
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, Request, SeatRequest, Withdrawal
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Record
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted
from shared.events.portal import GroupEnrolmentRequested
from shared.events.topics import Topic
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import Parked
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front
from tests.support.builders import an_agent, as_json, headers, open_now
from tests.support.consuming import a_partition_check, admit


async def published(front: Front, ask: Ask, request: Request) -> dict[str, Any]:
    await front.answer(request)
    answer = await ask("GET", f"/api/v1/requests/{request.request_id}")
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()
    assert (outcome["request_id"], outcome["session_id"]) == (
        str(request.request_id),
        str(request.session_id),
    )
    return outcome


def asking(session: SessionState, agent_id: str) -> SeatRequest:
    return SeatRequest(uuid4(), clock.now(), session.session_id, an_agent(agent_id), approved=False)


async def test_an_answer_comes_with_the_seats_and_the_waiting_list_it_was_decided_by(
    front: Front, ask: Ask
) -> None:
    session = open_now(capacity=1, waiting_list="automatic")
    await front.publish(session)
    seated, queued = [await published(front, ask, asking(session, agent_id)) for agent_id in ("Q-1", "Q-2")]
    assert (seated["state"], seated["asked"], seated["outcome"]) == ("answered", "enrolment", "enrolled")
    assert seated["facts"] == {
        "session_version": 1,
        "capacity": 1,
        "enrolled": 0,
        "offered": 0,
        "waiting": 0,
    }
    assert (queued["outcome"], queued["facts"]["enrolled"]) == ("waitlisted", 1)
    assert queued["facts"]["place_in_line"] == 1
    assert (seated["event"], queued["event"]) == (AgentEnrolled.TYPE, AgentWaitlisted.TYPE)
    assert seated["moves"] == queued["moves"] == []


async def test_a_withdrawal_says_what_it_set_in_motion(front: Front, ask: Ask) -> None:
    session = open_now(capacity=1, waiting_list="offer")
    await front.publish(session)
    await front.enrol(session, an_agent("Q-1"), an_agent("Q-2"))
    outcome = await published(
        front, ask, Withdrawal(uuid4(), clock.now(), session.session_id, an_agent("Q-1").key, None)
    )
    assert (outcome["asked"], outcome["outcome"]) == ("withdrawal", "withdrawn")
    assert outcome["moves"] == [
        {"cause": "withdrawal", "state": "withdrawn", "event": "fr.cnfpt.enrolment.EnrolmentWithdrawn.v1"},
        {"cause": "seat_freed", "state": "offered", "event": "fr.cnfpt.enrolment.SeatOffered.v1"},
    ]


async def test_a_refusal_says_its_reason_and_moves_nobody(front: Front, ask: Ask) -> None:
    session = open_now(capacity=0, waiting_list="none")
    await front.publish(session)
    outcome = await published(front, ask, asking(session, "Q-1"))
    assert (outcome["outcome"], outcome["reason"], outcome["moves"]) == ("refused", "session_full", [])


async def test_the_answer_to_a_group_says_how_many_came_to_what_and_names_nobody(
    front: Front, ask: Ask
) -> None:
    session = open_now(capacity=2, waiting_list="automatic")
    await front.publish(session)
    agents = tuple(an_agent(f"Q-{number}") for number in range(3))
    group = GroupRequest(uuid4(), clock.now(), session.session_id, agents, all_or_nothing=False)
    outcome = await published(front, ask, group)
    assert (outcome["asked"], outcome["outcome"]) == ("group_enrolment", "mixed")
    assert outcome["facts"]["agents_enrolled"] == 2
    assert outcome["facts"]["agents_waitlisted"] == 1
    assert "Q-" not in str(outcome)


def a_record(event_id: UUID, value: dict[str, Any], offset: int = 0, **changes: Any) -> Record:
    return Record(
        Topic.PORTAL_ENROLMENTS,
        partition=0,
        offset=offset,
        key=None,
        value=as_json(value),
        headers=tuple(headers(GroupEnrolmentRequested.TYPE, event_id=event_id, **changes)),
        received_at=clock.now(),
    )


def a_group(*agent_ids: str) -> dict[str, Any]:
    return {
        "session_id": str(uuid4()),
        "agents": [an_agent(agent_id).model_dump(mode="json") for agent_id in agent_ids],
        "requested_by": {"name": "Nadia Benali", "email": "formation@ville.fr"},
    }


async def take_in(database: Database, *records: Record) -> None:
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    consumer = Consumer(router.subscriptions[Topic.PORTAL_ENROLMENTS], database, context, admit)
    await consumer.take([consumer.read(record) for record in records])


@pytest.mark.parametrize(
    ("group", "pointer", "why"),
    [
        ([], "/agents", "Tuple should have at least 1 item"),
        ([f"G-{number}" for number in range(501)], "/agents", "Tuple should have at most 500 items"),
        (["G-1", "G-1"], "/agents", "an agent stands twice in the group"),
    ],
)
async def test_what_is_rejected_changes_nothing_and_its_portal_can_ask_why(
    database: Database, ask: Ask, group: list[str], pointer: str, why: str
) -> None:
    request_id = uuid4()
    await take_in(database, a_record(request_id, a_group(*group)))
    outcome = (await ask("GET", f"/api/v1/requests/{request_id}")).json()
    assert (outcome["state"], outcome["code"], outcome["outcome"]) == ("rejected", "invalid", None)
    [problem] = outcome["problems"]
    assert problem["pointer"] == pointer
    assert why in problem["message"]
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM request")) == 0


async def test_a_rejected_record_is_kept_as_evidence_once_and_hurts_nobody_beside_it(
    database: Database, ask: Ask
) -> None:
    good, forged, unknown = uuid4(), uuid4(), uuid4()
    records = [
        a_record(forged, a_group("G-1"), 0, ce_source=b"/portals/iel"),
        a_record(good, a_group("G-1"), 1),
        a_record(unknown, a_group("G-1"), 2, ce_type=b"fr.cnfpt.portal.GroupEnrolmentAsked.v1"),
    ]
    await take_in(database, *records)
    await take_in(database, *records)
    async with database.quiet_transaction() as tx:
        kept = await tx.execute(text("SELECT * FROM dead_letter ORDER BY id"))
    assert [(row.state, row.code, row.source, row.portal, row.value) for row in kept] == [
        ("rejected", "unknown_portal", "/portals/iel", None, records[0].value),
        ("rejected", "unknown_type", "/portals/essai", "essai", records[2].value),
    ]
    assert (await ask("GET", f"/api/v1/requests/{good}")).json()["state"] == "pending"
    assert (await ask("GET", f"/api/v1/requests/{unknown}")).json()["code"] == "unknown_type"


async def test_the_same_id_mended_is_a_new_request(database: Database, ask: Ask) -> None:
    request_id = uuid4()
    await take_in(database, a_record(request_id, a_group()))
    await take_in(database, a_record(request_id, a_group("G-1"), offset=1))
    assert (await ask("GET", f"/api/v1/requests/{request_id}")).json()["state"] == "pending"


async def test_a_request_that_no_handler_could_take_is_pending_until_it_is_discarded(
    database: Database, ask: Ask
) -> None:
    request_id = uuid4()
    letter = Parked(a_record(request_id, a_group("G-1")), None, "ValueError", "Traceback", request_id)
    async with database.transaction() as tx:
        await dead_letters.park(tx, [letter])
    assert (await ask("GET", f"/api/v1/requests/{request_id}")).json()["state"] == "pending"
    async with database.transaction() as tx:
        await dead_letters.settle(tx, 1, state="discarded", actor="nadia", note="of a test")
    outcome = (await ask("GET", f"/api/v1/requests/{request_id}")).json()
    assert (outcome["state"], outcome["code"]) == ("rejected", "internal")

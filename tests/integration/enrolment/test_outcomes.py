"""What became of a request, and why: by its id alone, and without a word about anybody."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.rules.requests import GroupRequest, Request, SeatRequest, Withdrawal
from shared import clock
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.cloudevents import Record
from shared.events.enrolment import AgentEnrolled, AgentWaitlisted
from shared.events.portal import GroupEnrolmentRequested
from shared.events.topics import Topic
from shared.messaging.consumer import Consumer, read
from tests.integration.enrolment.conftest import PROBLEM, Ask, Front
from tests.support.builders import an_agent, as_json, headers, open_now


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
    outcome = await published(front, ask, Withdrawal(uuid4(), clock.now(), session.session_id, "Q-1", None))
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


@pytest.mark.parametrize(
    ("group", "why"),
    [
        ([], "agents: Tuple should have at least 1 item"),
        ([f"G-{number}" for number in range(501)], "agents: Tuple should have at most 500 items"),
        (["G-1", "G-1"], "agents: Value error, an agent stands twice in the group"),
    ],
)
async def test_a_group_that_cannot_be_read_changes_nothing_and_its_portal_can_ask_why(
    database: Database, ask: Ask, group: list[str], why: str
) -> None:
    request_id = uuid4()
    document = {
        "session_id": str(uuid4()),
        "agents": [an_agent(agent_id).model_dump(mode="json") for agent_id in group],
        "requested_by": {"name": "Nadia Benali", "email": "formation@ville.fr"},
    }
    record = Record(
        Topic.PORTAL_ENROLMENTS,
        partition=0,
        offset=0,
        key=None,
        value=as_json(document),
        headers=tuple(headers(GroupEnrolmentRequested.TYPE, event_id=request_id)),
        received_at=clock.now(),
    )
    await Consumer(router.subscriptions[Topic.PORTAL_ENROLMENTS], database).take([read(record)])
    answer = await ask("GET", f"/api/v1/requests/{request_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert why in answer.json()["detail"]
    async with database.quiet_transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM request")) == 0

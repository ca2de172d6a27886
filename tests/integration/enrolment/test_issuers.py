"""Two portals whose issuers gave two agents one identifier, and that use one ce_id: neither is mistaken."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from faststream import ContextRepo

from services.enrolment.explanations import lines_of
from services.enrolment.handlers import router
from services.enrolment.rules.policy import Policy
from services.enrolment.service.explain import explain
from shared.database import Database
from shared.events.catalogue import SessionState
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import ApprovalDecided, EnrolmentRequested, SeatOfferAnswered, WithdrawalRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Agent, Event
from shared.messaging.consumer import Consumer
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.read_log import Reading
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import BRETAGNE, lines, of, send
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_partition_check, a_record
from tests.support.rosters import NANTES

SendRecord = Callable[..., Awaitable[None]]

IEL, SIRH = an_agent("1001", issuer="iel"), an_agent("1001", issuer="sirh", family_name="Martin")
PUBLISHED = "SELECT count(*) FROM outbox WHERE topic LIKE 'enrolment.%'"


@pytest.fixture
def portal(database: Database, tmp_path: Path) -> SendRecord:
    """``await portal("iel", event, ce_id)``: the portal sends it, and it is admitted and handled."""
    path = tmp_path / "two-portals.json"
    unsigned = {"contact": "equipe@portail.example", "authentication": "none"}
    entries = [
        unsigned | {"portal": "iel", "issuer": "iel"},
        unsigned | {"portal": "sirh", "issuer": "sirh"},
        unsigned | {"portal": "nantes", "issuer": "iel", "sirets": [NANTES]},
    ]
    path.write_text(json.dumps(entries))
    admit = Admission(PortalsFile(path, trial=True), intake_keys=[])
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    consumer = Consumer(router.subscriptions[Topic.PORTAL_ENROLMENTS], database, context, admit)

    async def send_event(name: str, event: Event, ce_id: UUID | None = None) -> None:
        await consumer.take([consumer.read(a_record(event, ce_id, source=f"/portals/{name}"))])

    return send_event


def asking(session: SessionState, agent: Agent) -> EnrolmentRequested:
    return EnrolmentRequested(session_id=session.session_id, agent=agent)


def leaving(session: SessionState, agent_id: str = "1001") -> WithdrawalRequested:
    return WithdrawalRequested(session_id=session.session_id, agent_id=agent_id)


async def test_two_issuers_identifier_is_two_people_from_their_records_to_both_decisions(
    front: Front, ask: Ask, rows: SelectRows, portal: SendRecord
) -> None:
    session, ce_id = await front.open(capacity=5), uuid4()
    for name in ("iel", "sirh", "iel", "sirh"):
        # What a portal writes as issuer is not read: neither passes its agent off as the other's.
        await portal(name, asking(session, an_agent("1001", issuer="elsewhere")), ce_id)
    decided = await rows("SELECT CAST(data AS jsonb) AS data FROM outbox WHERE key = '1001' ORDER BY id")
    assert [row.data["agent"]["issuer"] for row in decided] == ["iel", "sirh"]
    assert {row.data["request_id"] for row in decided} == {str(ce_id)}
    assert len({row.data["enrolment_id"] for row in decided}) == 2
    assert await rows("SELECT request_id, source, portal, issuer, agent_id FROM request ORDER BY number") == [
        (ce_id, "/portals/iel", "iel", "iel", "1001"),
        (ce_id, "/portals/sirh", "sirh", "sirh", "1001"),
    ]
    problem(await ask("GET", f"/api/v1/requests/{ce_id}"), 409)


def denying(session: SessionState) -> ApprovalDecided:
    return ApprovalDecided(session_id=session.session_id, agent_id="1001", granted=False, decided_by="N+1")


def declining(session: SessionState) -> SeatOfferAnswered:
    return SeatOfferAnswered(session_id=session.session_id, agent_id="1001", accepted=False)


@pytest.mark.parametrize(
    ("approval", "state", "says"),
    [
        ("none", "enrolled", leaving),
        ("employer", "pending_approval", denying),
        ("none", "offered", declining),
    ],
    ids=["withdrawal", "approval", "offer"],
)
async def test_another_portals_word_about_the_same_identifier_changes_nothing(
    front: Front,
    rows: SelectRows,
    portal: SendRecord,
    *,
    approval: str,
    state: str,
    says: Callable[[SessionState], Event],
) -> None:
    seated = [an_agent()] if state == "offered" else []
    session = await front.open(*seated, approval=approval, waiting_list="offer", capacity=1)
    await portal("iel", asking(session, IEL))
    for agent in seated:
        await front.withdraw(session, agent)
    before, written = (
        await front.of(session, IEL),
        "SELECT count(*) FROM outbox WHERE topic LIKE 'enrolment.%'",
    )
    published = await rows(written)
    assert before.state == state

    await portal("sirh", says(session))
    assert await front.of(session, IEL) == before
    assert await rows(PUBLISHED) == published
    assert await rows("SELECT outcome FROM request WHERE portal = 'sirh'") == [("refused",)]

    await portal("iel", says(session))
    assert (await front.of(session, IEL)).version == before.version + 1


@pytest.mark.parametrize("session_is_known", [True, False])
async def test_a_portal_limited_to_other_authorities_finds_nobody(
    front: Front, rows: SelectRows, portal: SendRecord, session_is_known: bool
) -> None:
    session = open_now()
    if session_is_known:
        await front.publish(session)
    await portal("iel", asking(session, IEL))
    for agent_id in ("1001", "1002"):
        await portal("nantes", leaving(session, agent_id))
    if not session_is_known:
        await front.publish(session)
    assert await front.states(session, IEL) == ["enrolled"]
    assert await rows("SELECT type FROM outbox WHERE key = '1001'") == [(AgentEnrolled.TYPE,)]
    known, unknown = await rows("SELECT outcome, reason, facts FROM request WHERE portal = 'nantes'")
    assert known == unknown
    assert known.reason == "not_enrolled"


async def test_of_one_id_of_two_portals_each_changes_its_own(
    front: Front, rows: SelectRows, portal: SendRecord
) -> None:
    session, ce_id = await front.open(IEL, SIRH), uuid4()
    await portal("iel", leaving(session), ce_id)
    assert await front.states(session, IEL, SIRH) == ["withdrawn", "enrolled"]
    await portal("sirh", leaving(session), ce_id)
    assert await rows("SELECT issuer, request_id, request_source FROM enrolment_change ORDER BY issuer") == [
        ("iel", ce_id, "/portals/iel"),
        ("sirh", ce_id, "/portals/sirh"),
    ]


async def test_requests_of_one_id_wait_for_their_session_both_and_an_operator_reads_of_both(
    database: Database, front: Front, portal: SendRecord
) -> None:
    session, ce_id = open_now(capacity=5), uuid4()
    for name in ("iel", "sirh", "iel"):
        await portal(name, asking(session, an_agent("1001")), ce_id)
    await front.publish(session)
    assert await front.states(session, IEL, SIRH) == ["enrolled", "enrolled"]
    async with database.quiet_transaction() as tx:
        for identifier, said in (("1001", "agent 1001 of {}"), (str(ce_id), "sent by /portals/{}")):
            found = await explain(tx, identifier, Reading.by_command("x"))
            explained = "\n".join(line for explanation in found for line in lines_of(explanation))
            assert said.format("iel") in explained
            assert said.format("sirh") in explained


# ------------------------------------------------------------------------------------------- organisers


async def candidates(front: Front) -> SessionState:
    return await front.open(IEL, SIRH, format="inet", approval="selection", capacity=1)


async def begun(front: Front) -> SessionState:
    return await front.open(IEL, SIRH, starts_at=datetime.now(UTC) - timedelta(days=2))


async def test_a_ranking_that_may_mean_two_says_so_and_changes_nothing(front: Front, ask: Ask) -> None:
    session = await candidates(front)
    named = [{"agent_id": "1001", "issuer": issuer} for issuer in ("sirh", "iel")]

    async def rank(*ranked: Any) -> Any:
        return (await ask("PUT", of(session, "selection"), by=BRETAGNE, json={"ranked": ranked})).json()

    for ranked in (["1001"], ["1001", named[0]]):
        [error] = (await rank(*ranked))["errors"]
        assert (error["code"], error["agent_id"]) == ("ambiguous", "1001")
    [error] = (await rank(named[0]))["errors"]
    assert (error["code"], error["issuer"]) == ("missing", "iel")
    assert await front.states(session, IEL, SIRH) == ["pending_selection"] * 2
    assert await rank(*named) == {"enrolled": 1, "waitlisted": 1, "refused": 0}
    assert await front.states(session, IEL, SIRH) == ["waitlisted", "enrolled"]


async def test_attendance_that_may_mean_two_says_so_and_changes_nothing(front: Front, ask: Ask) -> None:
    session = await begun(front)
    came = {"agent_id": "1001", "attendance": "attended"}
    records: list[dict[str, str]] = [came | {"issuer": "sirh"}, came]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records})
    assert problem(answer, 422) == ["body.records.1"]
    assert answer.json()["errors"][0]["code"] == "ambiguous"
    assert await front.states(session, IEL, SIRH) == ["enrolled", "enrolled"]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records[:1]})
    assert answer.json() == {"records": 1}
    assert await front.states(session, IEL, SIRH) == ["enrolled", "certified"]


@pytest.mark.parametrize(
    ("published", "method", "sheet", "issuer_column", "marks", "states"),
    [
        (candidates, "PUT", "selection.csv", 2, {"iel": "2", "sirh": "1"}, ["waitlisted", "enrolled"]),
        (begun, "POST", "attendance.csv", 4, {"iel": "absence", "sirh": "présence"}, ["absent", "certified"]),
    ],
    ids=["candidates", "attendance"],
)
async def test_a_sheet_tells_them_apart(
    front: Front,
    ask: Ask,
    *,
    published: Callable[[Front], Awaitable[SessionState]],
    method: str,
    sheet: str,
    issuer_column: int,
    marks: dict[str, str],
    states: list[str],
) -> None:
    session = await published(front)
    heading, *form = lines(await ask("GET", of(session, sheet), by=BRETAGNE))
    filled = [heading, *([marks[line[issuer_column]], *line[1:]] for line in form)]
    answer = await send(ask, method, of(session, sheet), "\n".join(map(";".join, filled)))
    assert answer.status_code == 200, answer.text
    assert await front.states(session, IEL, SIRH) == states

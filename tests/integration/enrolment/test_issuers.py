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
from shared.events import Event
from shared.events.catalogue import SessionState
from shared.events.enrolment import AgentEnrolled
from shared.events.notifier import EmailFailed
from shared.events.portal import ApprovalDecided, EnrolmentRequested, SeatOfferAnswered, WithdrawalRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Agent
from shared.messaging.consumer import Consumer
from shared.messaging.portals.admission import Admission
from shared.messaging.portals.registry import PortalsFile
from shared.read_log import Reading
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, SelectRows, problem
from tests.integration.enrolment.organising import BRETAGNE, lines, of, send
from tests.support.builders import an_agent, open_now
from tests.support.consuming import a_partition_check, a_record, received, take
from tests.support.rosters import NANTES

SendRecord = Callable[..., Awaitable[None]]

IEL, SIRH = an_agent("1001", issuer="iel"), an_agent("1001", issuer="sirh", family_name="Martin")


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
    consumer = Consumer(
        router.subscriptions[Topic.PORTAL_ENROLMENTS],
        database,
        ContextRepo({"policy": Policy(), "partition_check": a_partition_check()}),
        admit,
    )

    async def send_event(name: str, event: Event, ce_id: UUID | None = None) -> None:
        await consumer.take([consumer.read(a_record(event, ce_id, source=f"/portals/{name}"))])

    return send_event


def asking(session: SessionState, agent: Agent) -> EnrolmentRequested:
    return EnrolmentRequested(session_id=session.session_id, agent=agent)


async def test_two_issuers_identifier_is_two_people_from_their_records_to_both_decisions(
    front: Front, ask: Ask, rows: SelectRows, portal: SendRecord
) -> None:
    session, ce_id = open_now(capacity=5), uuid4()
    await front.publish(session)
    for name in ("iel", "sirh", "iel", "sirh"):
        # What a portal writes as issuer is not read: neither passes its agent off as the other's.
        await portal(name, asking(session, an_agent("1001", issuer="elsewhere")), ce_id)
    decided = await rows("SELECT CAST(data AS jsonb) AS data FROM outbox WHERE key = '1001' ORDER BY id")
    assert [(row.data["agent"]["issuer"], row.data["request_id"]) for row in decided] == [
        ("iel", str(ce_id)),
        ("sirh", str(ce_id)),
    ]
    assert len({row.data["enrolment_id"] for row in decided}) == 2
    kept = await rows("SELECT request_id, source, portal, issuer, agent_id FROM request ORDER BY number")
    assert [tuple(row) for row in kept] == [
        (ce_id, "/portals/iel", "iel", "iel", "1001"),
        (ce_id, "/portals/sirh", "sirh", "sirh", "1001"),
    ]
    problem(await ask("GET", f"/api/v1/requests/{ce_id}"), 409)


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({}, lambda session: WithdrawalRequested(session_id=session.session_id, agent_id="1001")),
        (
            {"approval": "employer"},
            lambda session: ApprovalDecided(
                session_id=session.session_id, agent_id="1001", granted=False, decided_by="N+1"
            ),
        ),
        (
            {"waiting_list": "offer", "capacity": 1},
            lambda session: SeatOfferAnswered(session_id=session.session_id, agent_id="1001", accepted=False),
        ),
    ],
)
async def test_another_portals_word_about_the_same_identifier_changes_nothing(
    front: Front,
    rows: SelectRows,
    portal: SendRecord,
    changes: dict[str, Any],
    others: Callable[[SessionState], Event],
) -> None:
    session, seated = open_now(**changes), an_agent()
    await front.publish(session)
    if changes.get("capacity") == 1:
        await front.enrol(session, seated)
    await portal("iel", asking(session, IEL))
    if changes.get("capacity") == 1:
        await front.withdraw(session, seated)
    before = await front.of(session, IEL)
    assert before.state == {0: "enrolled", 1: "pending_approval", 2: "offered"}[len(changes)]
    published = await rows("SELECT count(*) FROM outbox WHERE topic LIKE 'enrolment.%'")
    await portal("sirh", others(session))
    assert await front.of(session, IEL) == before
    assert await rows("SELECT count(*) FROM outbox WHERE topic LIKE 'enrolment.%'") == published
    [answer] = await rows("SELECT outcome, reason FROM request WHERE portal = 'sirh'")
    assert answer.outcome == "refused"
    await portal("iel", others(session))
    assert (await front.of(session, IEL)).version == before.version + 1


@pytest.mark.parametrize("session_is_known", [True, False])
async def test_a_portal_limited_to_other_authorities_finds_nobody(
    front: Front, rows: SelectRows, portal: SendRecord, session_is_known: bool
) -> None:
    session = open_now()
    if session_is_known:
        await front.publish(session)
    await portal("iel", asking(session, IEL))
    await portal("nantes", WithdrawalRequested(session_id=session.session_id, agent_id="1001"))
    await portal("nantes", WithdrawalRequested(session_id=session.session_id, agent_id="1002"))
    if not session_is_known:
        await front.publish(session)
    assert await front.states(session, IEL) == ["enrolled"]
    assert await rows("SELECT type FROM outbox WHERE key = '1001'") == [(AgentEnrolled.TYPE,)]
    answers = await rows("SELECT outcome, reason, facts FROM request WHERE portal = 'nantes'")
    assert answers[0] == answers[1]
    assert answers[0].reason == "not_enrolled"


async def test_of_one_id_of_two_portals_each_changes_its_own(
    front: Front, rows: SelectRows, portal: SendRecord
) -> None:
    session, ce_id = open_now(capacity=5), uuid4()
    await front.publish(session)
    await front.enrol(session, IEL, SIRH)
    leaving = WithdrawalRequested(session_id=session.session_id, agent_id="1001")
    await portal("iel", leaving, ce_id)
    assert await rows("SELECT issuer, state FROM enrolment ORDER BY issuer") == [
        ("iel", "withdrawn"),
        ("sirh", "enrolled"),
    ]
    await portal("sirh", leaving, ce_id)
    changed = await rows("SELECT issuer, request_id, request_source FROM enrolment_change ORDER BY issuer")
    assert [tuple(row) for row in changed] == [
        ("iel", ce_id, "/portals/iel"),
        ("sirh", ce_id, "/portals/sirh"),
    ]


async def test_requests_of_one_id_wait_for_their_session_both(
    front: Front, rows: SelectRows, portal: SendRecord
) -> None:
    session, ce_id = open_now(capacity=5), uuid4()
    for name in ("iel", "sirh", "iel"):
        await portal(name, asking(session, an_agent("1001")), ce_id)
    await front.publish(session)
    assert await front.states(session, IEL, SIRH) == ["enrolled", "enrolled"]


async def test_an_operator_reads_of_both(database: Database, front: Front, portal: SendRecord) -> None:
    session, ce_id = open_now(capacity=5), uuid4()
    await front.publish(session)
    for name in ("iel", "sirh"):
        await portal(name, asking(session, an_agent("1001")), ce_id)
    async with database.quiet_transaction() as tx:
        by_agent = await explain(tx, "1001", Reading.by_command("x"))
        by_request = await explain(tx, str(ce_id), Reading.by_command("x"))
    of_agent, of_request = (
        "\n".join(line for explanation in found for line in lines_of(explanation))
        for found in (by_agent, by_request)
    )
    for name in ("iel", "sirh"):
        assert f"agent 1001 of {name}" in of_agent
        assert f"of 1001 of {name} in" in of_request
        assert f"sent by /portals/{name}" in of_request


async def test_a_bad_address_is_one_of_their_addresses(database: Database, front: Front, ask: Ask) -> None:
    session = open_now()
    await front.publish(session)
    await front.enrol(session, IEL, SIRH)
    failed = EmailFailed(
        mail_id=uuid4(),
        agent_id="1001",
        issuer="sirh",
        template="enrolment-confirmed",
        cause_id=uuid4(),
        enrolment_id=(await front.of(session, SIRH)).enrolment_id,
        failed_at=datetime.now(UTC),
        suppressed=True,
    )
    await take(router, database, [received(failed)])
    entries = (await ask("GET", of(session, "roster"), by=BRETAGNE)).json()["items"]
    assert [(entry["agent"]["issuer"], entry["address_is_bad"]) for entry in entries] == [
        ("iel", False),
        ("sirh", True),
    ]


# ------------------------------------------------------------------------------------------- organisers


async def candidates(front: Front) -> SessionState:
    session = open_now(format="inet", approval="selection", capacity=1)
    await front.publish(session)
    await front.enrol(session, IEL, SIRH)
    return session


async def test_a_ranking_that_may_mean_two_says_so_and_changes_nothing(front: Front, ask: Ask) -> None:
    session = await candidates(front)
    path = of(session, "selection")
    named = [{"agent_id": "1001", "issuer": issuer} for issuer in ("sirh", "iel")]
    for ranked in (["1001"], ["1001", named[0]]):
        answer = await ask("PUT", path, by=BRETAGNE, json={"ranked": ranked})
        problem(answer, 422)
        assert [(error["code"], error["agent_id"]) for error in answer.json()["errors"]] == [
            ("ambiguous", "1001")
        ]
    answer = await ask("PUT", path, by=BRETAGNE, json={"ranked": named[:1]})
    assert [(error["code"], error["issuer"]) for error in answer.json()["errors"]] == [("missing", "iel")]
    assert await front.states(session, IEL, SIRH) == ["pending_selection"] * 2
    answer = await ask("PUT", path, by=BRETAGNE, json={"ranked": named})
    assert answer.json() == {"enrolled": 1, "waitlisted": 1, "refused": 0}
    assert await front.states(session, IEL, SIRH) == ["waitlisted", "enrolled"]


async def test_the_candidates_sheet_tells_them_apart(front: Front, ask: Ask) -> None:
    session = await candidates(front)
    answer = await send(ask, "PUT", of(session, "selection.csv"), "Identifiant;Rang\n1001;1\n")
    assert answer.json()["errors"][0]["code"] == "ambiguous"
    heading, *form = lines(await ask("GET", of(session, "selection.csv"), by=BRETAGNE))
    ranks = {"iel": "2", "sirh": "1"}
    filled = "\n".join(";".join(line) for line in [heading, *([ranks[c[2]], *c[1:]] for c in form)])
    assert (await send(ask, "PUT", of(session, "selection.csv"), filled)).status_code == 200
    assert await front.states(session, IEL, SIRH) == ["waitlisted", "enrolled"]


async def seated(front: Front) -> SessionState:
    session = open_now(starts_at=datetime.now(UTC) - timedelta(days=2), modules=[])
    await front.publish(session)
    await front.enrol(session, IEL, SIRH)
    return session


async def test_attendance_that_may_mean_two_says_so_and_changes_nothing(front: Front, ask: Ask) -> None:
    session = await seated(front)
    came = {"agent_id": "1001", "attendance": "attended"}
    records = [came | {"issuer": "sirh"}, came]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records})
    assert problem(answer, 422) == ["body.records.1"]
    assert answer.json()["errors"][0]["code"] == "ambiguous"
    assert await front.states(session, IEL, SIRH) == ["enrolled", "enrolled"]
    answer = await ask("POST", of(session, "attendance"), by=BRETAGNE, json={"records": records[:1]})
    assert answer.json() == {"records": 1}, answer.text
    assert await front.states(session, IEL, SIRH) == ["enrolled", "certified"]


async def test_the_attendance_sheet_tells_them_apart(front: Front, ask: Ask) -> None:
    session = await seated(front)
    heading, *form = lines(await ask("GET", of(session, "attendance.csv"), by=BRETAGNE))
    marks = {"iel": "absence", "sirh": "présence"}
    filled = "\n".join(";".join(line) for line in [heading, *([marks[c[4]], *c[1:]] for c in form)])
    answer = await send(ask, "POST", of(session, "attendance.csv"), filled)
    assert answer.json() == {"records": 2}, answer.text
    assert await front.states(session, IEL, SIRH) == ["absent", "certified"]

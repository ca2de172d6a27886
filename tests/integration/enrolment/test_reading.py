"""What a portal reads over HTTP: what became of its own requests and agents to this day, and of no others."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.enrolment.personal_data import OUTCOMES
from services.enrolment.rules.requests import GroupRequest, OfferAnswer, SeatRequest, Withdrawal
from services.enrolment.service import outcomes
from services.enrolment.store.request_outcomes import ServiceOutcome
from shared import clock, security_log
from shared.database import Database
from shared.events.catalogue import BespokeRequestAnswered, SessionState
from shared.events.cloudevents import Received, Record
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Agent, FieldProblem
from shared.messaging import dead_letters
from shared.messaging.portals.admission import Rejected, admit, admit_by_token
from shared.messaging.portals.registry import Portal, Portals
from shared.personal_data import end_rows
from tests.conftest import Ask
from tests.integration.enrolment.conftest import Front, problem
from tests.support.builders import an_agent, headers, open_now

A, A_IN_CORSICA, B = "portail-bretagne", "portail-corse", "portail-deux"
CORSICAN = {"siret": "21350238800019", "name": "Une collectivité", "delegation": "corse"}


def of_portal(name: str, agent_id: str, **changes: Any) -> Agent:
    return an_agent(agent_id, issuer=name, **changes)


def seat(
    session: SessionState, agent: Agent, *, by: str | None = None, ce_id: UUID | None = None
) -> SeatRequest:
    portal = by or agent.issuer
    return SeatRequest(
        ce_id or uuid4(),
        clock.now(),
        session.session_id,
        agent,
        approved=False,
        source=f"/portals/{portal}",
        portal=portal,
    )


async def read(ask: Ask, ce_id: UUID, by: str | None) -> httpx.Response:
    return await ask("GET", f"/api/v1/requests/{ce_id}", by=by)


async def outcome(ask: Ask, ce_id: UUID, by: str = A) -> dict[str, Any]:
    answer = await read(ask, ce_id, by)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def in_production(asking: Callable[..., Ask]) -> Ask:
    return asking(parcours_trial=False)


# ------------------------------------------------------------------------------------------ one request


async def test_what_is_anothers_is_what_does_not_exist(
    front: Front, in_production: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    ask, session = in_production, open_now()
    await front.publish(session)
    request = seat(session, of_portal(A, "1"))
    await front.answer(request)
    assert (await outcome(ask, request.request_id))["outcome"] == "enrolled"
    assert (await outcome(ask, request.request_id, by="siege"))["outcome"] == "enrolled"
    caplog.set_level(logging.INFO, logger=security_log.LOGGER)
    for by in (B, A_IN_CORSICA):
        of_others, of_nobody = await read(ask, request.request_id, by), await read(ask, uuid4(), by)
        problem(of_others, 404)
        assert of_others.headers.keys() == of_nobody.headers.keys()
        assert str(request.request_id) in of_others.json()["detail"]
        texts = [answer.json()["detail"].split() for answer in (of_others, of_nobody)]
        assert [len(paragraph) for paragraph in texts] == [len(texts[0])] * 2
    lines = [vars(line) for line in caplog.records if line.name == security_log.LOGGER]
    assert [(line["who"], line["where"]) for line in lines if line["event"] == "right"] == [
        (f"portal:{by}", "/api/v1/requests/{ce_id}") for by in (B, A_IN_CORSICA)
    ]


async def test_only_portals_and_admins_read_and_in_a_trial_whoever_has_the_id(
    front: Front, in_production: Ask, ask: Ask
) -> None:
    session = open_now()
    await front.publish(session)
    request = seat(session, of_portal(A, "1"))
    await front.answer(request)
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403), ("assistance", 403)):
        problem(await read(in_production, request.request_id, by), status)
    assert (await read(ask, request.request_id, None)).status_code == 200
    problem(await read(ask, request.request_id, "nobody"), 401)
    problem(await read(ask, request.request_id, B), 404)


async def test_where_two_portals_used_one_id_the_token_says_which_is_meant(front: Front, ask: Ask) -> None:
    session, ce_id = open_now(capacity=1), uuid4()
    await front.publish(session)
    await front.answer(seat(session, of_portal(A, "1"), ce_id=ce_id))
    await front.answer(seat(session, of_portal(B, "1"), ce_id=ce_id))
    assert (await outcome(ask, ce_id, A))["outcome"] == "enrolled"
    assert (await outcome(ask, ce_id, B))["outcome"] == "waitlisted"
    problem(await read(ask, ce_id, "siege"), 409)
    problem(await read(ask, ce_id, None), 409)


async def test_what_is_on_its_way_or_was_rejected_is_its_portals_too(
    ask: Ask, in_production: Ask, database: Database
) -> None:
    ce_id, rejected_id = uuid4(), uuid4()
    event = {f"ce-{name}": value for name, value in {
        "specversion": "1.0", "id": str(ce_id), "source": f"/portals/{A}",
        "type": "fr.cnfpt.portal.WithdrawalRequested.v1",
    }.items()}  # fmt: skip
    body = {"session_id": str(uuid4()), "agent_id": "1"}
    assert (await ask("POST", "/api/v1/events", by=A, json=body, headers=event)).status_code == 202
    sent = tuple(headers(EnrolmentRequested.TYPE, event_id=rejected_id, source=f"/portals/{A}"))
    record = Record(Topic.PORTAL_ENROLMENTS, 0, 0, None, b"{}", sent, clock.now())
    portal = Portal(portal=A, issuer=A, contact="a@b.fr")
    rejected = admit_by_token(record, portal)
    assert isinstance(rejected, Rejected)
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [rejected])
    assert (await outcome(in_production, ce_id))["state"] == "pending"
    assert (await outcome(in_production, rejected_id))["code"] == "invalid"
    for known in (ce_id, rejected_id):
        problem(await read(in_production, known, B), 404)
        assert (await read(in_production, known, "siege")).status_code == 200


async def test_a_record_that_somebody_sends_in_a_portals_name_hides_nothing_that_it_sent_by_http(
    ask: Ask, in_production: Ask, database: Database
) -> None:
    """Who may write to the topics can send any id unsigned, in the name of any portal."""
    by_http, by_kafka = uuid4(), uuid4()
    event = {f"ce-{name}": value for name, value in {
        "specversion": "1.0", "id": str(by_http), "source": f"/portals/{A}",
        "type": "fr.cnfpt.portal.WithdrawalRequested.v1",
    }.items()}  # fmt: skip
    body = {"session_id": str(uuid4()), "agent_id": "1"}
    assert (await ask("POST", "/api/v1/events", by=A, json=body, headers=event)).status_code == 202
    portals = Portals([Portal(portal=A, issuer=A, contact="a@b.fr")])
    for offset, ce_id in enumerate((by_http, by_kafka)):
        sent = tuple(headers(EnrolmentRequested.TYPE, event_id=ce_id, source=f"/portals/{A}"))
        unsigned = admit(
            Record(Topic.PORTAL_ENROLMENTS, 0, offset, None, b"{}", sent, clock.now()), portals, []
        )
        assert isinstance(unsigned, Rejected)
        async with database.transaction() as tx:
            await dead_letters.keep_rejected(tx, [unsigned])
        await publish_outcomes(
            database, rejected_by_another(ce_id).model_copy(update={"code": RejectionCode.NOT_AUTHENTICATED})
        )
    assert (await outcome(in_production, by_http))["state"] == "pending"
    assert (await outcome(in_production, by_kafka))["code"] == "not_authenticated"


async def test_the_history_tells_each_move_since_to_this_day(front: Front, ask: Ask) -> None:
    session = open_now(capacity=1, waiting_list="offer")
    await front.publish(session)
    first, second = of_portal(A, "1"), of_portal(A, "2")
    seated, queued = seat(session, first), seat(session, second)
    await front.answer(seated)
    await front.answer(queued)
    before = await outcome(ask, queued.request_id)
    assert (before["outcome"], before["state_now"], before["history"]) == ("waitlisted", "waitlisted", [])

    common: dict[str, Any] = {"source": f"/portals/{A}", "portal": A}
    withdrawal = Withdrawal(uuid4(), clock.now(), session.session_id, first.key, None, **common)
    await front.answer(withdrawal)
    answer = OfferAnswer(uuid4(), clock.now(), session.session_id, second.key, True, **common)
    await front.answer(answer)

    after = await outcome(ask, queued.request_id)
    assert (after["outcome"], after["state_now"], after["moves"]) == ("waitlisted", "enrolled", [])
    assert [(move["cause"], move["state"], move["event"]) for move in after["history"]] == [
        ("seat_freed", "offered", "fr.cnfpt.enrolment.SeatOffered.v1"),
        ("offer_accepted", "enrolled", "fr.cnfpt.enrolment.AgentEnrolled.v1"),
    ]
    times = [move["at"] for move in after["history"]]
    assert sorted(times) == times
    assert times[0] > after["decided_at"]
    given_up = await outcome(ask, withdrawal.request_id)
    assert [move["cause"] for move in given_up["moves"]] == ["withdrawal", "seat_freed"]
    assert [move["state"] for move in given_up["history"]] == ["withdrawn"]  # the other's is not its own
    assert given_up["state_now"] == "withdrawn"
    taken = await outcome(ask, answer.request_id)
    assert [(move["cause"], move["state"]) for move in taken["history"]] == [("offer_accepted", "enrolled")]
    assert (await outcome(ask, seated.request_id))["state_now"] == "withdrawn"


async def test_the_history_of_a_group_is_that_of_each_of_its_agents(front: Front, ask: Ask) -> None:
    session = open_now(capacity=1)
    await front.publish(session)
    agents = of_portal(A, "1"), of_portal(A, "2")
    group = GroupRequest(
        uuid4(), clock.now(), session.session_id, agents, False, source=f"/portals/{A}", portal=A
    )
    await front.answer(group)
    assert (await outcome(ask, group.request_id))["state_now"] == "mixed"
    await front.withdraw(session, agents[0])
    after = await outcome(ask, group.request_id)
    assert sorted((move["state"], move["cause"]) for move in after["history"]) == [
        ("enrolled", "seat_freed"),
        ("withdrawn", "withdrawal"),
    ]
    assert len({move["enrolment_id"] for move in after["history"]}) == 2


SAID_AT = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)


async def publish_outcomes(database: Database, *events: ServiceOutcome) -> None:
    """What catalogue and notifier say, an hour apart; the first is delivered again."""
    received = [
        Received(
            event,
            uuid4(),
            "/services/catalogue",
            Record(event.TOPIC, 0, hour, None, b"", (), SAID_AT + timedelta(hours=hour)),
        )
        for hour, event in enumerate(events)
    ]
    for delivered in (received, received[:1]):
        async with database.transaction() as tx:
            await outcomes.pass_on(tx, delivered)


def accepted_by_another(ce_id: UUID, portal: str = A) -> RequestAccepted:
    return RequestAccepted(request_id=ce_id, request_source=f"/portals/{portal}", portal=portal)


def rejected_by_another(ce_id: UUID | None, portal: str = A) -> RequestRejected:
    return RequestRejected(
        request_id=ce_id,
        request_source=f"/portals/{portal}",
        portal=portal,
        topic="portal.bespoke",
        partition=1,
        offset=7,
        code=RejectionCode.INVALID,
        problems=(FieldProblem(pointer="/siret", message="Field required"),),
    )


def answered_by_a_delegation(ce_id: UUID, answer: str) -> BespokeRequestAnswered:
    return BespokeRequestAnswered.model_validate(
        {
            "request_id": ce_id,
            "request_source": f"/portals/{A}",
            "siret": "21350238800019",
            "answer": answer,
            "requested_by": {"name": "A", "email": "a@b.fr"},
            "advisor": {"name": "B", "email": "b@b.fr"},
        }
    )


async def test_a_request_that_another_service_answers_is_followed_to_its_end(
    ask: Ask, database: Database
) -> None:
    ce_id, other = uuid4(), uuid4()
    await publish_outcomes(database, accepted_by_another(ce_id))
    taken_in = await outcome(ask, ce_id)
    assert (taken_in["state"], taken_in["outcome"]) == ("answered", "accepted")
    assert (taken_in["state_now"], taken_in["history"]) == ("accepted", [])
    await publish_outcomes(
        database,
        accepted_by_another(other),
        answered_by_a_delegation(other, "proposed"),
        answered_by_a_delegation(other, "agreed"),
    )
    agreed = await outcome(ask, other)
    assert (agreed["outcome"], agreed["state_now"]) == ("accepted", "agreed")
    assert [move["state"] for move in agreed["history"]] == ["proposed", "agreed"]
    assert agreed["decided_at"] == agreed["received_at"] == "2026-11-25T08:30:00Z"
    problem(await read(ask, ce_id, B), 404)


async def test_what_other_services_said_is_forgotten_thirty_days_after_the_last(
    ask: Ask, database: Database
) -> None:
    old, young = uuid4(), uuid4()
    for ce_id in (old, young):
        await publish_outcomes(
            database, accepted_by_another(ce_id), answered_by_a_delegation(ce_id, "proposed")
        )
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE request_outcome SET at = now() - CASE "
                "WHEN state = 'accepted' THEN interval '40 days' "
                "WHEN request_id = :old THEN interval '30 days' ELSE interval '29 days' END"
            ),
            {"old": old},
        )
    async with database.transaction() as tx:
        await end_rows(tx, OUTCOMES, 30, clock.now())
    problem(await read(ask, old, A), 404)
    kept = await outcome(ask, young)
    assert kept["state_now"] == "proposed"
    assert datetime.fromisoformat(kept["decided_at"]) < clock.now() - timedelta(days=39)


async def test_a_request_that_another_service_rejected_says_why_until_it_comes_mended(
    ask: Ask, database: Database
) -> None:
    ce_id, mended = uuid4(), uuid4()
    await publish_outcomes(database, rejected_by_another(ce_id))
    rejection = await outcome(ask, ce_id)
    assert (rejection["state"], rejection["code"]) == ("rejected", "invalid")
    assert rejection["problems"] == [{"pointer": "/siret", "message": "Field required"}]
    in_french = await ask("GET", f"/api/v1/requests/{ce_id}", by=A, headers={"accept-language": "fr"})
    assert in_french.json()["problems"][0]["message"] == "champ obligatoire"
    await publish_outcomes(database, rejected_by_another(mended), accepted_by_another(mended))
    assert (await outcome(ask, mended))["state"] == "answered"
    await publish_outcomes(database, rejected_by_another(None))  # nobody can ask for it

    taken_in = uuid4()
    await publish_outcomes(database, accepted_by_another(taken_in), rejected_by_another(taken_in))
    assert (await outcome(ask, taken_in))["state"] == "answered"  # whatever comes later with its id


async def test_two_portals_ids_are_kept_apart_in_what_others_say_too(ask: Ask, database: Database) -> None:
    ce_id = uuid4()
    await publish_outcomes(database, accepted_by_another(ce_id), rejected_by_another(ce_id, B))
    assert (await outcome(ask, ce_id, A))["state"] == "answered"
    assert (await outcome(ask, ce_id, B))["state"] == "rejected"
    problem(await read(ask, ce_id, "siege"), 409)


# ------------------------------------------------------------------------------------------ an agent


async def listed(ask: Ask, agent_id: str, by: str | None, **query: Any) -> dict[str, Any]:
    answer = await ask("GET", "/api/v1/enrolments", by=by, params={"agent_id": agent_id} | query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_a_portal_reads_the_enrolments_of_its_own_agents_as_they_stand(front: Front, ask: Ask) -> None:
    full, other = open_now(capacity=1), open_now()
    await front.publish(full, other)
    agent = of_portal(A, "1001")
    requests = [
        seat(full, of_portal(A, "1")),
        seat(full, agent),
        seat(other, agent),
        seat(full, of_portal(B, "1001")),
    ]
    for request in requests:
        await front.answer(request)
    page = await listed(ask, "1001", A)
    assert page["next"] is None
    newest, oldest = page["items"]
    assert (newest["session_id"], newest["state"], newest["position"]) == (
        str(other.session_id),
        "enrolled",
        None,
    )
    assert (oldest["session_id"], oldest["state"], oldest["position"]) == (
        str(full.session_id),
        "waitlisted",
        1,
    )
    assert (oldest["request_id"], oldest["request_source"]) == (str(requests[1].request_id), f"/portals/{A}")
    [of_b] = (await listed(ask, "1001", B))["items"]
    assert (of_b["issuer"], of_b["position"]) == (B, 2)
    assert {item["issuer"] for item in (await listed(ask, "1001", "siege"))["items"]} == {A, B}
    assert (await listed(ask, "1", B))["items"] == []


async def test_a_portal_reads_within_its_limits(front: Front, ask: Ask) -> None:
    session = open_now()
    await front.publish(session)
    await front.answer(seat(session, of_portal(A, "1")))
    await front.answer(seat(session, of_portal(A, "2", employer=CORSICAN)))
    assert [len((await listed(ask, agent, A_IN_CORSICA))["items"]) for agent in ("1", "2")] == [0, 1]
    assert [len((await listed(ask, agent, A))["items"]) for agent in ("1", "2")] == [1, 1]


async def test_enrolments_come_page_by_page(front: Front, ask: Ask) -> None:
    sessions = [open_now() for _ in range(5)]
    await front.publish(*sessions)
    for session in sessions:
        await front.answer(seat(session, of_portal(A, "1")))
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await listed(ask, "1", A, limit=2, **cursor)
        seen += [item["session_id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [str(session.session_id) for session in reversed(sessions)]


async def test_whose_enrolments_must_be_said_and_by_whom(ask: Ask) -> None:
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await ask("GET", "/api/v1/enrolments", by=by, params={"agent_id": "1"}), status)
    for query in (
        {},
        {"agent_id": ""},
        {"agent_id": "a b"},
        {"agent_id": "1", "cursor": "no"},
        {"agent": "1"},
    ):
        problem(await ask("GET", "/api/v1/enrolments", by=A, params=query), 422)

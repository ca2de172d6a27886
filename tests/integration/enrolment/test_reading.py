"""What a portal reads over HTTP: what became of its own requests and agents to this day, and of no others."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from faststream import ContextRepo
from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.personal_data import OUTCOMES
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import GroupRequest, OfferAnswer, SeatRequest, Swap, Withdrawal
from services.enrolment.service import outcomes
from services.enrolment.store.request_outcomes import ServiceOutcome
from shared import clock
from shared.database import Database
from shared.events.catalogue import BespokeRequestAnswered, SessionState
from shared.events.cloudevents import Received, Record
from shared.events.outcomes import RejectionCode, RequestAccepted, RequestRejected
from shared.events.portal import EnrolmentRequested
from shared.events.topics import Topic
from shared.events.vocabulary import Agent, FieldProblem
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import Parked
from shared.messaging.portals.admission import Rejected, admit, admit_by_token
from shared.messaging.portals.registry import Portal, Portals
from shared.personal_data import end_rows
from tests.conftest import Ask, SecurityLines
from tests.integration.enrolment.conftest import Front, problem
from tests.integration.enrolment.sending import accepted, send
from tests.support.builders import an_agent, as_json, enrolment_request, headers
from tests.support.consuming import a_partition_check
from tests.support.consuming import admit as admit_on_trial

A, A_IN_CORSICA, B = "portail-bretagne", "portail-corse", "portail-deux"
PORTAL_A = Portal(portal=A, issuer=A, contact="a@b.fr")
OF_A: dict[str, Any] = {"source": f"/portals/{A}", "portal": A}
CORSICAN = {"siret": "21350238800019", "name": "Une collectivité", "delegation": "corse"}


def of_portal(name: str, agent_id: str, **changes: Any) -> Agent:
    return an_agent(agent_id, issuer=name, **changes)


def seat(session: SessionState, agent: Agent, ce_id: UUID | None = None) -> SeatRequest:
    """A request of the portal that the agent's issuer is named after."""
    sender: dict[str, Any] = {"source": f"/portals/{agent.issuer}", "portal": agent.issuer}
    return SeatRequest(ce_id or uuid4(), clock.now(), session.session_id, agent, False, **sender)


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


# ------------------------------------------------------------------------------------------ whose


async def test_a_request_of_another_portal_is_as_a_request_that_does_not_exist(
    front: Front, in_production: Ask, security_lines: SecurityLines
) -> None:
    request = seat(await front.open(), of_portal(A, "1"))
    await front.answer(request)
    for by in (A, "siege"):
        assert (await outcome(in_production, request.request_id, by))["outcome"] == "enrolled"
    for by in (B, A_IN_CORSICA):
        nobodys = uuid4()
        of_other, of_nobody = [
            await read(in_production, ce_id, by) for ce_id in (request.request_id, nobodys)
        ]
        problem(of_other, 404)
        assert of_other.headers.keys() == of_nobody.headers.keys()
        assert of_other.text.replace(str(request.request_id), str(nobodys)) == of_nobody.text
    lines = security_lines()
    assert [(line["who"], line["where"]) for line in lines if line["event"] == "right"] == [
        (f"portal:{by}", "/api/v1/requests/{ce_id}") for by in (B, A_IN_CORSICA)
    ]


async def test_only_portals_and_admins_read_and_in_a_trial_anybody_with_the_id(
    front: Front, in_production: Ask, ask: Ask
) -> None:
    request = seat(await front.open(), of_portal(A, "1"))
    await front.answer(request)
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403), ("assistance", 403)):
        problem(await read(in_production, request.request_id, by), status)
    for by, status in ((None, 200), ("nobody", 401), (B, 404)):
        assert (await read(ask, request.request_id, by)).status_code == status


async def test_where_two_portals_used_one_id_the_token_says_which_is_meant(
    front: Front, ask: Ask, database: Database
) -> None:
    session, ce_id, elsewhere = await front.open(capacity=1), uuid4(), uuid4()
    await front.answer(seat(session, of_portal(A, "1"), ce_id))
    await front.answer(seat(session, of_portal(B, "1"), ce_id))
    await publish_outcomes(database, accepted_by_another(elsewhere), rejected_by_another(elsewhere, B))
    assert [(await outcome(ask, ce_id, by))["outcome"] for by in (A, B)] == ["enrolled", "waitlisted"]
    assert [(await outcome(ask, elsewhere, by))["state"] for by in (A, B)] == ["answered", "rejected"]
    for by in ("siege", None):
        for ambiguous in (ce_id, elsewhere):
            problem(await read(ask, ambiguous, by), 409)


# ------------------------------------------------------------------------------------------ before an answer


def a_record(ce_id: UUID, value: bytes = b"{}", offset: int = 0, source: str = f"/portals/{A}") -> Record:
    sent = tuple(headers(EnrolmentRequested.TYPE, event_id=ce_id, source=source))
    return Record(Topic.PORTAL_ENROLMENTS, 0, offset, None, value, sent, clock.now())


async def keep_rejected(database: Database, rejected: object) -> None:
    assert isinstance(rejected, Rejected)
    async with database.transaction() as tx:
        await dead_letters.keep_rejected(tx, [rejected])


async def test_what_is_on_its_way_or_was_rejected_is_its_portals_too(
    ask: Ask, in_production: Ask, database: Database
) -> None:
    pending, rejected = accepted(await send(ask)), uuid4()
    await keep_rejected(database, admit_by_token(a_record(rejected), PORTAL_A))
    found = [await outcome(in_production, ce_id) for ce_id in (pending, rejected)]
    assert [(each["state"], each["code"]) for each in found] == [("pending", None), ("rejected", "invalid")]
    for ce_id in (pending, rejected):
        problem(await read(in_production, ce_id, B), 404)
        assert (await read(in_production, ce_id, "siege")).status_code == 200


async def test_a_record_that_somebody_sends_in_a_portals_name_hides_nothing_that_it_sent_by_http(
    ask: Ask, in_production: Ask, database: Database
) -> None:
    """A program that may write to the topics can send any id unsigned, in the name of any portal."""
    by_http, by_kafka = accepted(await send(ask)), uuid4()
    for offset, ce_id in enumerate((by_http, by_kafka)):
        await keep_rejected(database, admit(a_record(ce_id, offset=offset), Portals([PORTAL_A]), []))
        not_authenticated = {"code": RejectionCode.NOT_AUTHENTICATED}
        await publish_outcomes(database, rejected_by_another(ce_id).model_copy(update=not_authenticated))
    assert (await outcome(in_production, by_http))["state"] == "pending"
    assert (await outcome(in_production, by_kafka))["code"] == "not_authenticated"


async def test_a_rejected_record_has_no_effect_and_comes_mended_with_the_same_id(
    database: Database, ask: Ask
) -> None:
    ce_id = uuid4()
    context = ContextRepo({"policy": Policy(), "partition_check": a_partition_check()})
    consumer = Consumer(router.subscriptions[Topic.PORTAL_ENROLMENTS], database, context, admit_on_trial)
    mended = enrolment_request(uuid4())
    for offset, value in enumerate((mended | {"agent": None}, mended)):
        record = a_record(ce_id, as_json(value), offset, "/portals/essai")
        await consumer.take([consumer.read(record)])
        found = (await read(ask, ce_id, None)).json()
        pointers = [named["pointer"] for named in found["problems"]]
        assert (found["state"], pointers) == (("pending", []) if offset else ("rejected", ["/agent"]))


async def test_a_request_that_no_handler_could_take_is_pending_until_it_is_discarded(
    database: Database, ask: Ask
) -> None:
    ce_id = uuid4()
    async with database.transaction() as tx:
        letter = Parked(a_record(ce_id), None, "ValueError", "Traceback", ce_id)
        await dead_letters.park(tx, [letter])
    assert (await read(ask, ce_id, None)).json()["state"] == "pending"
    async with database.transaction() as tx:
        await dead_letters.settle(tx, 1, state="discarded", actor="nadia", note="of a test")
    found = (await read(ask, ce_id, None)).json()
    assert (found["state"], found["code"]) == ("rejected", "internal")


# ------------------------------------------------------------------------------------------ its answer


async def test_an_answer_comes_with_the_seats_and_the_waiting_list_it_was_decided_by(
    front: Front, ask: Ask
) -> None:
    session = await front.open(capacity=1)
    requests = [seat(session, of_portal(A, agent_id)) for agent_id in ("1", "2", "1")]
    await front.answer(*requests)
    seated, queued, again = [await outcome(ask, request.request_id) for request in requests]
    assert (seated["asked"], seated["session_id"]) == ("enrolment", str(session.session_id))
    before = {"session_version": 1, "capacity": 1, "enrolled": 0, "offered": 0, "waiting": 0}
    assert seated["facts"] == before
    assert queued["facts"] == before | {"enrolled": 1, "place_in_line": 1}
    assert [
        (each["outcome"], each["reason"], each["event"], each["moves"]) for each in (seated, queued, again)
    ] == [
        ("enrolled", None, "fr.cnfpt.enrolment.AgentEnrolled.v1", []),
        ("waitlisted", None, "fr.cnfpt.enrolment.AgentWaitlisted.v1", []),
        ("refused", "already_enrolled", "fr.cnfpt.enrolment.EnrolmentRefused.v1", []),
    ]


async def test_the_history_tells_each_move_since_to_this_day(front: Front, ask: Ask) -> None:
    first, second = of_portal(A, "1"), of_portal(A, "2")
    session = await front.open(capacity=1, waiting_list="offer")
    seated, queued = seat(session, first), seat(session, second)
    await front.answer(seated, queued)
    withdrawal = Withdrawal(uuid4(), clock.now(), session.session_id, first.key, None, **OF_A)
    await front.answer(withdrawal)
    answer = OfferAnswer(uuid4(), clock.now(), session.session_id, second.key, True, **OF_A)
    await front.answer(answer)

    after = await outcome(ask, queued.request_id)
    assert (after["outcome"], after["state_now"], after["moves"]) == ("waitlisted", "enrolled", [])
    assert [(move["cause"], move["state"], move["event"]) for move in after["history"]] == [
        ("seat_freed", "offered", "fr.cnfpt.enrolment.SeatOffered.v1"),
        ("offer_accepted", "enrolled", "fr.cnfpt.enrolment.AgentEnrolled.v1"),
    ]
    assert after["decided_at"] < after["history"][0]["at"] < after["history"][1]["at"]
    given_up = await outcome(ask, withdrawal.request_id)
    assert given_up["moves"] == [
        {"cause": "withdrawal", "state": "withdrawn", "event": "fr.cnfpt.enrolment.EnrolmentWithdrawn.v1"},
        {"cause": "seat_freed", "state": "offered", "event": "fr.cnfpt.enrolment.SeatOffered.v1"},
    ]
    assert [move["state"] for move in given_up["history"]] == ["withdrawn"]  # the other's is not its own
    taken = await outcome(ask, answer.request_id)
    assert [(move["cause"], move["state"]) for move in taken["history"]] == [("offer_accepted", "enrolled")]
    assert (await outcome(ask, seated.request_id))["state_now"] == "withdrawn"


async def test_the_answer_to_a_group_counts_and_its_history_is_of_each_agent_and_names_nobody(
    front: Front, ask: Ask
) -> None:
    session, agents = await front.open(capacity=1), (of_portal(A, "Q-1"), of_portal(A, "Q-2"))
    group = GroupRequest(uuid4(), clock.now(), session.session_id, agents, False, **OF_A)
    await front.answer(group)
    await front.withdraw(session, agents[0])
    after = await outcome(ask, group.request_id)
    assert (after["asked"], after["outcome"], after["state_now"]) == ("group_enrolment", "mixed", "mixed")
    assert (after["facts"]["agents_enrolled"], after["facts"]["agents_waitlisted"]) == (1, 1)
    moves = {(move["state"], move["cause"]) for move in after["history"]}
    assert moves == {("enrolled", "seat_freed"), ("withdrawn", "withdrawal")}
    assert len({move["enrolment_id"] for move in after["history"]}) == 2
    assert "Q-" not in str(after)


async def test_the_answer_to_a_move_follows_the_new_seat(front: Front, ask: Ask) -> None:
    agent, waiting = of_portal(A, "1"), of_portal(A, "2")
    here, there = await front.open(agent, waiting, capacity=1), await front.open()
    swap = Swap(uuid4(), clock.now(), here.session_id, agent.key, there.session_id, **OF_A)
    await front.answer(swap)
    answered = await outcome(ask, swap.request_id)
    assert (answered["asked"], answered["outcome"], answered["state_now"]) == ("swap", "enrolled", "enrolled")
    assert [(move["cause"], move["state"]) for move in answered["moves"]] == [
        ("moved", "withdrawn"),
        ("seat_freed", "enrolled"),
    ]
    assert answered["facts"]["to_session_id"] == str(there.session_id)
    await front.withdraw(there, agent)
    later = await outcome(ask, swap.request_id)
    assert (later["state_now"], [move["cause"] for move in later["history"]]) == ("withdrawn", ["withdrawal"])


# ------------------------------------------------------------------------------- answers of other services


async def publish_outcomes(database: Database, *events: ServiceOutcome) -> None:
    """Take in what catalogue and notifier say, an hour apart; the first is delivered again."""
    said_at = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
    records = [
        Record(event.TOPIC, 0, hour, None, b"", (), said_at + timedelta(hours=hour))
        for hour, event in enumerate(events)
    ]
    received = [
        Received(event, uuid4(), "/services/catalogue", record)
        for event, record in zip(events, records, strict=True)
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
    fields = {
        "request_id": ce_id,
        "request_source": f"/portals/{A}",
        "siret": "21350238800019",
        "answer": answer,
        "requested_by": {"name": "A", "email": "a@b.fr"},
        "advisor": {"name": "B", "email": "b@b.fr"},
    }
    return BespokeRequestAnswered.model_validate(fields)


async def test_a_request_that_another_service_answers_is_followed_to_its_end(
    ask: Ask, database: Database
) -> None:
    ce_id = uuid4()
    await publish_outcomes(database, accepted_by_another(ce_id))
    taken_in = await outcome(ask, ce_id)
    assert (taken_in["state"], taken_in["outcome"], taken_in["history"]) == ("answered", "accepted", [])
    answers = [answered_by_a_delegation(ce_id, answer) for answer in ("proposed", "agreed")]
    await publish_outcomes(database, *answers, rejected_by_another(ce_id))  # the last comes with its id
    agreed = await outcome(ask, ce_id)
    assert (agreed["state"], agreed["outcome"], agreed["state_now"]) == ("answered", "accepted", "agreed")
    assert [move["state"] for move in agreed["history"]] == ["proposed", "agreed"]
    assert agreed["decided_at"] == agreed["received_at"] == "2026-11-25T08:30:00Z"
    problem(await read(ask, ce_id, B), 404)


async def test_what_other_services_said_is_forgotten_thirty_days_after_the_last(
    ask: Ask, database: Database
) -> None:
    old, young = uuid4(), uuid4()
    for ce_id in (old, young):
        answered = answered_by_a_delegation(ce_id, "proposed")
        await publish_outcomes(database, accepted_by_another(ce_id), answered)
    made_older = (
        "UPDATE request_outcome SET at = now() - CASE WHEN state = 'accepted' THEN interval '40 days' "
        "WHEN request_id = :old THEN interval '30 days' ELSE interval '29 days' END"
    )
    async with database.transaction() as tx:
        await tx.execute(text(made_older), {"old": old})
        await end_rows(tx, OUTCOMES, 30, clock.now())
    problem(await read(ask, old, A), 404)
    kept = await outcome(ask, young)
    assert kept["state_now"] == "proposed"
    assert datetime.fromisoformat(kept["decided_at"]) < clock.now() - timedelta(days=39)


async def test_a_request_that_another_service_rejected_says_why_until_it_comes_mended(
    ask: Ask, database: Database
) -> None:
    ce_id = uuid4()
    await publish_outcomes(database, rejected_by_another(ce_id), rejected_by_another(None))
    rejection = await outcome(ask, ce_id)
    assert (rejection["state"], rejection["code"]) == ("rejected", "invalid")
    assert rejection["problems"] == [{"pointer": "/siret", "message": "Field required"}]
    in_french = await ask("GET", f"/api/v1/requests/{ce_id}", by=A, headers={"accept-language": "fr"})
    assert in_french.json()["problems"][0]["message"] == "champ obligatoire"
    await publish_outcomes(database, accepted_by_another(ce_id))
    assert (await outcome(ask, ce_id))["state"] == "answered"


# ------------------------------------------------------------------------------------------ an agent


async def listed(ask: Ask, agent_id: str, by: str | None, **query: Any) -> dict[str, Any]:
    answer = await ask("GET", "/api/v1/enrolments", by=by, params={"agent_id": agent_id} | query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_a_portal_reads_the_enrolments_of_its_own_agents_as_they_stand(front: Front, ask: Ask) -> None:
    full, other = await front.open(of_portal(A, "1"), capacity=1), await front.open()
    agent, of_b = of_portal(A, "1001"), of_portal(B, "1001")
    request = seat(full, agent)
    await front.answer(request)
    await front.answer(seat(other, agent), seat(full, of_b))
    page = await listed(ask, "1001", A)
    assert [(item["session_id"], item["state"], item["position"]) for item in page["items"]] == [
        (str(other.session_id), "enrolled", None),
        (str(full.session_id), "waitlisted", 1),
    ]
    oldest = page["items"][-1]
    assert (oldest["request_id"], oldest["request_source"]) == (str(request.request_id), f"/portals/{A}")
    [item] = (await listed(ask, "1001", B))["items"]
    assert (item["issuer"], item["position"]) == (B, 2)
    assert {item["issuer"] for item in (await listed(ask, "1001", "siege"))["items"]} == {A, B}
    assert (await listed(ask, "1", B))["items"] == []


async def test_a_portal_reads_within_its_limits(front: Front, ask: Ask) -> None:
    await front.open(of_portal(A, "1"), of_portal(A, "2", employer=CORSICAN))
    assert [len((await listed(ask, agent, A_IN_CORSICA))["items"]) for agent in ("1", "2")] == [0, 1]
    assert [len((await listed(ask, agent, A))["items"]) for agent in ("1", "2")] == [1, 1]


async def test_enrolments_come_page_by_page(front: Front, ask: Ask) -> None:
    agent = of_portal(A, "1")
    sessions = [await front.open(agent) for _ in range(5)]
    pages = [await listed(ask, "1", A, limit=2)]
    while cursor := pages[-1]["next"]:
        pages.append(await listed(ask, "1", A, limit=2, cursor=cursor))
    seen = [item["session_id"] for page in pages for item in page["items"]]
    assert seen == [str(session.session_id) for session in reversed(sessions)]


async def test_whose_enrolments_must_be_said_and_by_whom(ask: Ask) -> None:
    for by, status in ((None, 401), ("nobody", 401), ("advisor-bretagne", 403)):
        problem(await ask("GET", "/api/v1/enrolments", by=by, params={"agent_id": "1"}), status)
    for query in ({}, {"agent_id": "a b"}, {"agent_id": "1", "cursor": "no"}, {"agent": "1"}):
        problem(await ask("GET", "/api/v1/enrolments", by=A, params=query), 422)

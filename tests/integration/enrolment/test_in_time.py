"""A request received in time is good, however late the service comes to read it."""

from datetime import timedelta
from uuid import uuid4

from local.kafka import KafkaBroker
from services.enrolment.rules.policy import Policy
from services.enrolment.rules.requests import Request, SeatRequest, Withdrawal
from services.enrolment.service import requests as service
from services.enrolment.service import sessions
from shared import clock
from shared.database import Database
from shared.events.portal import EnrolmentRequested, SeatOfferAnswered
from tests.conftest import Eventually, RunService
from tests.integration.enrolment.conftest import SelectRows
from tests.integration.enrolment.records import announce, request_record
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaPortal

HELD = timedelta(hours=1)
SOON = timedelta(seconds=0.1)


async def test_a_service_that_was_away_judges_requests_by_the_time_that_the_broker_received_them(
    kafka: KafkaBroker,
    enrolment_url: str,
    database: Database,
    run_service: RunService,
    eventually: Eventually,
    *,
    rows: SelectRows,
) -> None:
    """It reads all answers before it lets offers lapse, and waits for unknown sessions before it refuses."""
    full, seated = open_now(capacity=1, waiting_list="offer"), an_agent()
    waiting = an_agent(issuer="essai")  # of the portal that sends the answer
    policy, begun = Policy(longest_hold=HELD), clock.now() - 2 * HELD
    closing, unknown = open_now(), open_now()
    answer_id, in_time, late, in_vain = [uuid4() for _ in range(4)]

    async with database.transaction() as tx:
        await sessions.apply_states(tx, {full.session_id: full}, policy, begun)
        asked: list[Request] = [
            SeatRequest(uuid4(), begun, full.session_id, agent, False) for agent in (seated, waiting)
        ]
        await service.process(tx, asked, policy, begun)
    key, session_id = str(full.session_id), str(full.session_id)
    answer = {"session_id": session_id, "agent_id": waiting.agent_id, "accepted": True}
    # Behind more than one batch of others, all of which are read when the offer is over.
    others = [request_record(full) for _ in range(600)]
    old = headers(EnrolmentRequested.TYPE, event_id=in_time, ce_time=b"1999-01-01T00:00:00Z")
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        records = [
            *others,
            (key, headers(SeatOfferAnswered.TYPE, event_id=answer_id), as_json(answer)),
            (str(closing.session_id), old, as_json(enrolment_request(closing.session_id))),
            request_record(unknown, request_id=in_vain),
        ]
        await portal.send("portal.enrolments", records)
        over = clock.now() + SOON  # the broker has the requests
        await announce(portal, closing.model_copy(update={"enrolment_closes_at": over}))
        async with database.transaction() as tx:
            withdrawal = Withdrawal(uuid4(), over - HELD, full.session_id, seated.key, None)
            await service.process(tx, [withdrawal], policy, over - HELD)

        async def is_over() -> bool:
            return clock.now() > over + SOON

        await eventually(is_over, "the offer and the deadline")
        await portal.send("portal.enrolments", [request_record(closing, request_id=late)])

    away = {"ENROLMENT_GRACE_SECONDS": "0", "ENROLMENT_PENDING_SESSION_SECONDS": "2"}
    run_service("enrolment", enrolment_url, kafka.bootstrap_servers, **away)

    async def all_are_decided() -> bool:
        return len(await rows(outcomes, ids=[answer_id, in_time, late, in_vain])) == 4

    outcomes = (
        "SELECT request_id, outcome, reason FROM request WHERE request_id = ANY(:ids) AND outcome IS NOT NULL"
    )
    await eventually(all_are_decided, "the requests are decided")
    decided = await rows(outcomes, ids=[answer_id, in_time, late, in_vain])
    assert {row.request_id: (row.outcome, row.reason) for row in decided} == {
        answer_id: ("enrolled", None),
        in_time: ("enrolled", None),
        late: ("refused", "deadline_passed"),
        in_vain: ("refused", "unknown_session"),
    }

"""What must hold when several processes share the work, and when one is stopped in the middle of it."""

import asyncio
import itertools
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from local.kafka import KafkaBroker
from shared.database import Database
from shared.events.catalogue import SessionScheduled, SessionState
from shared.events.portal import EnrolmentRequested
from tests.conftest import RunService
from tests.integration.enrolment.conftest import SelectRows
from tests.support.builders import an_agent, as_json, enrolment_request, headers, open_now
from tests.support.kafka import KafkaMessage, KafkaPortal, PublishedRecord, collect


def requests_for(session: SessionState, number: int) -> list[KafkaMessage]:
    """Requests in order; the agent's id tells the place in that order."""
    return [
        (
            str(session.session_id),
            headers(EnrolmentRequested.TYPE),
            as_json(enrolment_request(session.session_id, an_agent(f"{session.session_id}-{place:05d}"))),
        )
        for place in range(number)
    ]


async def announce(portal: KafkaPortal, *sessions: SessionState) -> None:
    await portal.send(
        "catalogue.sessions",
        [
            (
                str(session.session_id),
                headers(SessionScheduled.TYPE, source="/services/catalogue"),
                session.model_dump_json().encode(),
            )
            for session in sessions
        ],
    )


def mine(found: list[PublishedRecord], *sessions: SessionState) -> list[PublishedRecord]:
    ids = {str(session.session_id) for session in sessions}
    return [decision for decision in found if decision.data["session_id"] in ids]


async def decided_by_three_processes(
    kafka: KafkaBroker, run: Callable[[], object], session: SessionState, records: Sequence[KafkaMessage]
) -> list[PublishedRecord]:
    """Return the decisions about these requests, once three processes have made all of them."""
    number = len(records)
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await announce(portal, session)
        for _ in range(3):
            run()
        await portal.send("portal.enrolments", records)
        found = await collect(
            kafka.bootstrap_servers,
            "enrolment.decisions",
            lambda found: len(found) >= number and len(mine(found, session)) >= number,
            seconds=90,
        )
    return mine(found, session)


async def test_ten_thousand_requests_for_a_hundred_seats_from_three_processes_seat_the_first_hundred(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService
) -> None:
    session = open_now(capacity=100)
    run = partial(run_service, "enrolment", enrolment_url, kafka.bootstrap_servers)
    found = await decided_by_three_processes(kafka, run, session, requests_for(session, 10_000))
    enrolled = {decision.key for decision in found if decision.type == "AgentEnrolled"}
    assert len(enrolled) == 100
    assert enrolled == {f"{session.session_id}-{place:05d}" for place in range(100)}
    positions = {
        decision.key: decision.data["position"] for decision in found if decision.type == "AgentWaitlisted"
    }
    in_line = sorted(positions, key=lambda agent: positions[agent])
    assert in_line == [f"{session.session_id}-{place:05d}" for place in range(100, 10_000)]


async def test_one_session_whose_requests_come_by_every_partition_is_never_oversold(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService, rows: SelectRows
) -> None:
    """A portal that forgets the key spreads one session over all partitions, hence over all processes."""
    session = open_now(capacity=50)
    records = [(None, head, value) for _, head, value in requests_for(session, 2_000)]
    run = partial(run_service, "enrolment", enrolment_url, kafka.bootstrap_servers)
    found = await decided_by_three_processes(kafka, run, session, records)
    assert Counter(decision.type for decision in found) == {"AgentEnrolled": 50, "AgentWaitlisted": 1_950}
    # By time of receipt, whichever process read it: who asked earlier and is read later goes before others.
    in_line = await rows("SELECT received_at FROM enrolment WHERE state = 'waitlisted' ORDER BY ticket")
    assert [row.received_at for row in in_line] == sorted(row.received_at for row in in_line)
    assert len({decision.data["enrolment_id"] for decision in found}) == 2_000


@pytest.mark.parametrize(
    ("how", "replica"),
    # A replica with a name of its own comes back to its partitions; another waits 10 s.
    [(signal.SIGTERM, {}), (signal.SIGKILL, {"KAFKA_GROUP_INSTANCE_ID": "enrolment-1"})],
    ids=["SIGTERM", "SIGKILL"],
)
async def test_stopping_the_service_in_the_middle_loses_and_doubles_nothing(
    kafka: KafkaBroker,
    enrolment_url: str,
    run_service: RunService,
    eventually: Any,
    *,
    database: Database,
    how: signal.Signals,
    replica: dict[str, str],
) -> None:
    sessions = [open_now(capacity=20) for _ in range(10)]
    per_session = [requests_for(session, 300) for session in sessions]
    records = list(itertools.chain.from_iterable(zip(*per_session, strict=True)))

    async def decided() -> int:
        async with database.quiet_transaction() as tx:
            return int(await tx.scalar(text("SELECT count(*) FROM request")) or 0)

    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await announce(portal, *sessions)
        service = run_service("enrolment", enrolment_url, kafka.bootstrap_servers, **replica)
        for stop_at in (300, 900, 1_800):
            before = asyncio.create_task(portal.send("portal.enrolments", records[: stop_at + 300]))
            del records[: stop_at + 300]

            async def some_are_decided(wanted: int = await decided() + 100) -> bool:
                return await decided() >= wanted or not records

            await eventually(some_are_decided, "some requests are decided")
            service.process.send(how)
            code = await asyncio.to_thread(service.process.wait, 20)
            assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
            await before
            service.start()
        await portal.send("portal.enrolments", records)
        found = mine(
            await collect(
                kafka.bootstrap_servers,
                "enrolment.decisions",
                lambda found: (
                    len({decision.data["request_id"] for decision in mine(found, *sessions)}) >= 3_000
                ),
                seconds=60,
            ),
            *sessions,
        )

    distinct = {decision.id: decision for decision in found}.values()
    assert len({decision.data["request_id"] for decision in distinct}) == len(distinct) == 3_000
    assert Counter(decision.type for decision in distinct) == {"AgentEnrolled": 200, "AgentWaitlisted": 2_800}
    for session in sessions:
        seated = {decision.key for decision in distinct if decision.type == "AgentEnrolled"} & {
            f"{session.session_id}-{place:05d}" for place in range(20)
        }
        assert len(seated) == 20, "the first twenty of each session have its seats"


async def test_the_deadline_is_judged_by_the_time_that_the_broker_received_the_request(
    kafka: KafkaBroker, enrolment_url: str, run_service: RunService, eventually: Any
) -> None:
    """Asked in time while the service was down: in time. The sender's own clock counts for nothing."""
    session, request_id = open_now(), uuid.uuid4()
    head = headers(EnrolmentRequested.TYPE, event_id=request_id, ce_time=b"1999-01-01T00:00:00Z")
    async with KafkaPortal(kafka.bootstrap_servers) as portal:
        await portal.send(
            "portal.enrolments",
            [(str(session.session_id), head, as_json(enrolment_request(session.session_id)))],
        )
        closes = datetime.now(UTC) + timedelta(seconds=0.1)  # the broker has the request
        await announce(portal, session.model_copy(update={"enrolment_closes_at": closes}))

        async def it_is_over() -> bool:
            return datetime.now(UTC) > closes + timedelta(seconds=0.1)

        await eventually(it_is_over, "the deadline")
        late = requests_for(session, 1)
        await portal.send("portal.enrolments", late)
        run_service("enrolment", enrolment_url, kafka.bootstrap_servers)
        found = await collect(
            kafka.bootstrap_servers, "enrolment.decisions", lambda found: len(mine(found, session)) >= 2
        )

    by_request = {decision.data["request_id"]: decision for decision in mine(found, session)}
    assert by_request.pop(str(request_id)).type == "AgentEnrolled"
    [refused] = by_request.values()
    assert refused.data["reason"] == "deadline_passed"

"""The running service: two replicas on one database, a real broker, the events as others read them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from local.tansu import TansuBroker
from shared import clock
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from tests.integration.catalogue.conftest import Ask, a_draft_of
from tests.support.builders import headers
from tests.support.kafka import Portal, Published, collect
from tests.support.processes import ServiceProcess

RunService = Callable[..., ServiceProcess]
Eventually = Callable[..., Awaitable[None]]

LIFE = ["SessionScheduled", "SessionOpened", "SessionClosed", "SessionCompleted"]


def of(session_id: str, records: list[Published]) -> list[Published]:
    return [record for record in records if record.key == session_id]


@pytest.fixture
def replica(
    catalogue_url: str, tokens_file: Path, tansu: TansuBroker, run_service: RunService
) -> Callable[[], ServiceProcess]:
    """Start one more catalogue on the test's database."""
    return lambda: run_service(
        "catalogue", catalogue_url, tansu.bootstrap_servers, API_TOKENS_FILE=str(tokens_file)
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_two_replicas_carry_a_session_through_its_life_once(
    an_empty_offer: str, tansu: TansuBroker, replica: Callable[[], ServiceProcess], eventually: Eventually
) -> None:
    kafka = tansu.bootstrap_servers
    one, other = await asyncio.gather(asyncio.to_thread(replica), asyncio.to_thread(replica))
    now = clock.now()
    draft = a_draft_of(
        an_empty_offer,
        enrolment_opens_at=(now + timedelta(seconds=4)).isoformat(),
        enrolment_closes_at=(now + timedelta(seconds=6)).isoformat(),
        starts_at=(now + timedelta(seconds=6)).isoformat(),
        ends_at=(now + timedelta(seconds=8)).isoformat(),
    )
    async with httpx.AsyncClient(headers={"authorization": "Bearer advisor-bretagne"}) as client:
        drafted = await client.post(f"{one.url}/api/v1/sessions", json=draft)
        session_id = drafted.json()["session_id"]
        published = await client.post(f"{other.url}/api/v1/sessions/{session_id}/publish")
        assert published.status_code == 200, published.text

        records = await collect(
            kafka, "catalogue.sessions", lambda found: len(of(session_id, found)) >= len(LIFE)
        )
        life = of(session_id, records)
        assert [record.type for record in life] == LIFE
        for record in life:
            state = SessionState.model_validate_json(record.value)
            assert record.headers["ce_subject"] == record.key == str(state.session_id)
            assert record.headers["ce_source"] == "/services/catalogue"
        told_at = datetime.fromisoformat(life[-1].headers["ce_time"])
        ended_at = SessionState.model_validate_json(life[-1].value).ends_at
        assert timedelta(0) <= told_at - ended_at < timedelta(seconds=2)

        occupancy = SessionOccupancyChanged(
            session_id=session_id, version=3, capacity=30, enrolled=12, waiting=0, offered=0
        )
        async with Portal(kafka) as enrolment:
            await enrolment.send(
                "enrolment.occupancy",
                [(session_id, headers(occupancy.TYPE), occupancy.model_dump_json().encode())],
            )

        async def shown() -> bool:
            session = (await client.get(f"{other.url}/api/v1/sessions/{session_id}")).json()
            return bool(session["occupancy"] and session["occupancy"]["enrolled"] == 12)

        await eventually(shown, "the occupancy is shown")
    assert one.terminate() == 0
    assert other.terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_what_came_due_while_no_service_ran_is_announced_when_one_does(
    an_empty_offer: str, ask: Ask, tansu: TansuBroker, replica: Callable[[], ServiceProcess]
) -> None:
    """Decided and stored, and the process died before it published anything."""
    now = clock.now()
    draft = a_draft_of(
        an_empty_offer,
        enrolment_opens_at=(now + timedelta(seconds=2)).isoformat(),
        enrolment_closes_at=(now + timedelta(seconds=2.5)).isoformat(),
        starts_at=(now + timedelta(seconds=2.5)).isoformat(),
        ends_at=(now + timedelta(seconds=3)).isoformat(),
    )
    session_id = (await ask("POST", "/sessions", by="advisor-bretagne", **draft)).json()["session_id"]
    published = await ask("POST", f"/sessions/{session_id}/publish", by="advisor-bretagne")
    assert published.status_code == 200, published.text
    await asyncio.to_thread(replica)  # for longer than until the session's end
    records = await collect(
        tansu.bootstrap_servers,
        "catalogue.sessions",
        lambda found: "SessionCompleted" in types(of(session_id, found)),
    )
    # A crash between the broker's word and ours may publish an event again, with the same id.
    life = list({record.id: record for record in of(session_id, records)}.values())
    assert Counter(types(life)) == Counter(LIFE)
    assert types(life) == LIFE


def types(records: list[Published]) -> list[str]:
    return [record.type for record in records]

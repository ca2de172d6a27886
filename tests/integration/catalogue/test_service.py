"""The running service: two replicas on one database, a real broker, the events as others read them."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.tansu import TansuBroker
from shared import clock
from shared.events.catalogue import SessionState
from shared.events.enrolment import SessionOccupancyChanged
from tests.conftest import Ask, Eventually, RunService
from tests.integration.catalogue.conftest import a_draft_of
from tests.support.builders import headers
from tests.support.kafka import KafkaPortal, PublishedRecord, collect
from tests.support.processes import ServiceProcess

ADVISOR = "advisor-bretagne"
LIFE = ["SessionScheduled", "SessionOpened", "SessionClosed", "SessionCompleted"]


def of(session_id: str, records: list[PublishedRecord]) -> list[PublishedRecord]:
    return [record for record in records if record.key == session_id]


@pytest.fixture
def replica(
    catalogue_url: str, tokens_file: Path, tansu: TansuBroker, run_service: RunService
) -> Callable[[], ServiceProcess]:
    """Start one more catalogue on the test's database."""
    return lambda: run_service(
        "catalogue", catalogue_url, tansu.bootstrap_servers, API_TOKENS_FILE=str(tokens_file)
    )


async def test_two_replicas_carry_a_session_through_its_life_once_and_announce_what_came_due_before_them(
    *,
    an_empty_offer: str,
    ask: Ask,
    tansu: TansuBroker,
    replica: Callable[[], ServiceProcess],
    eventually: Eventually,
) -> None:
    kafka = tansu.bootstrap_servers
    # Decided and stored, and the process died before it published anything; over before the replicas are up.
    overdue = (await ask("POST", "/sessions", by=ADVISOR, **a_short_life(an_empty_offer, 0.5))).json()
    overdue_id = overdue["session_id"]
    assert (await ask("POST", f"/sessions/{overdue_id}/publish", by=ADVISOR)).is_success

    first, second = await asyncio.gather(asyncio.to_thread(replica), asyncio.to_thread(replica))
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {ADVISOR}"}) as client:
        draft = a_short_life(an_empty_offer, 1)
        drafted = await client.post(f"{first.url}/api/v1/sessions", json=draft)
        session_id = drafted.json()["session_id"]
        published = await client.post(f"{second.url}/api/v1/sessions/{session_id}/publish")
        assert published.status_code == 200, published.text

        def both_are_over(found: list[PublishedRecord]) -> bool:
            return all("SessionCompleted" in types(of(either, found)) for either in (session_id, overdue_id))

        records = await collect(kafka, "catalogue.sessions", both_are_over)
        # A crash between the broker's word and ours may publish an event again, with the same id.
        late = list({record.id: record for record in of(overdue_id, records)}.values())
        assert types(late) == LIFE
        life = of(session_id, records)
        assert types(life) == LIFE
        for record in life:
            state = SessionState.model_validate_json(record.value)
            assert record.headers["ce_subject"] == record.key == str(state.session_id)
            assert record.headers["ce_source"] == "/services/catalogue"
        published_at = datetime.fromisoformat(life[-1].headers["ce_time"])
        assert published_at >= SessionState.model_validate_json(life[-1].value).ends_at

        occupancy = SessionOccupancyChanged(
            session_id=session_id, version=3, capacity=30, enrolled=12, waiting=0, offered=0
        )
        async with KafkaPortal(kafka) as enrolment:
            await enrolment.send(
                "enrolment.occupancy",
                [(session_id, headers(occupancy.TYPE), occupancy.model_dump_json().encode())],
            )

        async def shown() -> bool:
            session = (await client.get(f"{second.url}/api/v1/sessions/{session_id}")).json()
            return bool(session["occupancy"] and session["occupancy"]["enrolled"] == 12)

        await eventually(shown, "the occupancy is shown")
    assert first.terminate() == 0
    assert second.terminate() == 0


def a_short_life(offer_id: str, seconds: float) -> dict[str, Any]:
    """A draft that opens after so many seconds, closes and starts after twice as many, ends after thrice."""
    opens, starts, ends = (clock.now() + timedelta(seconds=seconds * times) for times in (1, 2, 3))
    return a_draft_of(
        offer_id,
        enrolment_opens_at=opens.isoformat(),
        enrolment_closes_at=starts.isoformat(),
        starts_at=starts.isoformat(),
        ends_at=ends.isoformat(),
    )


def types(records: list[PublishedRecord]) -> list[str]:
    return [record.type for record in records]

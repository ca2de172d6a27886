"""What the metrics say of batches, and of dead letters that come and go."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from services.enrolment.handlers import router
from services.enrolment.personal_data import REGISTER
from services.enrolment.settings import Settings
from shared import clock
from shared.database import Database
from shared.events.topics import Topic
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer
from shared.process.jobs import housekeeping
from tests.conftest import settings_of
from tests.integration.messaging.consumers import ConsumerHandler, Sent, deliveries
from tests.support.builders import headers
from tests.support.metrics import metric

TOPIC = Topic.PORTAL_ENROLMENTS.value


def of_topic(name: str, **labels: str) -> float:
    return metric(name, topic=TOPIC, **labels)


def of_batches() -> list[float]:
    """How many batches had one record, five and 500 at most; how many were timed."""
    sizes = [of_topic("parcours_batch_records_bucket", le=most) for most in ("1.0", "5.0", "500.0")]
    return [*sizes, of_topic("parcours_batch_seconds_count")]


def of_events() -> list[float]:
    """How many events had their effect, came again, and are not known here."""
    names = (
        "parcours_events_handled_total",
        "parcours_events_duplicate_total",
        "parcours_events_ignored_total",
    )
    return [of_topic(name) for name in names]


async def test_batches_are_counted_by_size_and_timed_and_events_by_what_came_of_them(
    database: Database,
) -> None:
    handler = ConsumerHandler()
    consumer = Consumer(handler.subscription, database)
    unknown: Sent = (str(handler.session_id), headers("fr.cnfpt.portal.Unheard.v1"), b"{}")
    requests = [handler.request(f"A-{number}") for number in range(5)]
    before = of_batches(), of_events()
    await consumer.take(deliveries([*requests, unknown]))
    await consumer.take(deliveries([requests[0]]))
    sizes, events = (
        [now - then for now, then in zip(figures, old, strict=True)]
        for figures, old in zip((of_batches(), of_events()), before, strict=True)
    )
    assert sizes == [1, 1, 2, 2]
    assert events == [5, 1, 1]


async def test_what_waits_to_be_published_is_measured_and_what_is_held_back_apart(
    database: Database,
) -> None:
    row = (
        "INSERT INTO outbox (bucket, topic, key, event_id, type, source, data, created_at, held) VALUES "
        "(0, 'topic', 'key', gen_random_uuid(), 'type', 'source', '{}', now() - interval '1 minute', :held)"
    )
    async with database.transaction() as tx:
        for held in (None, None, None, "waiting", "waiting", "refused"):
            await tx.execute(text(row), {"held": held})
    await measure(database)
    names = "parcours_outbox_unsent", "parcours_outbox_waiting", "parcours_outbox_refused"
    outbox = [metric(name) for name in names]
    assert outbox == [3, 2, 1]
    assert 60 <= metric("parcours_outbox_oldest_seconds") < 3600


async def test_what_operators_did_about_dead_letters_in_the_last_day_is_known(database: Database) -> None:
    handler = ConsumerHandler()
    garbage: list[Sent] = [(None, [], f"no event {number}".encode()) for number in range(4)]
    await Consumer(handler.subscription, database).take(deliveries(garbage))
    async with database.transaction() as tx:
        letters = [letter.id for letter in await dead_letters.find(tx, limit=4)]
        await dead_letters.discard(tx, letters[:2], actor="nadia", reason="no event")
        await dead_letters.settle(tx, letters[2], state="redriven", actor="nadia", note=None)
        await dead_letters.audit(tx, letters[3], action="redrive failed", actor="nadia", note=None)
        long_ago = {"at": clock.now() - timedelta(hours=25), "id": letters[0]}
        await tx.execute(text("UPDATE dead_letter_audit SET at = :at WHERE dead_letter_id = :id"), long_ago)
        parked_at = {"at": clock.now() - timedelta(hours=2), "id": letters[3]}
        await tx.execute(text("UPDATE dead_letter SET parked_at = :at WHERE id = :id"), parked_at)
    await measure(database)
    actions = ("redriven", "redrive failed", "discarded")
    assert [metric("parcours_dead_letters_decided", action=action) for action in actions] == [1, 1, 1]
    assert metric("parcours_dead_letters") == 1
    assert 7200 <= metric("parcours_dead_letters_oldest_seconds") < 10_800


async def measure(database: Database) -> None:
    """Set the gauges, as each process does every ten seconds."""
    given: dict[str, Any] = settings_of("enrolment", "postgresql://x@localhost/x", "x:1")
    settings = Settings(**{name.lower(): value for name, value in given.items()})
    *_, job = housekeeping(database, router, REGISTER, settings)
    await job.run()

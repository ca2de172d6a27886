"""Whatever the notifier keeps of people stands in the register, and ends by its rules."""

from datetime import timedelta
from uuid import uuid4

import pytest

from services.notifier.personal_data import REGISTER
from services.notifier.service import subscriptions
from services.notifier.settings import Settings
from services.notifier.tables import metadata
from shared import clock
from shared.events.catalogue import BespokeRequestAnswered, SessionScheduled
from shared.events.enrolment import AgentEnrolled
from shared.events.portal import SubscriptionChanged
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.process.jobs import end_old_rows
from shared.web.links import Links, Purpose
from tests.integration.notifier.conftest import Notifier
from tests.support.builders import an_agent
from tests.support.consuming import a_record
from tests.support.guards import a_guard
from tests.support.searching import MARK, columns_with, registered
from tests.support.smtp import Reply
from tests.unit.notifier.builders import a_decision, a_session

SETTINGS = Settings(
    notifier_database_url="postgresql://user@host/name",
    kafka_bootstrap_servers="localhost:1",
    smtp_host="127.0.0.1",
    smtp_sender="Parcours <ne-pas-repondre@parcours.example>",
    parcours_trial=True,
)
ADDRESS = f"{MARK}@exemple.fr"


LINKS = Links(["a key for tests only"], dict.fromkeys(Purpose, "http://test"))


async def live_through_everything(notifier: Notifier) -> None:
    """Leave the mark of people in every way that they come into this service."""
    agent = an_agent(f"{MARK}-1", email=ADDRESS, given_name=MARK, family_name=MARK, issuer="iel")
    subscription = SubscriptionChanged(
        agent_id=agent.agent_id,
        email=ADDRESS,
        given_name=MARK,
        family_name=MARK,
        theme="enjeux-ia",
        subscribed=True,
    )
    officer = {"name": MARK, "email": ADDRESS}
    answered = BespokeRequestAnswered.model_validate(
        {
            "request_id": uuid4(),
            "siret": "21350238800019",
            "answer": "declined",
            "requested_by": officer,
            "advisor": officer,
            "message": MARK,
        }
    )
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    decision = a_decision(AgentEnrolled, agent=agent)
    await notifier.hear(decision)
    await notifier.hear(subscription)
    await notifier.hear(answered)
    refusal = f"550 5.1.1 <{ADDRESS}>: Recipient address rejected: User unknown"
    notifier.relay.script("RCPT", Reply(refusal))
    await notifier.deliver()
    async with notifier.database.transaction() as tx:
        await subscriptions.request(tx, f"autre.{ADDRESS}", ["theme:enjeux-ia"], ["Enjeux"], a_guard().digest)
        await dead_letters.park(tx, [Parked(a_record(subscription), None, "no reason", MARK)])


async def test_whatever_is_kept_of_people_stands_in_the_register(notifier: Notifier) -> None:
    await live_through_everything(notifier)

    found = await columns_with(notifier.database, metadata)

    assert found - registered(REGISTER) == set()
    assert {table for table, _ in found} == {
        "dead_letter",
        "enrolment",
        "mail",
        "outbox",
        "subscriber",
        "subscription_request",
    }


async def test_nothing_is_left_when_every_rule_has_ended_it_but_what_who_subscribed_wants(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live_through_everything(notifier)
    await notifier.change("UPDATE outbox SET sent_at = now()")
    await notifier.change("UPDATE dead_letter SET state = 'discarded'")
    await notifier.change("UPDATE mail SET state = 'sent', settled_at = now() WHERE settled_at IS NULL")
    before = await columns_with(notifier.database, metadata)
    assert await suppressed(notifier) == 1
    await end_old_rows(notifier.database, REGISTER, SETTINGS)
    assert before - await columns_with(notifier.database, metadata) <= {
        ("enrolment", name) for name in ("agent_id", "address", "given_name", "family_name")
    }

    later = clock.now() + timedelta(days=SETTINGS.notifier_addresses_kept_days + 400)
    monkeypatch.setattr("shared.clock.now", lambda: later)
    await end_old_rows(notifier.database, REGISTER, SETTINGS)

    assert {table for table, _ in await columns_with(notifier.database, metadata)} == {"subscriber"}
    assert await suppressed(notifier) == 0


async def suppressed(notifier: Notifier) -> int:
    """How many addresses are written to no more; they are kept as digests, which no search finds."""
    return len(await notifier.query("SELECT kind FROM suppression"))

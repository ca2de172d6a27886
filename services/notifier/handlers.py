"""Kafka in: what the catalogue says of its sessions and replays, what was decided about whom."""

from services.notifier import letters, store
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import SESSION_EVENTS, BespokeRequestAnswered, ReplayPublished, SessionState
from shared.events.enrolment import DECISIONS, AgentEnrolled, Decision
from shared.events.topics import Topic
from shared.messaging.consumer import Subscriptions
from shared.messaging.decoding import Received

subscriptions = Subscriptions("notifier")

# Letters of a later version: kept, so that nobody's wish is lost.
subscriptions.park(Topic.PORTAL_AGENTS, portal.SubscriptionChanged, portal.AgentErasureRequested)
subscriptions.park(Topic.CATALOGUE_BESPOKE, BespokeRequestAnswered)


@subscriptions.on(Topic.CATALOGUE_SESSIONS, *SESSION_EVENTS)
async def on_sessions(tx: Transaction, received: list[Received[SessionState]]) -> None:
    """Know the sessions, so that letters can tell of them; mails that waited for theirs are now due."""
    await store.remember_sessions(tx, [one.event for one in received])


@subscriptions.on(Topic.ENROLMENT_DECISIONS, *DECISIONS)
async def on_decisions(tx: Transaction, received: list[Received[Decision]]) -> None:
    """Queue the letters that a batch of decisions calls for, and keep where everyone stands."""
    enrolled = [one.event for one in received if isinstance(one.event, AgentEnrolled)]
    await store.lock_sessions(tx, {event.session_id for event in enrolled}, alone=False)
    known = await store.enrolments(tx, {one.event.enrolment_id for one in received})
    news = letters.read(known, [one.event for one in received])
    await store.remember_enrolments(tx, news.standings)
    await store.queue(tx, [(received[place], letter) for place, letter in news.called_for])
    await store.announce_to(tx, [event.enrolment_id for event in enrolled])


@subscriptions.on(Topic.CATALOGUE_RESOURCES, ReplayPublished)
async def on_replays(tx: Transaction, received: list[Received[ReplayPublished]]) -> None:
    """Write to everyone enrolled in a session whose recording is open."""
    called_for = [
        (one, letter) for one in received if (letter := letters.letter_about(one.event)) is not None
    ]
    await store.lock_sessions(
        tx, {one.event.session_id for one, _ in called_for if one.event.session_id}, alone=True
    )
    await store.announce(tx, called_for)

"""Kafka in: what the catalogue says of its sessions and replays, what was decided about whom."""

from functools import partial
from typing import cast

from services.notifier import letters, store
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import (
    BespokeRequestAnswered,
    ReplayPublished,
    ResourcePublished,
    SessionState,
)
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentEnrolled, Decision
from shared.events.topics import Topic
from shared.messaging.projections import Latest, Projections
from shared.messaging.router import Router, Tx

router = Router("notifier")


@router.subscriber(Topic.CATALOGUE_SESSIONS)
async def on_sessions(tx: Tx, received: list[Received[SessionState]]) -> None:
    """Know the sessions, so that letters can tell of them; tell of what changed, and plan what is to come."""
    newest = {one.event.session_id: one for one in sorted(received, key=lambda one: one.event.version)}
    await store.lock_sessions(tx, newest, alone=True)
    before = await store.known_sessions(tx, newest)
    after = {which: letters.known_as(one.event, before.get(which)) for which, one in newest.items()}
    await store.remember_sessions(tx, after.values())
    now = clock.now()
    fan_outs = []
    for session_id, one in newest.items():
        change = letters.change_of(before.get(session_id), after[session_id], now)
        told = partial(store.FanOut, one.id, subject_id=session_id, called_for_at=one.received_at)
        fan_outs += [told(task=store.TASKS[letter.template], facts=letter.facts) for letter in change.letters]
        if change.reschedule:
            first = session_id not in before
            fan_outs.append(told(task=store.Task.SCHEDULE, facts={"first": first}))
        item = letters.news_of_session(one.event, now) if session_id not in before else None
        if item is not None:
            await store.publish_news(tx, one.id, item, called_for_at=one.received_at)
    await store.begin(tx, fan_outs)


@router.subscriber(Topic.ENROLMENT_DECISIONS, awaited=True)
async def on_decisions(tx: Tx, received: list[Received[Decision]]) -> None:
    """Queue the letters that decisions call for, now and later, and keep where everyone stands."""
    enrolled = [one.event for one in received if isinstance(one.event, AgentEnrolled)]
    sessions = {event.session_id for event in enrolled}
    await store.lock_sessions(tx, sessions, alone=False)
    known = await store.enrolments(tx, {one.event.enrolment_id for one in received})
    news = letters.read(known, [one.event for one in received])
    told = {id(one.event): one for one in received}
    decisive = {which: told[id(decision)] for which, (decision, _) in news.standings.items()}
    await store.remember_enrolments(
        tx, news.standings, {which: one.received_at for which, one in decisive.items()}
    )
    await store.drop_letters_to_come(tx, known.keys() & decisive.keys())
    await store.queue(tx, [(received[place], letter) for place, letter in news.called_for])
    await _plan(tx, [one for one in decisive.values() if isinstance(one.event, AgentEnrolled)])
    await store.announce_to(tx, [event.enrolment_id for event in enrolled])


async def _plan(tx: Transaction, enrolled: list[Received[Decision]]) -> None:
    """Queue what time will call for; where the session is not known yet, its own event will."""
    sessions = await store.known_sessions(tx, {one.event.session_id for one in enrolled})
    now = clock.now()
    await store.queue(
        tx,
        [
            (one, letter)
            for one in enrolled
            if (session := sessions.get(one.event.session_id)) is not None
            for letter in letters.letters_to_come(session, one.received_at, now)
        ],
    )


@router.subscriber(Topic.CATALOGUE_RESOURCES)
async def on_resources(tx: Tx, received: list[Received[ReplayPublished | ResourcePublished]]) -> None:
    """Write to everyone enrolled in a session whose recording is open, and to who follows such things."""
    replays = [cast("Received[ReplayPublished]", one) for one in received if _is_replay(one)]
    called_for = [(one, letter) for one in replays if (letter := letters.letter_about(one.event)) is not None]
    await store.lock_sessions(
        tx, {one.event.session_id for one, _ in called_for if one.event.session_id}, alone=True
    )
    await store.announce(tx, called_for)
    now = clock.now()
    for one in received:
        item = letters.news_of(one.event)
        if letters.is_fresh(item, now):
            await store.publish_news(tx, one.id, item, called_for_at=one.received_at)
        else:  # a community that opened long ago may still be followed
            await store.remember_news(tx, one.id, item)


def _is_replay(one: Received[ReplayPublished | ResourcePublished]) -> bool:
    return isinstance(one.event, ReplayPublished)


@router.subscriber(Topic.CATALOGUE_BESPOKE)
async def on_answers(tx: Tx, received: list[Received[BespokeRequestAnswered]]) -> None:
    """Write to the officer who asked, who is no agent and goes by the request."""
    for one in received:
        officer = one.event.requested_by
        to = store.Addressee(f"demandeur-{one.event.request_id}", officer.email, "", officer.name)
        letter = letters.letter_answering(one.event)
        await store.queue_letter(
            tx, one.id, letter, to, called_for_at=one.received_at, session_id=one.event.session_id
        )


@router.subscriber(Topic.PORTAL_AGENTS, for_later=[portal.AgentErasureRequested])
async def on_agents(tx: Tx, received: list[Received[portal.SubscriptionChanged]]) -> None:
    """Keep what agents want news of, in the order in which they said so."""
    for one in received:
        await store.subscriptions.change(tx, one.event)


async def _restore(tx: Transaction, latest: Latest) -> None:
    """Know the sessions, replays and news again, and tell nobody: they were told.

    Who enrolled while a session was not known had no letters to come; they are planned now.
    """
    sessions = latest[Topic.CATALOGUE_SESSIONS]
    ids = {one.event.session_id for one in sessions}
    await store.lock_sessions(tx, ids, alone=True)
    before = await store.known_sessions(tx, ids)
    await store.remember_sessions(
        tx, [letters.known_as(one.event, before.get(one.event.session_id)) for one in sessions]
    )
    for one in sessions:
        item = letters.news_of_session(one.event, clock.now())
        if item is not None and one.event.session_id not in before:
            await store.remember_news(tx, one.id, item)
    resources = latest[Topic.CATALOGUE_RESOURCES]
    replays = [one for one in resources if _is_replay(one)]
    await store.remember_replays(
        tx, [(one, letter) for one in replays if (letter := letters.letter_about(one.event)) is not None]
    )
    for one in resources:
        await store.remember_news(tx, one.id, letters.news_of(one.event))
    unknown = [one for one in sessions if one.event.session_id not in before]
    plan = partial(store.FanOut, task=store.Task.SCHEDULE, facts={"first": False})
    await store.begin(
        tx,
        [
            plan(one.id, subject_id=one.event.session_id, called_for_at=one.received_at)
            for one in unknown
            if letters.change_of(None, letters.known_as(one.event, None), clock.now()).reschedule
        ],
    )


projections = Projections((Topic.CATALOGUE_SESSIONS, Topic.CATALOGUE_RESOURCES), _restore, store.compare)

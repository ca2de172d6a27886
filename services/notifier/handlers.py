"""Kafka in: what the catalogue says of its sessions and replays, what was decided about whom."""

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeGuard

from services.notifier.service import (
    bespoke,
    enrolments,
    erasures,
    news,
    notices,
    sessions,
    subscriptions,
    timeline,
    trainers,
)
from services.notifier.service import projections as catalogue
from services.notifier.service.bespoke import BespokeNews
from services.notifier.service.notices import NoticeEvent
from shared import clock
from shared.database import Transaction
from shared.events import portal
from shared.events.catalogue import ResourceEvent, SessionState, SessionTrainersChanged
from shared.events.cloudevents import Received
from shared.events.enrolment import AgentDetailsCorrected, Decision, NewAddressGiven
from shared.events.erasure import AgentErased
from shared.events.topics import Topic
from shared.messaging import erasure
from shared.messaging.projections import Compared, Latest, Projections
from shared.messaging.router import FromContext, Router, Tx

router = Router("notifier")


@router.subscriber(Topic.CATALOGUE_SESSIONS)
async def on_sessions(tx: Tx, received: list[Received[SessionState]]) -> None:
    """Keep the sessions; write what changed to the enrolled, and schedule what is to come."""
    await sessions.update(tx, received, clock.now())


@router.subscriber(Topic.ENROLMENT_DECISIONS, awaited=True)
async def on_decisions(
    tx: Tx, received: list[Received[Decision | AgentDetailsCorrected | NewAddressGiven]]
) -> None:
    """Queue the letters that decisions call for, now and later; correct what they say of agents."""
    await enrolments.take_over(tx, received, clock.now())
    await timeline.keep(tx, received)


@router.subscriber(Topic.CATALOGUE_RESOURCES)
async def on_resources(tx: Tx, received: list[Received[ResourceEvent]]) -> None:
    """Write to everyone enrolled in a session whose recording is open, and to who follows such things.

    About what was withdrawn nobody is written to any more.
    """
    await news.announce(tx, received, clock.now())


@router.subscriber(Topic.CATALOGUE_BESPOKE)
async def on_answers(tx: Tx, received: list[Received[BespokeNews]]) -> None:
    """Write to the officers who asked for training of their own: that it is received, and the answers."""
    await bespoke.write(tx, received)


@router.subscriber(Topic.CATALOGUE_TRAINERS)
async def on_trainers(tx: Tx, received: list[Received[SessionTrainersChanged]]) -> None:
    """Keep who speaks or teaches in the sessions."""
    await trainers.take_over(tx, received)


Organisers = Annotated[Mapping[str, Sequence[str]], FromContext("organisers")]
"""A handler's parameter: the addresses of the staff to write to, by organiser. From ``app.py``."""


@router.subscriber(Topic.ENROLMENT_NOTICES)
async def on_notices(tx: Tx, organisers: Organisers, received: list[Received[NoticeEvent]]) -> None:
    """Write to the organisers whose decision is awaited, and what they write to who is in a session."""
    await notices.write(tx, received, organisers)


AgentRequest = portal.SubscriptionChanged | portal.AgentCorrected | portal.AgentErasureRequested


@router.subscriber(Topic.PORTAL_AGENTS, accepts=True)
async def on_agents(tx: Tx, received: list[Received[AgentRequest]]) -> None:
    """Keep what agents want news of, and where, in the order in which they said so; and whom to forget."""
    of_subscribers = [request for request in received if _is_of_subscriber(request)]
    await subscriptions.take_over(tx, of_subscribers)
    await timeline.keep(tx, of_subscribers)
    await erasure.keep_requests(tx, received)


def _is_of_subscriber(
    request: Received[AgentRequest],
) -> TypeGuard[Received[portal.SubscriptionChanged | portal.AgentCorrected]]:
    return not isinstance(request.event, portal.AgentErasureRequested)


@router.subscriber(Topic.AGENTS_ERASED)
async def on_erased(tx: Tx, received: list[Received[AgentErased]]) -> None:
    """Keep which services have forgotten an agent: letters are erased after the enrolments."""
    await erasures.record(tx, [record.event for record in received])


async def _restore(tx: Transaction, latest: Latest) -> None:
    await catalogue.restore(
        tx, latest[Topic.CATALOGUE_SESSIONS], latest[Topic.CATALOGUE_RESOURCES], clock.now()
    )


async def _compare(tx: Transaction, latest: Latest) -> list[Compared]:
    return await catalogue.compare(tx, latest[Topic.CATALOGUE_SESSIONS], latest[Topic.CATALOGUE_RESOURCES])


projections = Projections((Topic.CATALOGUE_SESSIONS, Topic.CATALOGUE_RESOURCES), _restore, _compare)

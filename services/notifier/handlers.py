"""Kafka handlers: sessions and resources of the catalogue, decisions of enrolment, requests of portals."""

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
    """Store sessions, and plan the letters about them."""
    await sessions.process(tx, received, clock.now())


@router.subscriber(Topic.ENROLMENT_DECISIONS, rest=0.1)
async def on_decisions(
    tx: Tx, received: list[Received[Decision | AgentDetailsCorrected | NewAddressGiven]]
) -> None:
    """Store the state of each enrolment, and queue its letters. Correct addresses and names."""
    await enrolments.process(tx, received, clock.now())
    await timeline.process(tx, received)


@router.subscriber(Topic.CATALOGUE_RESOURCES)
async def on_resources(tx: Tx, received: list[Received[ResourceEvent]]) -> None:
    """Announce replays and resources. Stop what announces a withdrawn one."""
    await news.process(tx, received, clock.now())


@router.subscriber(Topic.CATALOGUE_BESPOKE)
async def on_answers(tx: Tx, received: list[Received[BespokeNews]]) -> None:
    """Write to the officers who requested bespoke training."""
    await bespoke.process(tx, received)


@router.subscriber(Topic.CATALOGUE_TRAINERS)
async def on_trainers(tx: Tx, received: list[Received[SessionTrainersChanged]]) -> None:
    await trainers.process(tx, received)


Organisers = Annotated[Mapping[str, Sequence[str]], FromContext("organisers")]


@router.subscriber(Topic.ENROLMENT_NOTICES)
async def on_notices(tx: Tx, organisers: Organisers, received: list[Received[NoticeEvent]]) -> None:
    """Write to organisers, and write their messages to participants."""
    await notices.process(tx, received, organisers)


AgentRequest = portal.SubscriptionChanged | portal.AgentCorrected | portal.AgentErasureRequested


@router.subscriber(Topic.PORTAL_AGENTS, accepts=True)
async def on_agents(tx: Tx, received: list[Received[AgentRequest]]) -> None:
    """Store subscriptions and corrections in order, and requests to erase an agent."""
    of_subscribers = [request for request in received if _is_of_subscriber(request)]
    await subscriptions.process(tx, of_subscribers)
    await timeline.process(tx, of_subscribers)
    await erasure.keep_requests(tx, received)


def _is_of_subscriber(
    request: Received[AgentRequest],
) -> TypeGuard[Received[portal.SubscriptionChanged | portal.AgentCorrected]]:
    return not isinstance(request.event, portal.AgentErasureRequested)


@router.subscriber(Topic.AGENTS_ERASED)
async def on_erased(tx: Tx, received: list[Received[AgentErased]]) -> None:
    """Store which services have erased an agent. Letters are erased after the enrolments."""
    await erasures.process(tx, received)


async def _restore(tx: Transaction, latest: Latest) -> None:
    await catalogue.restore(
        tx, latest[Topic.CATALOGUE_SESSIONS], latest[Topic.CATALOGUE_RESOURCES], clock.now()
    )


async def _compare(tx: Transaction, latest: Latest) -> list[Compared]:
    return await catalogue.compare(tx, latest[Topic.CATALOGUE_SESSIONS], latest[Topic.CATALOGUE_RESOURCES])


projections = Projections((Topic.CATALOGUE_SESSIONS, Topic.CATALOGUE_RESOURCES), _restore, _compare)

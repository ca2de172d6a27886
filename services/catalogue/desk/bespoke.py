"""Bespoke requests: what a delegation answers to an authority."""

from uuid import UUID, uuid4

from services.catalogue import rules
from services.catalogue.desk.failures import Impossible, Invalid, Missing, Stale, Wrong
from services.catalogue.desk.requests import BespokeAnswerRequest, BespokeSession
from services.catalogue.rules import BespokeRequest, Refused, Session
from services.catalogue.store import bespoke, offers, sessions
from services.catalogue.store.sessions import Presentation
from shared import clock
from shared.auth import Principal
from shared.database import Database, Transaction
from shared.events.vocabulary import Format


def tag_of(request: BespokeRequest) -> str:
    """What changes with each answer."""
    return str(request.version)


async def answer(
    database: Database,
    who: Principal,
    request_id: UUID,
    asked: BespokeAnswerRequest,
    *,
    tags: frozenset[str] | None,
) -> BespokeRequest:
    """Answer an authority; with an agreement, its private session is published in the same transaction."""
    async with database.transaction() as tx:
        before = await bespoke.for_update(tx, request_id)
        if before is None or not who.may_act_for(before.delegation):
            raise Missing(f"bespoke request {request_id}")
        if tags is not None and tag_of(before) not in tags:
            raise Stale("bespoke request", tag_of(before))
        session = None if asked.session is None else await _session(tx, before, asked.session)
        answered = rules.answer(
            before,
            asked.answer,
            advisor=asked.advisor,
            message=asked.message,
            session=session,
            now=clock.now(),
        )
        if isinstance(answered, Refused):
            raise Impossible(answered)
        if answered.session is not None and asked.session is not None:
            shown = asked.session.present(Presentation())
            await sessions.add(tx, [(answered.session, shown)], actor=who.name, action="agreed")
        await bespoke.save(tx, before, answered.request, answered.event, actor=who.name)
    return answered.request


async def _session(tx: Transaction, request: BespokeRequest, asked: BespokeSession) -> Session:
    offer = await offers.by_id(tx, asked.offer_id)
    if offer is None or offer.format is not Format.BESPOKE:
        raise Invalid(Wrong("session.offer_id", f"there is no bespoke offer {asked.offer_id}"))
    plan = rules.for_the_authority(asked.under(offer, opens_at=clock.now()), request.siret)
    return Session(
        session_id=uuid4(),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=request.delegation,
        plan=plan,
        version=0,
    )

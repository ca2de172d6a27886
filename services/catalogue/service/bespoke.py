from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from services.catalogue.rules import bespoke as rules
from services.catalogue.rules.bespoke import BespokeRequest, BespokeState
from services.catalogue.rules.refusals import Violation
from services.catalogue.rules.searching import Position
from services.catalogue.rules.sessions import ListedSession, Presentation, Session
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import BespokeAnswerRequest, BespokeSession
from services.catalogue.service.failures import Impossible, Missing, unless_refused
from services.catalogue.service.sessions import claim_reference, with_prerequisite
from services.catalogue.store import audit_log, bespoke, offers, session_lists, sessions
from services.catalogue.store.audit_log import Action
from services.catalogue.store.outbox import OUTBOX
from services.catalogue.tables import AuditLogRow
from shared import clock, read_log
from shared.database import Transaction
from shared.events.vocabulary import Contact, Format
from shared.read_log import Reading, ReadKind


def tag_of(request: BespokeRequest) -> str:
    return str(request.version)


async def receive(tx: Transaction, requests: Sequence[BespokeRequest]) -> None:
    new = await bespoke.add(tx, requests)
    acknowledgements = [rules.acknowledged(request) for request in new]
    await OUTBOX.publish(tx, [event for event in acknowledgements if event is not None])


async def answer(
    acting: Acting, bespoke_id: UUID, answer: BespokeAnswerRequest, reading: Reading
) -> BespokeRequest:
    before = await show(acting, bespoke_id, reading, lock=True)
    acting.require_seen(tag_of(before), "bespoke request")
    session = None if answer.session is None else await _session(acting.tx, before, answer.session)
    answered = unless_refused(
        rules.answer(
            before,
            answer.answer,
            advisor=answer.advisor,
            message=answer.message,
            session=session,
            now=clock.now(),
        )
    )
    if answered.session is not None:
        await sessions.save(acting.tx, [(None, answered.session)], actor=acting.name, action=Action.AGREED)
    await bespoke.save(acting.tx, before, answered.request, answered.event, actor=acting.name)
    return answered.request


async def hand_over(acting: Acting, bespoke_id: UUID, advisor: Contact, reading: Reading) -> BespokeRequest:
    before = await show(acting, bespoke_id, reading, lock=True)
    acting.require_seen(tag_of(before), "bespoke request")
    after = unless_refused(rules.handed_over(before, advisor))
    await bespoke.save(acting.tx, before, after, None, actor=acting.name)
    return after


async def close_of(tx: Transaction, addresses: Collection[str], until: datetime) -> None:
    """Close the open requests of a person to be erased, because they can have no answer.

    Requests that are erased because their retention is over end without an event.
    """
    await OUTBOX.publish(
        tx, [rules.closed(request) for request in await bespoke.open_of(tx, addresses, until)]
    )


async def show(acting: Acting, bespoke_id: UUID, reading: Reading, *, lock: bool = False) -> BespokeRequest:
    request = await bespoke.by_id(acting.tx, bespoke_id, lock=lock)
    if request is None or not acting.who.finds(request.delegation):
        raise Missing(f"bespoke request {bespoke_id}")
    await read_log.record(acting.tx, reading, ReadKind.BESPOKE, about=[bespoke_id])
    return request


async def find(tx: Transaction, bespoke_id: UUID) -> BespokeRequest | None:
    """No person is shown, so no read is recorded."""
    return await bespoke.by_id(tx, bespoke_id)


async def page(
    acting: Acting,
    after: Position | None,
    limit: int,
    *,
    reading: Reading | None,
    before: Position | None = None,
    state: BespokeState | None = None,
    delegation: str | None = None,
    sought: str = "",
) -> list[BespokeRequest]:
    """``sought`` is an authority's name, a SIRET or the reference in letters.

    ``reading`` is None if no person is shown; otherwise every request counts as read.
    """
    requests = await bespoke.page(
        acting.tx,
        acting.viewer,
        after,
        limit,
        before=before,
        state=state,
        delegation=delegation,
        sought=sought,
    )
    if reading and requests:
        read = [request.bespoke_id for request in requests]
        await read_log.record(acting.tx, reading, ReadKind.BESPOKE, about=read)
    return requests


@dataclass(frozen=True, slots=True)
class BespokeColumn:
    state: BespokeState
    number: int
    requests: Sequence[BespokeRequest]


async def board(acting: Acting, most: int) -> list[BespokeColumn]:
    """No requester is shown, so no read is recorded."""
    viewer = acting.viewer
    numbers = await bespoke.counts(acting.tx, viewer)
    return [
        BespokeColumn(
            state,
            numbers.get(state, 0),
            await bespoke.in_state(acting.tx, viewer, state, most) if state in numbers else (),
        )
        for state in BespokeState
    ]


async def sessions_of(acting: Acting, requests: Iterable[BespokeRequest]) -> dict[UUID, ListedSession]:
    ids = [request.session_id for request in requests if request.session_id is not None]
    return await session_lists.by_ids(acting.tx, ids, acting.viewer) if ids else {}


async def history(tx: Transaction, bespoke_id: UUID, limit: int) -> list[AuditLogRow]:
    return await audit_log.entries_of(tx, bespoke_id, None, limit)


async def _session(tx: Transaction, request: BespokeRequest, session: BespokeSession) -> Session:
    offer = (await offers.hold(tx, [session.offer_id])).get(session.offer_id)
    if offer is None or offer.format is not Format.BESPOKE:
        detail = f"there is no bespoke offer {session.offer_id}"
        raise Impossible(Violation(None, "session.offer_id", detail))
    session = await with_prerequisite(tx, session, offer.offer_id, field="session.prerequisite")
    private = Session(
        session_id=uuid4(),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=request.delegation,
        reference=session.reference,
        plan=rules.private_plan(session.under(offer, opens_at=clock.now()), request.siret),
        presentation=session.present(Presentation()),
    )
    await claim_reference(tx, private, field="session.reference")
    return private

import hashlib
from collections.abc import Collection
from dataclasses import replace

from services.catalogue.rules.loads import with_choices
from services.catalogue.rules.offers import MADE_HERE, NEVER, Offer, fixed_format, impossible, withdrawal
from services.catalogue.rules.refusals import RefusalCode, Violation
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service import sessions
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import OfferChange, OfferRequest
from services.catalogue.service.failures import Impossible, Missing, NotYours, Withdrawn
from services.catalogue.store import offers, session_lists
from services.catalogue.store.audit_log import Action
from services.catalogue.tables import AuditLogRow
from shared import clock
from shared.auth import Principal
from shared.database import Transaction
from shared.events.vocabulary import Format
from shared.permissions import Permission

_MOST = 1_000


def tag_of(offer: Offer) -> str:
    shown = repr(replace(offer, loaded=None, changed_at=NEVER))
    return hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()


async def create(acting: Acting, request: OfferRequest) -> Offer:
    _require_all(acting.who)
    offer = request.offer()
    if offer.offer_id in await offers.all_locked(acting.tx):
        detail = f"there is an offer {offer.offer_id} already"
        raise Impossible(Violation(RefusalCode.OFFER_EXISTS, "offer_id", detail))
    await _check(acting.tx, offer)
    await offers.save(acting.tx, [(None, offer)], actor=acting.name, action=Action.CREATED)
    return await show(acting.tx, offer.offer_id)


async def change(acting: Acting, offer_id: str, change: OfferChange) -> Offer:
    _require_all(acting.who)
    before = (await offers.all_locked(acting.tx)).get(offer_id)
    if before is None:
        raise Missing(f"offer {offer_id}")
    acting.require_seen(tag_of(before), "offer")
    if before.loaded is None and before.source != MADE_HERE:
        before = replace(before, loaded=before)  # loaded before the copy was kept: the files had the same
    after = with_choices(change.apply_to(before))
    await _check(acting.tx, after)
    if after.format is not before.format:
        await offers.lock_format(acting.tx, offer_id)
    violations = fixed_format(before, after, has_sessions=await offers.has_sessions(acting.tx, offer_id))
    if violations:
        raise Impossible(*violations)
    if after != before:
        await offers.save(acting.tx, [(before, after)], actor=acting.name, action=Action.CHANGED)
    if after.terms.letter_days != before.terms.letter_days:
        await sessions.follow_letter_days(acting, after)
    return await show(acting.tx, offer_id)


async def withdraw(acting: Acting, offer_id: str) -> None:
    """Remove the offer from lists and stop new sessions of it. Sessions that are over stay."""
    before = await _locked(acting, offer_id)
    violations = withdrawal(before, is_in_use=await offers.is_in_use(acting.tx, offer_id, clock.now()))
    if violations:
        raise Impossible(*violations)
    await offers.withdraw(acting.tx, before, clock.now(), actor=acting.name)


async def restore(acting: Acting, offer_id: str) -> None:
    before = await _locked(acting, offer_id)
    if before.withdrawn_at is not None:
        await offers.withdraw(acting.tx, before, None, actor=acting.name)


async def _locked(acting: Acting, offer_id: str) -> Offer:
    """Until the transaction ends, nobody can make a session of the offer."""
    _require_all(acting.who)
    offer = (await offers.all_locked(acting.tx)).get(offer_id)
    if offer is None:
        raise Missing(f"offer {offer_id}")
    acting.require_seen(tag_of(offer), "offer")
    await offers.lock_format(acting.tx, offer_id)
    return offer


async def _check(tx: Transaction, offer: Offer) -> None:
    violations = impossible(offer, await offers.themes(tx))
    if violations:
        raise Impossible(*violations)


def _require_all(who: Principal) -> None:
    if not who.may(Permission.CHANGE_OFFERS):
        raise NotYours(f"This token acts for {who.delegation}; a token of all delegations may do this.")


async def history(
    tx: Transaction, offer_id: str, after: int | None, limit: int, *, before: int | None = None
) -> list[AuditLogRow]:
    await show(tx, offer_id)
    return await offers.history(tx, offer_id, after, limit, before=before)


async def page(
    tx: Transaction,
    after: str | None,
    limit: int,
    *,
    text: str | None = None,
    session_format: Format | None = None,
    before: str | None = None,
    withdrawn_too: bool = False,
) -> list[Offer]:
    return await offers.page(
        tx,
        after,
        limit,
        before=before,
        text=text,
        session_format=session_format,
        withdrawn_too=withdrawn_too,
    )


async def every(tx: Transaction) -> list[Offer]:
    return await offers.page(tx, None, _MOST)


async def find(tx: Transaction, offer_id: str) -> Offer | None:
    return await offers.by_id(tx, offer_id)


async def show_open(tx: Transaction, offer_id: str) -> Offer:
    offer = await show(tx, offer_id)
    if offer.withdrawn_at is not None:
        raise Withdrawn(f"offer {offer_id}", offer.withdrawn_at)
    return offer


async def show(tx: Transaction, offer_id: str) -> Offer:
    offer = await offers.by_id(tx, offer_id)
    if offer is None:
        raise Missing(f"offer {offer_id}")
    return offer


async def themes(tx: Transaction) -> dict[str, str]:
    return await offers.themes(tx)


async def hold(tx: Transaction, ids: Collection[str]) -> dict[str, Offer]:
    return await offers.hold(tx, ids)


async def without_sessions(tx: Transaction, search: SessionSearch, most: int) -> list[Offer]:
    """Return the matching offers without a listed session, for a text or for bespoke training."""
    if search.text is None and search.format is not Format.BESPOKE:
        return []
    listed = await session_lists.offer_ids(tx, search)
    found = await offers.page(
        tx, None, most, text=search.text, session_format=search.format, theme=search.theme
    )
    return [offer for offer in found if offer.offer_id not in listed]

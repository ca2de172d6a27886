"""Offers and their themes: made, changed, looked up."""

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

_MOST = 1_000
"""More offers than there will be."""


def tag_of(offer: Offer) -> str:
    """What changes with all that is shown of an offer."""
    shown = repr(replace(offer, loaded=None, changed_at=NEVER))
    return hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()


def may_change(who: Principal) -> bool:
    """Whether they make and change offers, which are every delegation's: who acts for all does."""
    return who.delegation is None


async def create(acting: Acting, request: OfferRequest) -> Offer:
    """Create an offer, which everyone finds at once."""
    require_all(acting.who)
    offer = request.offer()
    if offer.offer_id in await offers.all_locked(acting.tx):
        detail = f"there is an offer {offer.offer_id} already"
        raise Impossible(Violation(RefusalCode.OFFER_EXISTS, "offer_id", detail))
    await _check(acting.tx, offer)
    await offers.save(acting.tx, [(None, offer)], actor=acting.name, action=Action.CREATED)
    return await show(acting.tx, offer.offer_id)


async def change(acting: Acting, offer_id: str, change: OfferChange) -> Offer:
    """Change the offer. Its sessions keep their terms, but follow the days on which letters are sent.

    ``tags``: it is changed only as one of these; None as whatever it is.
    """
    require_all(acting.who)
    before = (await offers.all_locked(acting.tx)).get(offer_id)
    if before is None:
        raise Missing(f"offer {offer_id}")
    acting.require_seen(tag_of(before), "offer")
    if before.loaded is None and before.source != MADE_HERE:
        before = replace(before, loaded=before)  # loaded before that was kept: it is as its files had it
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
    """Take the offer back: nobody finds it or makes sessions of it; those that are over stay.

    ``tags``: only as one of these; None as whatever it is.
    """
    before = await _locked(acting, offer_id)
    violations = withdrawal(before, is_in_use=await offers.is_in_use(acting.tx, offer_id, clock.now()))
    if violations:
        raise Impossible(*violations)
    await offers.withdraw(acting.tx, before, clock.now(), actor=acting.name)


async def restore(acting: Acting, offer_id: str) -> None:
    """Have an offer that was taken back again, as it was."""
    before = await _locked(acting, offer_id)
    if before.withdrawn_at is not None:
        await offers.withdraw(acting.tx, before, None, actor=acting.name)


async def _locked(acting: Acting, offer_id: str) -> Offer:
    """The offer, of which nobody makes a session until the transaction ends."""
    require_all(acting.who)
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


def require_all(who: Principal) -> None:
    """Raise :class:`NotYours` for who does not act for all."""
    if not may_change(who):
        raise NotYours(f"This token acts for {who.delegation}; offers are changed by who acts for all.")


async def history(
    tx: Transaction, offer_id: str, after: int | None, limit: int, *, before: int | None = None
) -> list[AuditLogRow]:
    """At most ``limit`` changes of the offer, the newest first: next after ``after``, or before ``before``.

    Raises :class:`Missing`.
    """
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
    """At most ``limit`` offers by id that meet what is given; None: any.

    Next after ``after``, or last before ``before``. ``withdrawn_too``: those that were taken back as well.
    """
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
    """All offers by id, but for those that were taken back."""
    return await offers.page(tx, None, _MOST)


async def find(tx: Transaction, offer_id: str) -> Offer | None:
    """The offer; None where there is none of this id."""
    return await offers.by_id(tx, offer_id)


async def show_open(tx: Transaction, offer_id: str) -> Offer:
    """The offer. Raises :class:`Missing`, and :class:`Withdrawn` for one that was taken back."""
    offer = await show(tx, offer_id)
    if offer.withdrawn_at is not None:
        raise Withdrawn(f"offer {offer_id}", offer.withdrawn_at)
    return offer


async def show(tx: Transaction, offer_id: str) -> Offer:
    """The offer, be it withdrawn. Raises :class:`Missing`."""
    offer = await offers.by_id(tx, offer_id)
    if offer is None:
        raise Missing(f"offer {offer_id}")
    return offer


async def themes(tx: Transaction) -> dict[str, str]:
    """Every theme, code to title, by title."""
    return await offers.themes(tx)


async def hold(tx: Transaction, ids: Collection[str]) -> dict[str, Offer]:
    """Those of the offers that exist, to make sessions of them: they stay as they are meanwhile."""
    return await offers.hold(tx, ids)


async def without_sessions(tx: Transaction, search: SessionSearch, most: int) -> list[Offer]:
    """At most ``most`` offers that meet a search for sessions by its text, and of which no session does.

    A search without a text looks for sessions alone, except for bespoke training, which has only offers.
    """
    if search.text is None and search.format is not Format.BESPOKE:
        return []
    listed = await session_lists.offer_ids(tx, search)
    found = await offers.page(
        tx, None, most, text=search.text, session_format=search.format, theme=search.theme
    )
    return [offer for offer in found if offer.offer_id not in listed]

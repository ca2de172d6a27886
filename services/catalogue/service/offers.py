"""Offers and their themes, looked up."""

from services.catalogue.rules.offers import Offer
from services.catalogue.rules.searching import SessionSearch
from services.catalogue.service.failures import Missing
from services.catalogue.store import offers, session_lists
from shared.database import Transaction
from shared.events.vocabulary import Format

_MOST = 1_000
"""More offers than there will be."""


async def page(tx: Transaction, after: str | None, limit: int) -> list[Offer]:
    """At most ``limit`` offers by id, that come after ``after``."""
    return await offers.page(tx, after, limit)


async def every(tx: Transaction) -> list[Offer]:
    """All offers by id."""
    return await offers.page(tx, None, _MOST)


async def show(tx: Transaction, offer_id: str) -> Offer:
    """The offer. Raises :class:`Missing`."""
    offer = await offers.by_id(tx, offer_id)
    if offer is None:
        raise Missing(f"offer {offer_id}")
    return offer


async def themes(tx: Transaction) -> dict[str, str]:
    """Every theme, code to title, by title."""
    return await offers.themes(tx)


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

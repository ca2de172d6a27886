"""What a page shows of several subjects, loaded in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.catalogue.rules.offers import Offer
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.rules.searching import PUBLIC, SessionSearch
from services.catalogue.rules.sessions import ListedSession, ShownSession
from services.catalogue.service import offers, resources, sessions
from services.catalogue.tables import AuditLogRow
from shared.auth import Principal
from shared.database import Transaction
from shared.events.vocabulary import EnrolmentWindow, Status


@dataclass(frozen=True, slots=True)
class Home:
    """The first page: every offer, the next sessions that are open, the newest replays."""

    offers: Sequence[Offer]
    sessions: Sequence[ListedSession]
    replays: Sequence[Resource]


@dataclass(frozen=True, slots=True)
class PublicSession:
    """A session with its offer, its replays, and the themes of the offer, code to title."""

    listed: ListedSession
    offer: Offer
    replays: Sequence[Resource]
    themes: dict[str, str]


@dataclass(frozen=True, slots=True)
class PublicOffer:
    """An offer, its sessions that are not over, and its themes, code to title."""

    offer: Offer
    sessions: Sequence[ListedSession]
    themes: dict[str, str]


@dataclass(frozen=True, slots=True)
class ManagedSession:
    """The last changes of a session, its replays; every theme, and what it may require, code to title."""

    history: Sequence[AuditLogRow]
    replays: Sequence[Resource]
    themes: dict[str, str]
    requirable: dict[str, str]


async def home(tx: Transaction, now: datetime, most: int) -> Home:
    """The first page, with at most ``most`` sessions and replays."""
    search = SessionSearch(now=now, enrolment=EnrolmentWindow.OPEN, status=Status.PUBLISHED, ends_after=now)
    return Home(
        await offers.every(tx),
        await sessions.page(tx, search, None, most),
        await resources.page(tx, None, most, kind=Kind.REPLAY),
    )


async def session(tx: Transaction, session_id: UUID) -> PublicSession:
    """A session that everyone may see. Raises :class:`Missing`."""
    listed = await sessions.show(tx, session_id, PUBLIC)
    offer = await offers.show(tx, listed.session.offer_id)
    replays = await resources.of_session(tx, session_id)
    return PublicSession(listed, offer, replays, await _themes(tx, offer))


async def offer(tx: Transaction, offer_id: str, now: datetime, most: int) -> PublicOffer:
    """An offer with at most ``most`` sessions. Raises :class:`Missing`."""
    shown = await offers.show(tx, offer_id)
    search = SessionSearch(now=now, offer_id=offer_id, ends_after=now)
    return PublicOffer(shown, await sessions.page(tx, search, None, most), await _themes(tx, shown))


async def managed_session(
    tx: Transaction, managed: ShownSession, who: Principal, most: int
) -> ManagedSession:
    """A session of their own with at most ``most`` changes. Raises :class:`Missing`."""
    every = await offers.every(tx)
    return ManagedSession(
        await sessions.history(tx, managed.session_id, who, None, most),
        await resources.of_session(tx, managed.session_id),
        await offers.themes(tx),
        {offer.offer_id: offer.title for offer in every if offer.offer_id != managed.offer_id},
    )


async def _themes(tx: Transaction, offer: Offer) -> dict[str, str]:
    titles = await offers.themes(tx)
    return {code: titles[code] for code in offer.themes if code in titles}

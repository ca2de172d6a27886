from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.catalogue.rules.availability import availability
from services.catalogue.rules.date_warnings import DateWarnings, date_warnings
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.resources import Kind, Resource
from services.catalogue.rules.searching import PUBLIC, SessionGroup, SessionSearch, Viewer
from services.catalogue.rules.sessions import ListedSession, ShownSession
from services.catalogue.service import offers, resources, session_lists, templates
from shared import places
from shared.database import Transaction
from shared.events.days_off import department_of
from shared.events.vocabulary import Delegation, EnrolmentWindow, Status
from shared.places import Place

_LOOKED_AT = 50
"""Sessions among which other dates with seats are sought, or sessions at the same time."""


@dataclass(frozen=True, slots=True)
class Home:
    offers: Sequence[Offer]
    formats: Mapping[str, SessionGroup]
    sessions: Sequence[ListedSession]
    near: Sequence[ListedSession]
    replays: Sequence[Resource]


@dataclass(frozen=True, slots=True)
class PublicSession:
    listed: ListedSession
    others: Sequence[ListedSession]
    offer: Offer
    replays: Sequence[Resource]
    themes: dict[str, str]


@dataclass(frozen=True, slots=True)
class PublicOffer:
    offer: Offer
    sessions: Sequence[ListedSession]
    themes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Publication:
    """What is shown of a draft before it is published."""

    offer: Offer
    themes: dict[str, str]
    warnings: DateWarnings


@dataclass(frozen=True, slots=True)
class ManagedSession:
    replays: Sequence[Resource]
    themes: dict[str, str]
    requirable: dict[str, str]
    template: str | None


async def home(tx: Transaction, now: datetime, delegation: Delegation | None, most: int) -> Home:
    ahead = SessionSearch(now=now, ends_after=now)
    open_now = replace(ahead, enrolment=EnrolmentWindow.OPEN, status=Status.PUBLISHED)
    near = replace(ahead, organiser=delegation)
    return Home(
        await offers.every(tx),
        await session_lists.groups(tx, ahead, "format"),
        await session_lists.page(tx, open_now, None, most),
        [] if delegation is None else await session_lists.page(tx, near, None, most),
        await resources.page(tx, None, most, kind=Kind.REPLAY),
    )


async def session(
    tx: Transaction,
    session_id: UUID,
    now: datetime,
    most: int,
    *,
    near: Place | None = None,
    reader: Delegation | None = None,
) -> PublicSession:
    """Other dates come by their distance from ``near``, else from the reader's delegation or the venue."""
    listed = await session_lists.show(tx, session_id, PUBLIC)
    offer = await offers.show(tx, listed.session.offer_id)
    replays = await resources.of_session(tx, session_id)
    search = SessionSearch(
        now=now,
        offer_id=offer.offer_id,
        enrolment=EnrolmentWindow.OPEN,
        status=Status.PUBLISHED,
        ends_after=now,
    )
    around = None if reader is None else places.of_delegation(reader)
    venue = listed.session.plan.venue or ""
    place = near or around or places.of_venue(venue, listed.session.organiser)
    if place is None:
        found = await session_lists.page(tx, search, None, _LOOKED_AT)
    else:
        found = await session_lists.nearest(tx, search, place, None, _LOOKED_AT)
    others = [
        other if near or not around else replace(other, kilometres=None)
        for other in found
        if other.session.session_id != session_id
        and availability(other.session, other.occupancy, now).access.has_seats
    ][:most]
    return PublicSession(listed, others, offer, replays, await _themes(tx, offer))


async def offer(tx: Transaction, offer_id: str, now: datetime, most: int) -> PublicOffer:
    shown = await offers.show_open(tx, offer_id)
    search = SessionSearch(now=now, offer_id=offer_id, ends_after=now)
    return PublicOffer(shown, await session_lists.page(tx, search, None, most), await _themes(tx, shown))


async def managed_session(tx: Transaction, managed: ShownSession) -> ManagedSession:
    every = await offers.every(tx)
    return ManagedSession(
        await resources.of_session(tx, managed.session_id),
        await offers.themes(tx),
        {offer.offer_id: offer.title for offer in every if offer.offer_id != managed.offer_id},
        await templates.name_of(tx, managed.session_id),
    )


async def publication(tx: Transaction, draft: ShownSession) -> Publication:
    offer = await offers.show(tx, draft.offer_id)
    return Publication(offer, await _themes(tx, offer), await warnings_of(tx, draft))


async def warnings_of(tx: Transaction, session: ShownSession) -> DateWarnings:
    plan = session.plan
    search = SessionSearch(
        now=plan.starts_at,
        viewer=Viewer(delegation=session.organiser),
        own=True,
        ends_after=plan.starts_at,
        starts_before=plan.ends_at,
    )
    others = [listed.session for listed in await session_lists.page(tx, search, None, _LOOKED_AT)]
    place = places.of_venue(plan.venue or "", session.organiser)
    return date_warnings(session, place.department if place else department_of(session.organiser), others)


async def _themes(tx: Transaction, offer: Offer) -> dict[str, str]:
    titles = await offers.themes(tx)
    return {code: titles[code] for code in offer.themes if code in titles}

"""The offer's files into the database: what is new is published, what changed is told, the rest left alone.

A load applies what changed *in the files* since the last load: an organiser's own changes of other fields
stay, a cancelled session stays cancelled, a session that is no longer in the files stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from services.catalogue import offer_files, rules
from services.catalogue.offer_files import PARIS, OfferEntry, OfferError, PlannedResource, PlannedSession
from services.catalogue.rules import Done, Plan, Session, Terms
from services.catalogue.store import offers, resources, sessions
from services.catalogue.store.offers import Offer
from services.catalogue.store.resources import Resource, Told
from services.catalogue.store.sessions import Change, Given, Loaded, Presentation
from shared import clock
from shared.database import Database, Transaction
from shared.events.vocabulary import Status

ACTOR = "load-offer"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a load did. ``held_back`` are resources whose day of publication has not come."""

    shifted_by: int
    offers: int
    offers_changed: int
    new: int
    changed: int
    unchanged: int
    cancelled: int
    resources_published: int
    resources_unchanged: int
    resources_held_back: int

    def __str__(self) -> str:
        changed = f" ({self.offers_changed} changed)" if self.offers_changed else ""
        shift = f", dates moved by {self.shifted_by:+} days" if self.shifted_by else ""
        lines = [
            f"Offers: {self.offers}{changed}{shift}",
            f"Sessions: {self.new} new, {self.changed} changed, {self.unchanged} unchanged"
            + (f", {self.cancelled} cancelled and left alone" if self.cancelled else ""),
            f"Resources: {self.resources_published} published, {self.resources_unchanged} unchanged"
            + (f", {self.resources_held_back} whose day has not come" if self.resources_held_back else ""),
        ]
        return "\n".join(lines)


async def load(database: Database, directory: Path, *, as_of: date | None = None) -> Summary:
    """Load the offer; with ``as_of``, all its dates move by whole weeks.

    So a Tuesday stays one, and ``as_of`` falls into the seven days that end today in Paris.

    Loading the same files again changes nothing and publishes nothing. Raises
    :class:`~services.catalogue.offer_files.OfferError`; then nothing was loaded.
    """
    today = clock.now().astimezone(ZoneInfo(PARIS)).date()
    shift = timedelta(0) if as_of is None else _whole_weeks(as_of, today)
    planned = offer_files.read(directory, shift=shift)
    async with database.transaction() as tx:
        known_offers = await offers.all_for_load(tx)
        wanted = [_offer(entry) for entry in planned.offers]
        differing = [
            (before, offer) for offer in wanted if (before := known_offers.get(offer.offer_id)) != offer
        ]
        await offers.save(tx, differing, actor=ACTOR)
        known = await sessions.loaded_for_update(tx, [one.session_id for one in planned.sessions])
        await offers.save_themes(tx, planned.themes)
        now = clock.now()  # once the sessions are locked: the clock's own announcements wait for us from here
        changes = _changes(planned.sessions, known, now)
        await sessions.save_loaded(tx, changes, actor=ACTOR)
        published, held_back = await _publish_resources(tx, planned.resources, now)
    new = sum(change.before is None for change in changes)
    cancelled = sum(one.session.status is Status.CANCELLED for one in known.values())
    changed = sum(change.before is not None and change.can_be_seen for change in changes)
    return Summary(
        shifted_by=shift.days,
        offers=len(planned.offers),
        offers_changed=sum(before is not None for before, _ in differing),
        new=new,
        changed=changed,
        unchanged=len(planned.sessions) - new - changed - cancelled,
        cancelled=cancelled,
        resources_published=published,
        resources_unchanged=len(planned.resources) - published - held_back,
        resources_held_back=held_back,
    )


def _whole_weeks(since: date, today: date) -> timedelta:
    return timedelta(weeks=(today - since).days // 7)


def _changes(planned: Iterable[PlannedSession], known: dict[UUID, Loaded], now: datetime) -> list[Change]:
    changes = []
    for one in planned:
        change = _new(one, now) if one.session_id not in known else _changed(one, known[one.session_id], now)
        if change is not None:
            changes.append(change)
    return changes


def _new(planned: PlannedSession, now: datetime) -> Change:
    draft = Session(
        session_id=planned.session_id,
        offer_id=planned.offer_id,
        format=planned.format,
        organiser=planned.organiser,
        plan=planned.plan,
    )
    done, given = rules.schedule(draft, now), _given(planned)
    return Change(None, Loaded(done.session, given.presentation, given), tuple(done.events))


def _changed(planned: PlannedSession, known: Loaded, now: datetime) -> Change | None:
    session = known.session
    if session.status is Status.CANCELLED:
        return None
    for name in ("offer_id", "format", "organiser"):
        if getattr(planned, name) != getattr(session, name):
            was = getattr(session, name)
            raise OfferError(f"{planned.where}: {name}: it was {was} and never changes: give it a new key")
    before, given = known.given or Given(session.plan, known.presentation), _given(planned)
    plan = _moved(session.plan, before.plan, given.plan)
    for problem in rules.unpublishable(plan, session.format):
        raise OfferError(f"{planned.where}: with what was changed since the last load, {problem.detail}")
    done = rules.amend(session, plan, now) if plan != session.plan else Done(session)
    shown = _moved(known.presentation, before.presentation, given.presentation)
    after = Loaded(done.session, given.choosing(done.session.plan, shown), given)
    return None if after == known else Change(known, after, tuple(done.events))


_T = TypeVar("_T", Plan, Presentation)


def _moved(now: _T, given_before: _T, given: _T) -> _T:
    """What is, with what the files say otherwise than they did."""
    both = {
        field.name: (getattr(given_before, field.name), getattr(given, field.name)) for field in fields(given)
    }
    return replace(now, **{name: says for name, (said, says) in both.items() if says != said})


def _given(planned: PlannedSession) -> Given:
    shown = Presentation(
        summary=planned.summary,
        experts=planned.experts,
        source=planned.source.value,
        choices=planned.choices,
    )
    return Given(planned.plan, shown)


def _offer(entry: OfferEntry) -> Offer:
    return Offer(
        offer_id=entry.offer_id,
        format=entry.format,
        title=entry.title,
        summary=entry.summary,
        themes=entry.themes,
        terms=Terms.model_validate(entry.terms.model_dump()),
        source=entry.source.value,
        choices=entry.choices,
    )


async def _publish_resources(
    tx: Transaction, planned: Sequence[PlannedResource], now: datetime
) -> tuple[int, int]:
    """Publish what is new or changed. Returns how many, and how many wait for their day.

    When something was published is a fact that a later load does not move, else a shifted offer would
    announce the same replay every day.
    """
    due = [one for one in planned if one.published_at <= now]
    known = await resources.by_ids(tx, [one.resource_id for one in due])
    to_publish: list[Told] = []
    for one in due:
        before = known.get(one.resource_id)
        wanted = _resource(one)
        if before is None:
            to_publish.append((None, wanted))
        elif before != (again := replace(wanted, published_at=before.published_at, version=before.version)):
            to_publish.append((before, replace(again, version=before.version + 1)))
    await resources.publish(tx, to_publish, actor=ACTOR)
    return len(to_publish), len(planned) - len(due)


def _resource(planned: PlannedResource) -> Resource:
    return Resource(
        resource_id=planned.resource_id,
        kind=planned.kind.value,
        title=planned.title,
        summary=planned.summary,
        url=planned.url,
        themes=planned.themes,
        published_at=planned.published_at,
        organiser=planned.organiser,
        session_id=planned.session_id,
        source=planned.source.value,
    )

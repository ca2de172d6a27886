"""A load applies what changed *in the files* since the last load. Other changes stay.

A cancelled session stays cancelled, a withdrawn resource withdrawn, and a thing that left the files stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.catalogue.offer_files.planning import OfferFiles, PlannedSession
from services.catalogue.offer_files.reading import OfferError
from services.catalogue.rules.loads import changed_for_ever, load_offer
from services.catalogue.rules.loads import load as rule
from services.catalogue.rules.offers import MADE_HERE, Offer, fixed_format
from services.catalogue.rules.refusals import RefusedByRule
from services.catalogue.rules.resources import Resource
from services.catalogue.rules.sessions import Done, Session
from services.catalogue.store import offers, resources, sessions
from services.catalogue.store.audit_log import Action
from shared import clock
from shared.database import Transaction
from shared.events.vocabulary import Status

ACTOR = "load-offer"


@dataclass(frozen=True, slots=True)
class Summary:
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


async def load(tx: Transaction, files: OfferFiles) -> Summary:
    """A second load of the same files changes and publishes nothing.

    Raises :class:`~services.catalogue.offer_files.OfferError`; then nothing is loaded.
    """
    known_offers = await offers.all_locked(tx)
    differing = _differing(files.offers, known_offers)
    await _require_formats(tx, differing)
    await offers.save(tx, differing, actor=ACTOR, action=Action.LOADED)
    known = await sessions.lock(tx, [planned.session.session_id for planned in files.sessions])
    _require_offers(files.sessions, known_offers, known)
    await offers.save_themes(tx, files.themes)
    now = clock.now()  # read with the sessions locked: from here on the job that announces waits
    changes = _changes(files.sessions, known, now)
    await sessions.save(tx, changes, actor=ACTOR, action=Action.LOADED)
    published, held_back = await _publish_resources(tx, files.resources, now)
    new = sum(before is None for before, _ in changes)
    changed = sum(_is_visible(before, done.session) for before, done in changes if before is not None)
    cancelled = sum(session.status is Status.CANCELLED for session in known.values())
    return Summary(
        shifted_by=files.shift.days,
        offers=len(files.offers),
        offers_changed=sum(
            before is not None and replace(before, loaded=after.loaded) != after
            for before, after in differing
        ),
        new=new,
        changed=changed,
        unchanged=len(files.sessions) - new - changed - cancelled,
        cancelled=cancelled,
        resources_published=published,
        resources_unchanged=len(files.resources) - published - held_back,
        resources_held_back=held_back,
    )


async def has_been_done(tx: Transaction) -> bool:
    return bool(await offers.all_locked(tx))


def _differing(given: Sequence[Offer], known: dict[str, Offer]) -> list[tuple[Offer | None, Offer]]:
    found: list[tuple[Offer | None, Offer]] = []
    for offer in given:
        before = known.get(offer.offer_id)
        if before is not None and before.source == MADE_HERE:
            raise OfferError(f"offer {offer.offer_id}: somebody made one of this name here: give it another")
        after = load_offer(offer, before)
        if after != before:
            found.append((before, after))
    return found


def _require_offers(
    sessions: Sequence[PlannedSession], offers: dict[str, Offer], known: dict[UUID, Session]
) -> None:
    for planned in sessions:
        offer = offers.get(planned.session.offer_id)
        if offer and offer.withdrawn_at is not None and planned.session.session_id not in known:
            raise OfferError(
                f"{planned.where}: the offer {offer.offer_id} was taken back: have it again first"
            )


async def _require_formats(tx: Transaction, differing: Sequence[tuple[Offer | None, Offer]]) -> None:
    for before, after in sorted(differing, key=lambda change: change[1].offer_id):
        if before is not None and before.format is not after.format:
            await offers.lock_format(tx, after.offer_id)
            has_sessions = await offers.has_sessions(tx, after.offer_id)
            for violation in fixed_format(before, after, has_sessions=has_sessions):
                raise OfferError(f"offer {after.offer_id}: format: {violation.detail}")


def _changes(
    sessions: Sequence[PlannedSession], known: dict[UUID, Session], now: datetime
) -> list[tuple[Session | None, Done]]:
    changes = []
    for planned in sessions:
        before = known.get(planned.session.session_id)
        done = _load(planned, before, now)
        if done.session != before:
            changes.append((before, done))
    return changes


def _load(planned: PlannedSession, known: Session | None, now: datetime) -> Done:
    if known is not None and known.status is not Status.CANCELLED:
        for name in changed_for_ever(planned.session, known):
            was = getattr(known, name)
            raise OfferError(f"{planned.where}: {name}: it was {was} and never changes: give it a new key")
    done = rule(planned.session, known, now)
    if isinstance(done, RefusedByRule):
        detail = done.violations[0].detail
        raise OfferError(f"{planned.where}: with what was changed since the last load, {detail}")
    return done


def _is_visible(before: Session, after: Session) -> bool:
    return replace(before, loaded=after.loaded) != after


async def _publish_resources(tx: Transaction, planned: Sequence[Resource], now: datetime) -> tuple[int, int]:
    """A later load does not move the day of publication.

    Otherwise a shifted offer would announce the same replay every day.
    """
    due = [resource for resource in planned if resource.published_at <= now]
    known = await resources.lock(tx, [resource.resource_id for resource in due])
    changes: list[tuple[Resource | None, Resource]] = []
    for resource in due:
        before = known.get(resource.resource_id)
        if before is None:
            changes.append((None, resource))
        elif before.withdrawn_at is None and before != (
            again := replace(resource, published_at=before.published_at, version=before.version)
        ):
            changes.append((before, replace(again, version=before.version + 1)))
    await resources.publish(tx, changes, actor=ACTOR)
    return len(changes), len(planned) - len(due)

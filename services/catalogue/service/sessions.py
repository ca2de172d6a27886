import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

from services.catalogue.rules import changes
from services.catalogue.rules.lifecycle import announce, shifted
from services.catalogue.rules.loads import with_presentation
from services.catalogue.rules.offers import Offer
from services.catalogue.rules.refusals import RefusalCode, RefusedByRule, Violation
from services.catalogue.rules.sessions import (
    Done,
    ListedSession,
    Presentation,
    Session,
    ShownSession,
    id_from_form,
)
from services.catalogue.rules.validity import inconsistencies
from services.catalogue.service.access import acting_for
from services.catalogue.service.acting import Acting
from services.catalogue.service.commands import (
    Cancellation,
    PrerequisiteRequest,
    SessionChange,
    SessionCopy,
    SessionDraft,
)
from services.catalogue.service.failures import Impossible, Missing, unless_refused
from services.catalogue.service.session_lists import show, show_own
from services.catalogue.store import offers, sessions
from services.catalogue.store.audit_log import Action
from shared import clock, limits
from shared.auth import Principal
from shared.database import Transaction
from shared.rates import Rate
from shared.security_log import is_anothers

FORGETTING = "parcours person erase"
Rule = Callable[[Session, datetime], Done | RefusedByRule]
Change = TypeVar("Change", bound=SessionChange)
CHANGES = Rate(10, 3600)
"""Each change may be a letter to everybody in the session [choice]."""


def tag_of(session: ShownSession) -> str:
    shown = (session.presentation.summary, session.presentation.experts, session.reference)
    return f"{session.version}-{hashlib.blake2b(repr(shown).encode(), digest_size=4).hexdigest()}"


async def draft(acting: Acting, draft: SessionDraft, *, key: UUID | None = None) -> ListedSession:
    """The same form (``key``) sent twice makes one draft."""
    session = await planned(acting, draft)
    if key is not None:
        session = replace(session, session_id=id_from_form(key, session.organiser, draft.model_dump_json()))
        await sessions.lock_new(acting.tx, session.session_id)
        if await sessions.existing(acting.tx, [session.session_id]):
            return await show(acting.tx, session.session_id, acting.viewer)
    await claim_reference(acting.tx, session)
    await sessions.save(acting.tx, [(None, Done(session))], actor=acting.name, action=Action.CREATED)
    return await show(acting.tx, session.session_id, acting.viewer)


async def planned(acting: Acting, draft: SessionDraft) -> Session:
    """Return the session that the draft would be. Store nothing."""
    draft = await with_prerequisite(acting.tx, draft, draft.offer_id)
    held = await offers.hold(acting.tx, [draft.offer_id])
    return new_draft(draft, held.get(draft.offer_id), acting.who)


def new_draft(draft: SessionDraft, offer: Offer | None, who: Principal) -> Session:
    if offer is None:
        raise Impossible(Violation(None, "offer_id", f"there is no offer {draft.offer_id}"))
    session = Session(
        session_id=uuid4(),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=acting_for(who, draft.organiser),
        reference=draft.reference,
        plan=draft.plan_under(offer),
        presentation=draft.present(Presentation()),
        version=1,
    )
    return _consistent(session)


async def change(
    acting: Acting,
    session_id: UUID,
    change: SessionChange,
    *,
    dry_run: bool = False,
) -> ListedSession:
    """A dry run stores nothing."""
    if change.prerequisite is not None:
        offer_id = (await show_own(acting, session_id)).session.offer_id
        change = await with_prerequisite(acting.tx, change, offer_id)
    if "reference" in change.model_fields_set:
        await sessions.lock_references(acting.tx)

    def rule(session: Session, now: datetime) -> Done | RefusedByRule:
        return changed(session, change, now)

    return await _decide(acting, session_id, action=Action.CHANGED, rule=rule, dry_run=dry_run)


def changed(session: Session, change: SessionChange, now: datetime) -> Done | RefusedByRule:
    done = changes.change(session, change.apply_to(session.plan), now)
    if isinstance(done, RefusedByRule):
        return done
    presented = with_presentation(done.session, change.present(session.presentation))
    return replace(done, session=change.names(presented))


async def with_prerequisite(
    tx: Transaction, change: Change, offer_id: str, field: str = "prerequisite"
) -> Change:
    """Raises :class:`Impossible` for an unknown offer or the session's own."""
    if change.prerequisite is None:
        return change
    held = await offers.hold(tx, [change.prerequisite.offer_id])
    required = held.get(change.prerequisite.offer_id)
    if required is None:
        detail = f"there is no offer {change.prerequisite.offer_id}"
        raise Impossible(Violation(None, field, detail))
    if required.offer_id == offer_id:
        detail = "who has the certificate of the session's own offer need not come again"
        raise Impossible(Violation(RefusalCode.REQUIRES_ITSELF, field, detail))
    named = PrerequisiteRequest(offer_id=required.offer_id, title=required.title)
    return change.model_copy(update={"prerequisite": named})


async def claim_reference(tx: Transaction, session: Session, field: str = "reference") -> None:
    """Reserve the session's reference until the transaction ends.

    Raises :class:`Impossible` if another session of its organiser has it.
    """
    if session.reference is None:
        return
    await sessions.lock_references(tx)
    holders = await sessions.by_references(tx, [session.reference], session.organiser)
    if any(session_id != session.session_id for session_id in holders.values()):
        raise Impossible(reference_taken(field))


def reference_taken(field: str = "reference") -> Violation:
    detail = "another session of this delegation has this reference"
    return Violation(RefusalCode.REFERENCE_TAKEN, field, detail)


async def publish(
    acting: Acting,
    session_id: UUID,
    *,
    dry_run: bool = False,
) -> ListedSession:
    return await _decide(acting, session_id, action=Action.PUBLISHED, rule=changes.publish, dry_run=dry_run)


async def cancel(acting: Acting, session_id: UUID, cancellation: Cancellation) -> ListedSession:
    def rule(session: Session, now: datetime) -> Done | RefusedByRule:
        return changes.cancel(session, now, cancellation.reason)

    return await _decide(acting, session_id, action=Action.CANCELLED, rule=rule)


async def delete(acting: Acting, session_id: UUID) -> None:
    session = await lock_own(acting, session_id)
    acting.require_seen(tag_of(session), "session")
    unless_refused(changes.undeletable(session))
    await sessions.remove(acting.tx, session, actor=acting.name)


async def duplicate(
    acting: Acting, session_id: UUID, copy: SessionCopy, *, key: UUID | None = None
) -> ListedSession:
    """Leave out history and agents. ``key`` names the form, as in :func:`draft`."""
    original = await lock_own(acting, session_id)
    copy_id = uuid4() if key is None else id_from_form(key, str(session_id), copy.model_dump_json())
    if await sessions.existing(acting.tx, [copy_id]):
        return await show(acting.tx, copy_id, acting.viewer)
    prerequisite = original.plan.prerequisite
    needed = {original.offer_id} | ({prerequisite.offer_id} if prerequisite else set())
    if len(await offers.hold(acting.tx, needed)) < len(needed):
        raise Impossible(_OFFER_WITHDRAWN)
    plan = shifted(original.plan, copy.starts_at)
    # A trainer's id belongs to one session: it addresses the trainer's letters and opens the roster.
    trainers = tuple(replace(trainer, trainer_id=uuid4()) for trainer in plan.trainers)
    plan = replace(plan, trainers=trainers)
    if copy.title is not None:
        plan = replace(plan, title=copy.title)
    shown = original.presentation
    session = Session(
        session_id=copy_id,
        offer_id=original.offer_id,
        format=original.format,
        organiser=original.organiser,
        plan=plan,
        presentation=Presentation(summary=shown.summary, experts=shown.experts),
        version=1,
    )
    made = [(None, Done(_consistent(session)))]
    await sessions.save(acting.tx, made, actor=acting.name, action=Action.DUPLICATED)
    return await show(acting.tx, session.session_id, acting.viewer)


async def without_trainer(tx: Transaction, addresses: Collection[str], now: datetime) -> None:
    found = await sessions.lock(tx, await sessions.with_trainer(tx, addresses))
    changed_sessions: list[tuple[Session | None, Done]] = []
    for session in found.values():
        staying = tuple(
            trainer for trainer in session.plan.trainers if (trainer.email or "").lower() not in addresses
        )
        plan = replace(session.plan, trainers=staying)
        changed_sessions.append((session, changes.amend(session, plan, now)))
    await sessions.save(tx, changed_sessions, actor=FORGETTING, action=Action.CHANGED)


async def follow_letter_days(acting: Acting, offer: Offer) -> None:
    now = clock.now()
    found = await sessions.lock(acting.tx, await sessions.not_over_of(acting.tx, offer.offer_id, now))
    following: list[tuple[Session | None, Done]] = []
    for session in found.values():
        plan = replace(session.plan, **offer.terms.letter_days)
        following.append((session, changes.amend(session, plan, now)))
    await sessions.save(acting.tx, following, actor=acting.name, action=Action.CHANGED)


async def announce_due(tx: Transaction, now: datetime, *, most: int) -> tuple[int, datetime | None]:
    """Return the number of announced sessions (at most ``most``), and when the next announcement is due."""
    due = await sessions.claim_due(tx, now, most=most)
    await sessions.save_announced(tx, [announce(session, now) for session in due])
    return len(due), await sessions.next_announcement_after(tx, now)


# ------------------------------------------------------------------------------------------- in common


async def lock_own(acting: Acting, session_id: UUID) -> Session:
    session = (await sessions.lock(acting.tx, [session_id], organiser=acting.delegation)).get(session_id)
    if session is None:
        if await sessions.existing(acting.tx, [session_id]):
            is_anothers()
        raise Missing(f"session {session_id}")
    return session


def _consistent(session: Session) -> Session:
    violations = inconsistencies(session.plan)
    if violations:
        raise Impossible(*violations)
    return session


async def _decide(
    acting: Acting,
    session_id: UUID,
    *,
    action: Action,
    rule: Rule,
    dry_run: bool = False,
) -> ListedSession:
    """A dry run counts and stores nothing."""
    before = await lock_own(acting, session_id)
    acting.require_seen(tag_of(before), "session")
    done = unless_refused(rule(before, clock.now()))
    if done.session.reference != before.reference:
        await claim_reference(acting.tx, done.session)
    if done.session != before:
        is_announced = action is Action.CHANGED and done.events
        if is_announced and await count_changes(acting.tx, [session_id], dry_run=dry_run):
            raise Impossible(CHANGED_TOO_OFTEN)
        if not dry_run:
            await sessions.save(acting.tx, [(before, done)], actor=acting.name, action=action)
    return await show(acting.tx, session_id, acting.viewer)


async def count_changes(tx: Transaction, session_ids: Collection[UUID], *, dry_run: bool) -> set[UUID]:
    """Count a change of each published session, and return the sessions with a change too many.

    If there is such a session, or in a dry run, no change is counted. The order of ids prevents deadlocks.
    """
    too_often = set()
    async with tx.savepoint() as counts:
        for session_id in sorted(session_ids):
            counted = hashlib.blake2b(b"changes" + session_id.bytes, digest_size=32).digest()
            if not await limits.take(tx, counted, CHANGES):
                too_often.add(session_id)
        if too_often or dry_run:
            await counts.roll_back()
    return too_often


_OFFER_WITHDRAWN = Violation(
    RefusalCode.OFFER_WITHDRAWN,
    None,
    "its offer, or that which it requires, was taken back: have that again, or make another session",
)
CHANGED_TOO_OFTEN = Violation(
    RefusalCode.CHANGED_TOO_OFTEN,
    None,
    f"it was changed {CHANGES.most} times within an hour, and each change is a letter to all who are in it: "
    "gather what is to change, and change it later",
)

"""Sessions: draft, change, publish, cancel, copy, delete."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from services.catalogue import rules
from services.catalogue.desk.failures import Impossible, Invalid, Missing, NotYours, Stale, Wrong
from services.catalogue.desk.requests import SessionChange, SessionCopy, SessionDraft
from services.catalogue.rules import Done, Refused, Session
from services.catalogue.store import offers, sessions
from services.catalogue.store.offers import Offer
from services.catalogue.store.sessions import Listed, Loaded, Presentation, Viewer
from shared import clock
from shared.auth import Principal
from shared.database import Database, Transaction
from shared.events.vocabulary import Delegation

Rule = Callable[[Session, datetime], Done | Refused]


def viewer_of(who: Principal) -> Viewer:
    """What the owner of a token sees."""
    return Viewer(everywhere=who.delegation is None, delegation=who.delegation)


def tag_of(session: Session, shown: Presentation) -> str:
    """What changes whenever somebody, or the clock, changes the session; what fills it does not."""
    told = hashlib.blake2b(repr((shown.summary, shown.experts)).encode(), digest_size=4).hexdigest()
    return f"{session.version}-{told}"


async def draft(database: Database, who: Principal, asked: SessionDraft) -> Listed:
    """A new draft. Nobody is told of it until it is published."""
    async with database.transaction() as tx:
        done, presentation = drafted(asked, await offers.by_id(tx, asked.offer_id), who)
        await sessions.add(tx, [(done, presentation)], actor=who.name)
        return await shown(tx, done.session.session_id, who)


def drafted(asked: SessionDraft, offer: Offer | None, who: Principal) -> tuple[Done, Presentation]:
    """What becomes of a request for a draft. Raises what is wrong with it."""
    if offer is None:
        raise Invalid(Wrong("offer_id", f"there is no offer {asked.offer_id}"))
    session = Session(
        session_id=uuid4(),
        offer_id=offer.offer_id,
        format=offer.format,
        organiser=acting_for(who, asked.organiser),
        plan=asked.plan_under(offer),
        version=1,
    )
    problems = rules.inconsistencies(session.plan)
    if problems:
        raise Impossible(Refused(problems))
    return Done(session), asked.present(Presentation())


async def change(
    database: Database, who: Principal, session_id: UUID, asked: SessionChange, *, tags: frozenset[str] | None
) -> Listed:
    """The session with what was asked. A published one is told to everyone, as a new version.

    ``tags``: it is changed only as one of these; None as whatever it is.
    """

    def rule(session: Session, now: datetime) -> Done | Refused:
        return rules.change(session, asked.apply_to(session.plan), now)

    return await _decide(
        database, who, session_id, action="changed", rule=rule, tags=tags, present=asked.present
    )


async def publish(
    database: Database, who: Principal, session_id: UUID, *, tags: frozenset[str] | None
) -> Listed:
    """Final: a published session can only be cancelled."""
    return await _decide(database, who, session_id, action="published", rule=rules.publish, tags=tags)


async def cancel(
    database: Database, who: Principal, session_id: UUID, *, tags: frozenset[str] | None
) -> Listed:
    """Final. The enrolment service ends every enrolment and tells everyone."""
    return await _decide(database, who, session_id, action="cancelled", rule=rules.cancel, tags=tags)


async def delete(
    database: Database, who: Principal, session_id: UUID, *, tags: frozenset[str] | None
) -> None:
    """Delete a draft. What was published stays: it can only be cancelled."""
    async with database.transaction() as tx:
        before = await _as_read(tx, session_id, who, tags)
        refused = rules.announced(before.session)
        if refused is not None:
            raise Impossible(refused)
        await sessions.delete(tx, before, actor=who.name)


async def duplicate(database: Database, who: Principal, session_id: UUID, asked: SessionCopy) -> Listed:
    """A draft with all that the session has, at another time; not its history, nor who is in it."""
    async with database.transaction() as tx:
        known = await own(tx, session_id, who)
        plan = rules.shifted(known.session.plan, asked.starts_at)
        if asked.title is not None:
            plan = replace(plan, title=asked.title)
        problems = rules.inconsistencies(plan)
        if problems:
            raise Impossible(Refused(problems))
        copy = Session(
            session_id=uuid4(),
            offer_id=known.session.offer_id,
            format=known.session.format,
            organiser=known.session.organiser,
            plan=plan,
            version=1,
        )
        presentation = Presentation(summary=known.presentation.summary, experts=known.presentation.experts)
        await sessions.add(tx, [(Done(copy), presentation)], actor=who.name, action="duplicated")
        return await shown(tx, copy.session_id, who)


# ------------------------------------------------------------------------------------------- in common


async def own(tx: Transaction, session_id: UUID, who: Principal) -> Loaded:
    """The session, locked, if it is theirs."""
    known = await sessions.for_update(tx, session_id)
    if known is None or not who.may_act_for(known.session.organiser):
        raise Missing(f"session {session_id}")
    return known


async def theirs(tx: Transaction, session_id: UUID, who: Principal) -> Listed:
    """The session to look at, if it is theirs."""
    listed = await shown(tx, session_id, who)
    if not who.may_act_for(listed.session.organiser):
        raise Missing(f"session {session_id}")
    return listed


async def shown(tx: Transaction, session_id: UUID, who: Principal) -> Listed:
    """The session as it is now."""
    listed = await sessions.shown(tx, session_id, viewer_of(who))
    if listed is None:
        raise Missing(f"session {session_id}")
    return listed


def acting_for(who: Principal, asked: Delegation | None) -> str:
    """The delegation that what is made will belong to."""
    if asked is None:
        if who.delegation is None:
            raise Invalid(Wrong("organiser", "say for which delegation: this token acts for all"))
        return who.delegation
    if not who.may_act_for(asked):
        raise NotYours(f"This token acts for {who.delegation}, not for {asked}.")
    return asked.value


async def _decide(
    database: Database,
    who: Principal,
    session_id: UUID,
    *,
    action: str,
    rule: Rule,
    tags: frozenset[str] | None,
    present: Callable[[Presentation], Presentation] = lambda shown: shown,
) -> Listed:
    """Lock the session, ask the rule, store what it decided."""
    async with database.transaction() as tx:
        before = await _as_read(tx, session_id, who, tags)
        decided = rule(before.session, clock.now())
        if isinstance(decided, Refused):
            raise Impossible(decided)
        presentation = present(before.presentation)
        if before.given is not None:
            presentation = before.given.choosing(decided.session.plan, presentation)
        if decided.session != before.session or presentation != before.presentation:
            await sessions.save(tx, before, decided, presentation, actor=who.name, action=action)
        return await shown(tx, session_id, who)


async def _as_read(tx: Transaction, session_id: UUID, who: Principal, tags: frozenset[str] | None) -> Loaded:
    """Their session, locked, if it still is as they read it."""
    known = await own(tx, session_id, who)
    tag = tag_of(known.session, known.presentation)
    if tags is not None and tag not in tags:
        raise Stale("session", tag)
    return known

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import and_, exists, or_, select, text, update
from sqlmodel import col

from services.catalogue.rules.offers import Offer, Terms
from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from services.catalogue.store.search import matches
from services.catalogue.tables import AuditLogRow, OfferRow, SessionRow, ThemeRow
from shared.database import Transaction
from shared.events.vocabulary import Format, Status
from shared.statements import in_order, insert_many, next_to

_LOCK_LOADS = text("SELECT pg_advisory_xact_lock(hashtextextended('load-offer', 0))")
_REPLACE = (
    "ON CONFLICT (offer_id) DO UPDATE SET format = excluded.format, title = excluded.title, "
    "summary = excluded.summary, themes = excluded.themes, terms = excluded.terms, "
    "source = excluded.source, choices = excluded.choices, loaded = excluded.loaded"
)
_RENAME_THEME = "ON CONFLICT (theme) DO UPDATE SET title = excluded.title"


async def page(
    tx: Transaction,
    after: str | None,
    limit: int,
    *,
    text: str | None = None,
    session_format: Format | None = None,
    theme: str | None = None,
    before: str | None = None,
    withdrawn_too: bool = False,
) -> list[Offer]:
    edges = [None if edge is None else (edge,) for edge in (after, before)]
    query = next_to(select(OfferRow), [col(OfferRow.offer_id)], *edges).limit(limit)
    if not withdrawn_too:
        query = query.where(col(OfferRow.withdrawn_at).is_(None))
    if text is not None:
        query = query.where(matches(OfferRow, text))
    if session_format is not None:
        query = query.where(col(OfferRow.format) == session_format.value)
    if theme is not None:
        query = query.where(col(OfferRow.themes).contains([theme]))
    return in_order([_offer(row) for row in await tx.scalars(query)], before)


async def by_id(tx: Transaction, offer_id: str) -> Offer | None:
    row = await tx.get(OfferRow, offer_id)
    return None if row is None else _offer(row)


async def hold(tx: Transaction, ids: Collection[str]) -> dict[str, Offer]:
    """Lock existing offers, without withdrawn ones, against changes until the transaction ends."""
    query = select(OfferRow).where(col(OfferRow.offer_id).in_(ids), col(OfferRow.withdrawn_at).is_(None))
    query = query.order_by(col(OfferRow.offer_id))
    query = query.with_for_update(read=True, key_share=True)
    found = await tx.scalars(query.execution_options(populate_existing=True))
    return {row.offer_id: _offer(row) for row in found}


async def is_in_use(tx: Transaction, offer_id: str, now: datetime) -> bool:
    """Return whether a draft or current session belongs to the offer, or requires its certificate."""
    is_its = or_(
        col(SessionRow.offer_id) == offer_id,
        col(SessionRow.prerequisite).contains({"offer_id": offer_id}),
    )
    goes_on = or_(
        col(SessionRow.status) == Status.DRAFT.value,
        and_(col(SessionRow.status) == Status.PUBLISHED.value, col(SessionRow.ends_at) > now),
    )
    return bool(await tx.scalar(select(exists(select(SessionRow).where(is_its, goes_on)))))


async def withdraw(tx: Transaction, offer: Offer, at: datetime | None, *, actor: str) -> None:
    statement = update(OfferRow).where(col(OfferRow.offer_id) == offer.offer_id)
    await tx.execute(statement.values(withdrawn_at=at))
    changes = {"offer_id": [offer.offer_id, offer.offer_id]}
    action = Action.RESTORED if at is None else Action.WITHDRAWN
    await audit_log.record(tx, [AuditEntry(actor, action, uuid5(_SUBJECTS, offer.offer_id), 0, changes)])


async def lock_format(tx: Transaction, offer_id: str) -> None:
    """Wait for transactions that make a session of the offer, and block new ones."""
    await tx.execute(
        select(col(OfferRow.offer_id)).where(col(OfferRow.offer_id) == offer_id).with_for_update()
    )


async def has_sessions(tx: Transaction, offer_id: str) -> bool:
    of_offer = select(SessionRow).where(col(SessionRow.offer_id) == offer_id)
    return bool(await tx.scalar(select(exists(of_offer))))


async def all_locked(tx: Transaction) -> dict[str, Offer]:
    """Other loads and changes of offers wait until the transaction ends."""
    await tx.execute(_LOCK_LOADS)
    return {row.offer_id: _offer(row) for row in await tx.scalars(select(OfferRow))}


async def save_themes(tx: Transaction, themes: Mapping[str, str]) -> None:
    if themes:
        rows = [{"theme": theme, "title": title} for theme, title in themes.items()]
        await insert_many(tx, ThemeRow, rows, then=_RENAME_THEME)


async def themes(tx: Transaction) -> dict[str, str]:
    by_title = select(ThemeRow).order_by(col(ThemeRow.title), col(ThemeRow.theme))
    return {row.theme: row.title for row in await tx.scalars(by_title)}


async def save(
    tx: Transaction, changes: Sequence[tuple[Offer | None, Offer]], *, actor: str, action: Action
) -> None:
    """Store offers, each with its former state (None if it is new), with audit entries.

    A change of only the copy of the files has no audit entry.
    """
    if changes:
        await insert_many(tx, OfferRow, [_columns(offer) for _, offer in changes], then=_REPLACE)
        entries = [_entry(actor, action, before, offer) for before, offer in changes]
        await audit_log.record(tx, [entry for entry in entries if entry is not None])


async def history(
    tx: Transaction, offer_id: str, after: int | None, limit: int, *, before: int | None = None
) -> list[AuditLogRow]:
    return await audit_log.entries_of(tx, uuid5(_SUBJECTS, offer_id), after, limit, before=before)


def _entry(actor: str, action: Action, before: Offer | None, after: Offer) -> AuditEntry | None:
    if before is not None and replace(before, loaded=after.loaded) == after:
        return None
    old = {} if before is None else _audited(before)
    changes = {
        name: [old.get(name), value] for name, value in _audited(after).items() if old.get(name) != value
    }
    changes["offer_id"] = [old.get("offer_id"), after.offer_id]
    return AuditEntry(actor, action, uuid5(_SUBJECTS, after.offer_id), 0, changes)


_SUBJECTS = UUID("a2851a5b-d003-4284-81e2-0b357befbda6")


def _audited(offer: Offer) -> dict[str, Any]:
    values = {name: getattr(offer, name) for name in _CONTENT}
    lists = {"themes": list(offer.themes), "choices": list(offer.choices)}
    return values | lists | {"format": offer.format.value, "terms": offer.terms.model_dump(mode="json")}


def _offer(row: OfferRow) -> Offer:
    loaded = None if row.loaded is None else _read(row.loaded)
    content = _read({name: getattr(row, name) for name in _CONTENT})
    return replace(content, loaded=loaded, changed_at=row.changed_at, withdrawn_at=row.withdrawn_at)


def _read(content: Mapping[str, Any]) -> Offer:
    types = {"format": Format(content["format"]), "terms": Terms.model_validate(content["terms"])}
    lists = {"themes": tuple(content["themes"]), "choices": tuple(content["choices"])}
    return Offer(**{name: content[name] for name in _CONTENT} | types | lists)


def _columns(offer: Offer) -> dict[str, Any]:
    content = _audited(offer)
    texts = {name: json.dumps(content[name], ensure_ascii=False) for name in ("terms", "themes", "choices")}
    given = None if offer.loaded is None else json.dumps(_audited(offer.loaded), ensure_ascii=False)
    return content | texts | {"loaded": given}


_CONTENT = tuple(field.name for field in fields(Offer) if field.compare and field.name != "loaded")

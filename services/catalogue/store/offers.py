"""Offers: what the sessions belong to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import select, text
from sqlmodel import col

from services.catalogue.rules.offers import Offer, Terms
from services.catalogue.store import audit_log
from services.catalogue.store.audit_log import Action, AuditEntry
from services.catalogue.store.search import matches
from services.catalogue.tables import OfferRow, ThemeRow
from shared.database import Transaction, insert_many
from shared.events.vocabulary import Format

_LOCK_LOADS = text("SELECT pg_advisory_xact_lock(hashtextextended('load-offer', 0))")
_REPLACE = (
    "ON CONFLICT (offer_id) DO UPDATE SET format = excluded.format, title = excluded.title, "
    "summary = excluded.summary, themes = excluded.themes, terms = excluded.terms, "
    "source = excluded.source, choices = excluded.choices"
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
) -> list[Offer]:
    """At most ``limit`` offers by id that come after ``after`` and meet what is given; None: any."""
    query = select(OfferRow).order_by(col(OfferRow.offer_id)).limit(limit)
    if after is not None:
        query = query.where(col(OfferRow.offer_id) > after)
    if text is not None:
        query = query.where(matches(OfferRow, text))
    if session_format is not None:
        query = query.where(col(OfferRow.format) == session_format.value)
    if theme is not None:
        query = query.where(col(OfferRow.themes).contains([theme]))
    return [_offer(row) for row in await tx.scalars(query)]


async def by_id(tx: Transaction, offer_id: str) -> Offer | None:
    """The offer, if there is one."""
    row = await tx.get(OfferRow, offer_id)
    return None if row is None else _offer(row)


async def all_for_load(tx: Transaction) -> dict[str, Offer]:
    """Every offer, for a load; a second load waits until the first has ended."""
    await tx.execute(_LOCK_LOADS)
    return {row.offer_id: _offer(row) for row in await tx.scalars(select(OfferRow))}


async def save_themes(tx: Transaction, themes: Mapping[str, str]) -> None:
    """Insert or rename themes: code to title."""
    if themes:
        rows = [{"theme": theme, "title": title} for theme, title in themes.items()]
        await insert_many(tx, ThemeRow, rows, then=_RENAME_THEME)


async def themes(tx: Transaction) -> dict[str, str]:
    """Every theme, code to title, by title."""
    return {row.theme: row.title for row in await tx.scalars(select(ThemeRow).order_by(col(ThemeRow.title)))}


async def save(tx: Transaction, changes: Sequence[tuple[Offer | None, Offer]], *, actor: str) -> None:
    """Insert or update offers, from what each was (None: it is new), and an audit entry of each."""
    if changes:
        await insert_many(tx, OfferRow, [_columns(offer) for _, offer in changes], then=_REPLACE)
        await audit_log.record(tx, [_entry(actor, before, offer) for before, offer in changes])


def _entry(actor: str, before: Offer | None, after: Offer) -> AuditEntry:
    """The audit entry of an offer: which it is, and each field that differs. An offer has no version."""
    old = {} if before is None else _audited(before)
    changes = {
        name: [old.get(name), value] for name, value in _audited(after).items() if old.get(name) != value
    }
    changes["offer_id"] = [old.get("offer_id"), after.offer_id]
    return AuditEntry(actor, Action.LOADED, uuid5(_SUBJECTS, after.offer_id), 0, changes)


_SUBJECTS = UUID("a2851a5b-d003-4284-81e2-0b357befbda6")
"""Audit entries are found by the id of their subject; an offer's is made of its slug."""


def _audited(offer: Offer) -> dict[str, Any]:
    lists = {"themes": list(offer.themes), "choices": list(offer.choices)}
    return _columns(offer) | lists | {"terms": offer.terms.model_dump(mode="json")}


def _offer(row: OfferRow) -> Offer:
    state = {field.name: getattr(row, field.name) for field in fields(Offer)}
    state |= {"format": Format(row.format), "terms": Terms.model_validate(row.terms)}
    return Offer(**state | {"themes": tuple(row.themes), "choices": tuple(row.choices)})


def _columns(offer: Offer) -> dict[str, Any]:
    columns = {field.name: getattr(offer, field.name) for field in fields(Offer)}
    del columns["changed_at"]  # the database's own
    columns |= {"format": offer.format.value, "terms": offer.terms.model_dump_json()}
    return columns | {"themes": json.dumps(offer.themes), "choices": json.dumps(offer.choices)}

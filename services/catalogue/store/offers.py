"""Offers: what the sessions belong to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, select, text

from services.catalogue import tables
from services.catalogue.rules import Terms
from services.catalogue.store import trail
from services.catalogue.store.trail import Line
from shared.database import Transaction, insert_many
from shared.events.vocabulary import Format

NEVER = datetime.min.replace(tzinfo=UTC)
"""When something was stored that never was."""
_COLUMNS = tables.columns_of(tables.offer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer, without its sessions. ``choices`` names what of it the announcement does not state.

    ``changed_at`` is when it was stored, which makes no difference between two offers.
    """

    offer_id: str
    format: Format
    title: str
    summary: str
    themes: tuple[str, ...]
    terms: Terms
    source: str
    choices: tuple[str, ...]
    changed_at: datetime = field(default=NEVER, compare=False)


async def page(tx: Transaction, after: str | None, limit: int) -> list[Offer]:
    """At most ``limit`` offers by id, that come after ``after``."""
    columns = tables.offer.c
    query = select(*_COLUMNS).order_by(columns.offer_id).limit(limit)
    if after is not None:
        query = query.where(columns.offer_id > after)
    return [_offer(row) for row in await tx.execute(query)]


async def by_id(tx: Transaction, offer_id: str) -> Offer | None:
    """The offer, if there is one."""
    row = (await tx.execute(select(*_COLUMNS).where(tables.offer.c.offer_id == offer_id))).one_or_none()
    return None if row is None else _offer(row)


async def found(
    tx: Transaction, limit: int, *, text: str | None, kind: Format | None, theme: str | None
) -> list[Offer]:
    """At most ``limit`` offers by id with these words, of this format and theme; None: any."""
    columns = tables.offer.c
    query = select(*_COLUMNS).order_by(columns.offer_id).limit(limit)
    if text is not None:
        query = query.where(tables.matches(columns.search_vector, text))
    if kind is not None:
        query = query.where(columns.format == kind.value)
    if theme is not None:
        query = query.where(columns.themes.contains([theme]))
    return [_offer(row) for row in await tx.execute(query)]


async def all_for_load(tx: Transaction) -> dict[str, Offer]:
    """Every offer, for a load; a second load waits until the first has ended."""
    await tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOADING})
    return {row.offer_id: _offer(row) for row in await tx.execute(select(*_COLUMNS))}


_LOADING = 0x6F66666572  # "offer"


async def save_themes(tx: Transaction, themes: Mapping[str, str]) -> None:
    """Insert or rename themes: code to title."""
    if themes:
        rows = [{"theme": theme, "title": title} for theme, title in themes.items()]
        await insert_many(
            tx, tables.theme, rows, then="ON CONFLICT (theme) DO UPDATE SET title = excluded.title"
        )


async def themes(tx: Transaction) -> dict[str, str]:
    """Every theme, code to title, by title."""
    query = select(tables.theme).order_by(tables.theme.c.title)
    return {row.theme: row.title for row in await tx.execute(query)}


async def save(tx: Transaction, changes: Sequence[tuple[Offer | None, Offer]], *, actor: str) -> None:
    """Insert or update offers, from what each was (None: it is new), and an audit line of each."""
    if changes:
        await insert_many(tx, tables.offer, [_columns(offer) for _, offer in changes], then=_REPLACE)
        await trail.record(tx, [_line(actor, before, offer) for before, offer in changes])


def _line(actor: str, before: Offer | None, after: Offer) -> Line:
    """The audit line of an offer: which it is, and each field that differs. An offer has no version."""
    old, new = ({} if one is None else _audited(one) for one in (before, after))
    changes = {name: [old.get(name), value] for name, value in new.items() if old.get(name) != value}
    changes["offer_id"] = [old.get("offer_id"), after.offer_id]
    return Line(actor, "loaded", uuid5(_SUBJECTS, after.offer_id), 0, changes)


def _audited(offer: Offer) -> dict[str, Any]:
    lists = {"themes": list(offer.themes), "choices": list(offer.choices)}
    terms = {"terms": offer.terms.model_dump(mode="json")}
    return _columns(offer) | lists | terms


_SUBJECTS = UUID("a2851a5b-d003-4284-81e2-0b357befbda6")
"""Audit lines are found by the id of their subject; an offer's is made of its slug."""


_REPLACE = (
    "ON CONFLICT (offer_id) DO UPDATE SET format = excluded.format, title = excluded.title, "
    "summary = excluded.summary, themes = excluded.themes, terms = excluded.terms, "
    "source = excluded.source, choices = excluded.choices"
)


def _offer(row: Row[Any]) -> Offer:
    return Offer(
        offer_id=row.offer_id,
        format=Format(row.format),
        title=row.title,
        summary=row.summary,
        themes=tuple(row.themes),
        terms=Terms.model_validate(row.terms),
        source=row.source,
        choices=tuple(row.choices),
        changed_at=row.changed_at,
    )


def _columns(offer: Offer) -> dict[str, Any]:
    return {
        "offer_id": offer.offer_id,
        "format": offer.format.value,
        "title": offer.title,
        "summary": offer.summary,
        "themes": json.dumps(offer.themes),
        "terms": offer.terms.model_dump_json(),
        "source": offer.source,
        "choices": json.dumps(offer.choices),
    }

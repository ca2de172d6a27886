"""How far the webhook of each portal is, and which process sends for it."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select

from services.enrolment.rules.webhooks import WebhookState
from services.enrolment.tables import WebhookRow
from shared.database import Transaction

LEASE = timedelta(seconds=60)
"""For how long a process sends for a portal alone, from each part on."""
_FIELDS = tuple(field.name for field in fields(WebhookState))


async def begin(tx: Transaction, portal: str) -> None:
    """A new webhook begins with the next event, one that the portal had before where it stopped."""
    await tx.execute(_BEGIN, {"portal": portal})


async def claim(tx: Transaction, portal: str, process: UUID, now: datetime) -> WebhookState | None:
    """Return None if nothing is due, or another process sends for the portal."""
    for row in await tx.execute(
        _CLAIM, {"portal": portal, "process": process, "now": now, "until": now + LEASE}
    ):
        return _state(row)
    return None


async def settle(tx: Transaction, state: WebhookState, process: UUID) -> bool:
    """Return False if another process sends for the portal by now, or a command changed the cursor."""
    return bool(list(await tx.execute(_SETTLE, asdict(state) | {"process": process})))


async def release(tx: Transaction, process: UUID) -> None:
    await tx.execute(_RELEASE, {"process": process})


async def replay(tx: Transaction, portal: str, after: int | None) -> bool:
    """Send again from the event after this number, or else after the last one taken.

    If the number is the present cursor, what was taken after it is not sent twice. Returns False if the
    portal has no webhook.
    """
    return bool(list(await tx.execute(_REPLAY, {"portal": portal, "after": after})))


async def states(tx: Transaction) -> Sequence[WebhookState]:
    return [_state(row) for row in await tx.scalars(select(WebhookRow).order_by(col(WebhookRow.portal)))]


def _state(row: Any) -> WebhookState:
    return WebhookState(**{name: getattr(row, name) for name in _FIELDS})


_BEGIN = text(
    "INSERT INTO webhook (portal, cursor, failures) "
    "SELECT CAST(:portal AS varchar), coalesce((SELECT last FROM portal_feed WHERE portal = :portal), 0), 0 "
    "ON CONFLICT DO NOTHING"
)
_CLAIM = text(
    "UPDATE webhook SET leased_by = :process, leased_until = :until "
    "WHERE portal = :portal AND disabled_at IS NULL "
    "AND (next_attempt_at IS NULL OR next_attempt_at <= :now) "
    "AND (leased_by IS NULL OR leased_by = :process OR leased_until <= :now) RETURNING *"
)
_SETTLE = text(
    "UPDATE webhook SET cursor = :cursor, failures = :failures, failing_since = :failing_since, "
    "next_attempt_at = :next_attempt_at, disabled_at = :disabled_at, reason = :reason "
    "WHERE portal = :portal AND leased_by = :process RETURNING portal"
)
_RELEASE = text("UPDATE webhook SET leased_by = NULL WHERE leased_by = :process")
_REPLAY = text(
    "UPDATE webhook SET cursor = coalesce(:after, cursor), failures = 0, failing_since = NULL, "
    "next_attempt_at = NULL, disabled_at = NULL, reason = NULL, leased_by = NULL "
    "WHERE portal = :portal RETURNING portal"
)

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.webhooks import WebhookFailure, WebhookState, after_attempt
from services.enrolment.service import answers
from services.enrolment.service.answers import Forgotten, NeverGiven
from services.enrolment.store import webhooks
from shared.database import Transaction
from shared.messaging.tables import OutboxRow

PART = 500
"""Events that are read at once."""


@dataclass(frozen=True, slots=True)
class DuePart:
    """The next events of a webhook by their numbers. ``until`` is the cursor once all are taken."""

    state: WebhookState
    answers: Mapping[int, OutboxRow]
    until: int


async def begin(tx: Transaction, portal: str) -> None:
    await webhooks.begin(tx, portal)


async def claim(tx: Transaction, portal: str, process: UUID, now: datetime) -> DuePart | None:
    """Return None if nothing is due, or another process sends for the portal."""
    state = await webhooks.claim(tx, portal, process, now)
    if state is None:
        return None
    try:
        page = await answers.page(tx, portal, state.cursor, PART)
    except Forgotten as error:  # the webhook was disabled for longer than answers are kept
        return DuePart(state, {}, error.kept_after)
    except NeverGiven as error:
        return DuePart(state, {}, error.last)
    numbered = {answer.cursor: answer for answer in page.answers if answer.cursor is not None}
    return DuePart(state, numbered, page.next)


async def settle(
    tx: Transaction,
    state: WebhookState,
    cursor: int,
    failure: WebhookFailure | None,
    *,
    process: UUID,
    now: datetime,
) -> WebhookState:
    after = after_attempt(state, cursor, failure, now)
    settled = await webhooks.settle(tx, after, process)
    return after if settled else state


async def replay(tx: Transaction, portal: str, after: int | None) -> bool:
    return await webhooks.replay(tx, portal, after)


async def states(tx: Transaction) -> Sequence[WebhookState]:
    return await webhooks.states(tx)


def body_of(answer: OutboxRow) -> bytes:
    """Return the event as a CloudEvent in structured mode."""
    return json.dumps(answers.as_cloudevent(answer), ensure_ascii=False, separators=(",", ":")).encode()

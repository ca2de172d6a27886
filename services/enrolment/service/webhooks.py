import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.webhooks import WebhookFailure, WebhookState, after_attempt
from services.enrolment.service import answers
from services.enrolment.service.answers import Forgotten, NeverGiven
from services.enrolment.store import webhooks
from services.enrolment.store.outbox import OUTBOX
from shared.database import Transaction
from shared.events.enrolment import WebhookDisabled
from shared.messaging.tables import OutboxRow

log = logging.getLogger(__name__)

PART = 500
"""Events that are read at once."""


@dataclass(frozen=True, slots=True)
class DuePart:
    """The next events of a webhook by their numbers. ``until`` is the cursor once all are taken."""

    state: WebhookState
    answers: Mapping[int, OutboxRow]
    until: int


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """``cursor`` is the number of the last event before the first one that was not taken."""

    before: WebhookState
    cursor: int
    failure: WebhookFailure | None
    contact: str


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
        log.warning("The webhook of %s misses what is not kept any more, up to %d", portal, error.kept_after)
        return DuePart(state, {}, error.kept_after)
    except NeverGiven as error:
        return DuePart(state, {}, error.last)
    numbered = {answer.cursor: answer for answer in page.answers if answer.cursor is not None}
    return DuePart(state, numbered, page.next)


async def settle(tx: Transaction, attempt: WebhookAttempt, process: UUID, now: datetime) -> WebhookState:
    """The portal's contact gets a letter if the webhook is disabled."""
    after = after_attempt(attempt.before, attempt.cursor, attempt.failure, now)
    if not await webhooks.settle(tx, after, process):
        return attempt.before
    if after.disabled_at is not None and after.failing_since is not None and after.reason is not None:
        disabled = WebhookDisabled(
            portal=after.portal,
            contact=attempt.contact,
            failing_since=after.failing_since,
            reason=after.reason,
        )
        await OUTBOX.publish(tx, [disabled])
    return after


async def release(tx: Transaction, process: UUID) -> None:
    await webhooks.release(tx, process)


async def replay(tx: Transaction, portal: str, after: int | None) -> bool:
    return await webhooks.replay(tx, portal, after)


async def states(tx: Transaction) -> Sequence[WebhookState]:
    return await webhooks.states(tx)


def body_of(answer: OutboxRow) -> bytes:
    """Return the event as a CloudEvent in structured mode."""
    return json.dumps(answers.as_cloudevent(answer), ensure_ascii=False, separators=(",", ":")).encode()

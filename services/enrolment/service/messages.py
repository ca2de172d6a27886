from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.enrolment.rules.messages import MessageFault, OrganiserMessage, judge_message, moment_of
from services.enrolment.service.acting import Acting
from services.enrolment.service.failures import MessageHasLeft, MessageNotTaken, NotFound
from services.enrolment.service.sessions import find_own, lock_own
from services.enrolment.store import messages, sessions
from services.enrolment.store.messages import Reach
from services.enrolment.store.outbox import OUTBOX
from services.enrolment.tables import MessageRow
from shared.auth import Principal
from shared.database import Transaction
from shared.events.enrolment import ParticipantsMessaged

SHOWN = 100


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """``reach`` counts the recipients as of now. ``row`` is None for a dry run."""

    send_at: datetime
    reach: Reach
    row: MessageRow | None


async def plan(
    acting: Acting,
    session_id: UUID,
    message: OrganiserMessage,
    send_at: datetime | None,
    *,
    dry_run: bool,
) -> PlannedMessage:
    """With ``dry_run`` only check the message.

    The same message sent twice within a minute, as by two clicks, is stored once. Raises ``NotFound``,
    ``MessageNotTaken``.
    """
    tx, now = acting.tx, acting.now
    # Lock the session first: otherwise two concurrent messages could both count as the day's last.
    session = await lock_own(tx, session_id, acting.who)
    moment, reach = moment_of(send_at, now), await messages.reach(tx, session_id, message)
    if not dry_run and (kept := await messages.same_to_come(tx, session_id, message, moment)) is not None:
        return PlannedMessage(kept.send_at, reach, kept)
    fault = judge_message(session, send_at, await messages.moments(tx, session_id), acting.policy, now)
    if fault is None and await messages.strangers(tx, session_id, message.enrolment_ids or ()):
        fault = MessageFault.NOT_OF_THE_SESSION
    if fault is not None:
        raise MessageNotTaken(fault)
    if dry_run:
        return PlannedMessage(moment, reach, None)
    row = await messages.add(tx, session_id, message, author=acting.who.name, send_at=moment, now=now)
    return PlannedMessage(moment, reach, row)


async def of_session(tx: Transaction, session_id: UUID, organiser: Principal) -> Sequence[MessageRow] | None:
    if await find_own(tx, session_id, organiser) is None:
        return None
    return await messages.of_session(tx, session_id, most=SHOWN)


async def take_back(acting: Acting, message_id: UUID) -> MessageRow:
    """Raises ``NotFound``, ``MessageHasLeft``."""
    row = await messages.lock(acting.tx, message_id)
    if row is None or await find_own(acting.tx, row.session_id, acting.who) is None:
        raise NotFound(f"message {message_id}")
    if row.published_at is not None:
        raise MessageHasLeft
    await messages.remove(acting.tx, row)
    return row


async def send_due(tx: Transaction, now: datetime) -> int:
    due = await messages.lock_due(tx, now)
    known = await sessions.states(tx, [row.session_id for row in due])
    await messages.mark_published(tx, due, now)
    await OUTBOX.publish(
        tx,
        [
            ParticipantsMessaged.model_validate(
                row.model_dump(include=set(ParticipantsMessaged.model_fields))
                | {"session_version": known[row.session_id].version}
            )
            for row in due
        ],
    )
    return len(due)

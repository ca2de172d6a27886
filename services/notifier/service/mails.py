from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from pydantic import BeforeValidator, StringConstraints

from services.notifier.letters import LetterContext, LetterType, Mail, knows_session
from services.notifier.service import people
from services.notifier.store import attempts, bounces, claims, enrolments, mails
from services.notifier.store.attempts import WrittenLetter
from services.notifier.store.context import contexts
from services.notifier.store.events import OUTBOX
from services.notifier.store.mails import MailPlace
from services.notifier.tables import MailAttemptRow, MailAuditRow, MailRow, MailState
from shared import clock, read_log
from shared.database import Transaction
from shared.events.vocabulary import AgentKey
from shared.rates import Rate
from shared.read_log import Reading, ReadKind
from shared.references import ids_of


def _as_written(typed: object) -> object:
    """References are dictated with blanks."""
    is_reference = isinstance(typed, str) and ids_of(typed) is not None
    return "".join(str(typed).split()) if is_reference else typed


Searched = Annotated[
    str,
    BeforeValidator(_as_written),
    StringConstraints(min_length=1, max_length=100, pattern=r"^[!-?A-~]+$"),
]
"""An agent's id, or the reference in a letter. Never an address."""

ENDED = frozenset((MailState.SENT, MailState.FAILED, MailState.AMBIGUOUS, MailState.SUPERSEDED))

SENT_AGAIN_AS = "sent again as"
SENT_AGAIN_AFTER = "sent again on purpose, after"
RESOLVED_AS_SENT = "resolved as sent"
RESENT = "resent"
END_KNOWN = "reconciled after a restore"


async def find(
    tx: Transaction,
    *,
    issuer: str | None = None,
    agent_id: str | None = None,
    state: MailState | None = None,
    after: MailPlace | None = None,
    before: MailPlace | None = None,
    limit: int = 100,
    reading: Reading,
) -> list[MailRow]:
    """Return mails, newest first, of an agent or in a state: after ``after`` or before ``before``.

    Without ``issuer``, all agents with this ``agent_id`` count. An unknown id may be a reference. The read
    log records each agent found, or the unknown one, but not the typed text.
    """
    meant = [] if agent_id is None else await people.agents_by_identifier_or_reference(tx, agent_id, issuer)
    is_identifier = any(agent.agent_id == agent_id for agent in meant)
    found = await mails.find(
        tx,
        issuer=issuer,
        agent_id=agent_id,
        or_agents=[agent for agent in meant if agent.agent_id != agent_id],
        or_between=None if agent_id is None or is_identifier else ids_of(agent_id),
        state=state,
        after=after,
        before=before,
        limit=limit,
    )
    agents = [_whose(row) for row in found] or meant
    if agents or agent_id is not None:
        await read_log.record(tx, reading, ReadKind.MAILS, agents=agents, of_a_list=agent_id is None)
    return found


def _whose(row: MailRow) -> AgentKey:
    return AgentKey(row.issuer, row.recipient)


async def of_events(
    tx: Transaction, event_ids: Collection[UUID], enrolment_ids: Collection[UUID], reading: Reading
) -> list[MailRow]:
    agents = [
        agent
        for enrolment_id in enrolment_ids
        for agent in await enrolments.agents_between(tx, enrolment_id, enrolment_id)
    ]
    found = await mails.of_events(tx, event_ids, enrolment_ids, agents)
    if found:
        await read_log.record(tx, reading, ReadKind.MAILS, agents=[_whose(row) for row in found])
    return found


async def enrolment_of(tx: Transaction, mail_id: UUID) -> UUID | None:
    row = await mails.get(tx, mail_id)
    return None if row is None else row.enrolment_id


async def counts(tx: Transaction) -> dict[MailState, int]:
    return await mails.counts(tx)


@dataclass(frozen=True, slots=True)
class MailDetails:
    """``written`` says when and by which program the letter was written, if stored.

    ``context`` is of that moment, else the present one, or None while the mail waits for the state of
    its session. A mail sent now would go to ``address``.
    """

    row: MailRow
    audit_log: list[MailAuditRow]
    attempts: list[MailAttemptRow]
    letter: Mail
    context: LetterContext | None
    written: WrittenLetter | None
    address: str
    suppressed_since: datetime | None


async def show(
    tx: Transaction, mail_id: UUID, reading: Reading, kind: ReadKind = ReadKind.MAIL
) -> MailDetails | None:
    row = await mails.get(tx, mail_id)
    if row is None:
        return None
    await read_log.record(tx, reading, kind, agents=[_whose(row)], session_id=row.session_id)
    letter = claims.mail_of(row, row.details)
    (context,) = await contexts(tx, [letter], clock.now())
    kept = await attempts.of_mail(tx, mail_id)
    written = attempts.written(kept)
    waits = row.needs_session and (context.session is None or not knows_session(letter, context.session))
    shown_context = None if waits else context
    if written is not None:
        # Names of other persons are the present ones, because a person may have been erased since.
        shown_context = replace(written.context, people=context.people, trainers=context.trainers)
    address, is_new = await claims.address_now(tx, mail_id), letter.template is LetterType.CONFIRM_ADDRESS
    return MailDetails(
        row,
        await mails.audit_log(tx, mail_id),
        kept,
        letter,
        shown_context,
        written,
        address,
        None if is_new else await bounces.suppressed_since(tx, address),
    )


async def is_known(tx: Transaction, mail_id: UUID) -> bool:
    return await mails.get(tx, mail_id) is not None


RESENDS = Rate(100, 3600)
RESENDS_OF_A_LETTER = Rate(3, 86_400)


async def letter_of(tx: Transaction, mail_id: UUID) -> str:
    """Return what a letter and the mails that repeat it have in common."""
    row = await mails.get(tx, mail_id)
    return str(mail_id if row is None else row.details.get("cause_id", row.event_id))


async def resend(tx: Transaction, mail_id: UUID, *, actor: str, after: int | None = None) -> UUID | None:
    """Send a letter again on purpose, as a new mail with its own key and Message-ID.

    An ambiguous mail is itself resolved and sent again. A letter that is no longer true becomes superseded.
    ``after`` is the number of decisions that the operator had seen, so that a double click sends once.
    Returns the id of the mail to be sent, or None if the mail does not exist, has not ended, or was decided
    about meanwhile.
    """
    state, key = await mails.lock(tx, mail_id), uuid4()
    if after is not None:
        key = uuid5(mail_id, f"after {after} decisions")
        if len(await mails.audit_log(tx, mail_id)) != after:
            return await mails.with_key(tx, key)
    if state is MailState.AMBIGUOUS:
        await resolve(tx, mail_id, sent=False, actor=actor)
        return mail_id
    new = await mails.copy(tx, mail_id, key, states=ENDED)
    if new is None:
        return None
    await mails.add_to_audit_log(
        tx, actor, {mail_id: f"{SENT_AGAIN_AS} {new}", new: f"{SENT_AGAIN_AFTER} {mail_id}"}
    )
    return new


async def resolve(tx: Transaction, mail_id: UUID, *, sent: bool, actor: str) -> tuple[MailState | None, bool]:
    """Apply an operator's decision about an ambiguous or failed mail.

    Returns the state before, None for an unknown mail, and whether anything was done. The Message-ID stays,
    so that a mail program may recognise a duplicate.
    """
    before = await mails.lock(tx, mail_id)
    waits = before is MailState.AMBIGUOUS or (before is MailState.FAILED and not sent)
    if waits:
        if sent:
            event = await mails.mark_as_sent(tx, mail_id)
            await OUTBOX.publish(tx, [event])
        else:
            await mails.requeue(tx, mail_id)
        await mails.add_to_audit_log(tx, actor, {mail_id: RESOLVED_AS_SENT if sent else RESENT})
    return before, waits


async def resend_failed(tx: Transaction, code: int, *, actor: str) -> int:
    return await mails.requeue_failed(tx, code, actor=actor, action=RESENT)

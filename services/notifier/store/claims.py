"""The queue's exit: claim, mark, settle, release, expire, by the database's clock."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text

from services.notifier.letters import LetterContext, LetterDetails, LetterType, Mail, Priority
from services.notifier.store import bounces, rate_limiter
from services.notifier.store.attempts import WrittenLetter, as_json
from services.notifier.store.context import contexts
from services.notifier.store.events import OUTBOX, PUBLISHED, PublishedMail, bounced, ended
from services.notifier.tables import MailRow, MailState
from shared.database import Transaction
from shared.events.notifier import BounceKind
from shared.events.vocabulary import Event

_TRIED = frozenset((MailState.SENT, MailState.RETRY, MailState.FAILED, MailState.AMBIGUOUS))
_TEMPLATES = [template.value for template in LetterType]


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease can run out while its owner lives, and the same process may claim the mail again.

    The number tells the two claims apart.
    """

    mail_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """``time_left``: the mail is not tried again after this time."""

    mail: Mail
    context: LetterContext
    claim: Claim
    priority: Priority
    attempts: int
    time_left: timedelta
    traceparent: str | None = None

    @property
    def domain(self) -> str:
        return domain_of(self.mail)


class _ClaimedRow(NamedTuple):
    """The columns that :func:`claim` returns, in order."""

    mail_id: UUID
    template: str
    details: str
    message_id: str
    address: str
    given_name: str
    family_name: str
    session_id: UUID | None
    enrolment_id: UUID | None
    version: int
    called_for_at: datetime
    attempts: int
    claims: int
    priority: int
    traceparent: str | None
    due_at: datetime
    time_left: timedelta


async def claim(
    tx: Transaction,
    owner: UUID,
    priorities: Sequence[Priority],
    *,
    most: int,
    lease: timedelta,
    message_domain: str,
    now: datetime,
    domain_rate: float = 0,
) -> tuple[list[Claimed], bool]:
    """Claim up to ``most`` due mails whose session is known, by priority and due time.

    Two processes never get the same mail. Each priority is looked up by itself, so that mails due in weeks
    cost nothing. A notice waits until the state of the session that called for it is known, or the notice is
    given up. A letter type that only a newer version knows is left to that version.

    At the first claim the mail gets its Message-ID; at each, the reader's present address and names. Mails of
    a domain above ``domain_rate`` (per second) return to the queue.

    Returns the mails with their context, and whether no more are due.
    """
    rows = await tx.execute(
        _claim_of(most),
        {
            "owner": owner,
            "priorities": sorted(priorities),
            "lease": lease,
            "domain": message_domain,
            "templates": _TEMPLATES,
        },
    )
    due = sorted((_ClaimedRow(*row) for row in rows), key=lambda row: (row.priority, row.due_at))
    queue_is_empty = len(due) < most
    mails = {row.mail_id: mail_of(row, json.loads(row.details)) for row in due}
    if due and domain_rate:
        domains = {mail_id: domain_of(mail) for mail_id, mail in mails.items()}
        later = await rate_limiter.postpone(tx, domains, rate=domain_rate)
        due = [row for row in due if row.mail_id not in later]
    found = await contexts(tx, [mails[row.mail_id] for row in due], now) if due else []
    return [
        Claimed(
            mails[row.mail_id],
            context,
            claim=Claim(row.mail_id, row.claims),
            priority=Priority(row.priority),
            attempts=row.attempts,
            time_left=row.time_left,
            traceparent=row.traceparent,
        )
        for row, context in zip(due, found, strict=True)
    ], queue_is_empty


async def any_due(tx: Transaction) -> bool:
    """Return True even if :func:`claim` would leave the mail to another process."""
    return bool(await tx.scalar(_ANY_DUE, {"priorities": list(Priority)}))


def domain_of(mail: Mail) -> str:
    return mail.address.rpartition("@")[2].lower()


async def mark_data_started(
    tx: Transaction, owner: UUID, mails: Sequence[Claimed], *, lease: timedelta
) -> set[Claim]:
    """Mark that DATA is about to be sent. Only the returned claims still hold and may send it.

    A claim is invalid if the reader's address, the enrolment or the session has changed.
    """
    rows = await tx.execute(_MARK_DATA_STARTED, {"owner": owner, "lease": lease, **_judged(mails)})
    return {Claim(row.mail_id, row.claims) for row in rows}


@dataclass(frozen=True, slots=True)
class Settlement:
    """``reply`` is the relay's, or why the relay was not asked.

    ``delay`` is for RETRY and PENDING. ``bad_address`` is the RFC 3463 code if the address itself was
    refused. ``suppressed``: the mail was not tried. ``written`` is the letter that the relay has or may have.
    """

    claim: Claim
    state: MailState
    code: int | None
    reply: str
    delay: timedelta = timedelta(0)
    bad_address: str | None = None
    suppressed: bool = False
    written: WrittenLetter | None = None

    @property
    def was_tried(self) -> bool:
        return self.state in _TRIED and not self.suppressed


async def settle(tx: Transaction, owner: UUID, settlements: Sequence[Settlement]) -> None:
    """Store results and attempts, suppress bad addresses, and publish the ends of mails, in this transaction.

    A mail that became ambiguous when its lease ran out is settled too: its owner knows better. A mail that
    was claimed again or decided about is not.
    """
    letters = [settlement.written for settlement in settlements]
    rows = await tx.execute(
        _SETTLE,
        {
            "owner": owner,
            **_columns([settlement.claim for settlement in settlements]),
            "states": [settlement.state.value for settlement in settlements],
            "codes": [settlement.code for settlement in settlements],
            "answers": [settlement.reply[:500] for settlement in settlements],
            "delays": [settlement.delay for settlement in settlements],
            "tried": [settlement.was_tried for settlement in settlements],
            "written_by": [letter and letter.by for letter in letters],
            "written_at": [letter and letter.at for letter in letters],
            "written_from": [letter and as_json(letter.context) for letter in letters],
        },
    )
    by_claim = {settlement.claim: settlement for settlement in settlements}
    settled = [PublishedMail(*row) for row in rows]
    of_mail = {mail.mail_id: by_claim[Claim(mail.mail_id, mail.claims)] for mail in settled}
    bad = {mail.address: mail.mail_id for mail in settled if of_mail[mail.mail_id].bad_address is not None}
    suppressed = await bounces.suppress_bad(tx, bad)
    events: list[Event | None] = []
    for mail in settled:
        settlement, is_suppressed = of_mail[mail.mail_id], mail.address in suppressed
        if (status := settlement.bad_address) is not None:
            events.append(bounced(mail, BounceKind.HARD, status, mail.ended_at, suppressed=is_suppressed))
        events.append(ended(mail, suppressed=settlement.suppressed or is_suppressed))
    await OUTBOX.publish(tx, [event for event in events if event is not None])


async def release(tx: Transaction, owner: UUID, claims: Sequence[Claim] | None = None) -> int:
    """Return unbegun mails to the queue: these claims, or all claims of ``owner`` if None.

    This was no attempt.
    """
    columns = {"ids": None, "numbers": None} if claims is None else _columns(claims)
    result = await tx.execute(_RELEASE, {"owner": owner, **columns})
    return result.rowcount


def _columns(claims: Sequence[Claim]) -> dict[str, Sequence[UUID | int]]:
    return {"ids": [claim.mail_id for claim in claims], "numbers": [claim.number for claim in claims]}


def _judged(mails: Sequence[Claimed]) -> dict[str, Sequence[UUID | int | None]]:
    """Return the claims with the versions of enrolment and session from which the letters were written."""
    known = [mail.context for mail in mails]
    return {
        **_columns([mail.claim for mail in mails]),
        "enrolments": [context.enrolment.version if context.enrolment else None for context in known],
        "sessions": [context.session.version if context.session else None for context in known],
    }


async def address_now(tx: Transaction, mail_id: UUID) -> str:
    return str(await tx.scalar(_ADDRESS_OF, {"mail_id": mail_id}))


async def expire_leases(tx: Transaction, owner: UUID | None = None) -> tuple[int, int]:
    """End expired leases, or all leases of ``owner``.

    A mail whose DATA had begun becomes ambiguous. Returns how many are queued again, and how many are
    ambiguous.
    """
    rows = (await tx.execute(_EXPIRE, {"owner": owner})).scalars().all()
    ambiguous = sum(state == MailState.AMBIGUOUS for state in rows)
    return len(rows) - ambiguous, ambiguous


def mail_of(row: _ClaimedRow | MailRow, details: LetterDetails) -> Mail:
    return Mail(
        mail_id=row.mail_id,
        template=LetterType(row.template),
        details=details,
        message_id=row.message_id or "",
        address=row.address,
        given_name=row.given_name,
        family_name=row.family_name,
        session_id=row.session_id,
        enrolment_id=row.enrolment_id,
        version=row.version,
        called_for_at=row.called_for_at,
    )


_READER = """
      FROM (SELECT) AS reader
           LEFT JOIN enrolment ON enrolment.enrolment_id = mail.enrolment_id
           LEFT JOIN subscriber ON subscriber.subscriber_id = CAST(mail.details ->> 'subscriber' AS uuid)"""
_ADDRESS_NOW = "coalesce(enrolment.address, subscriber.address, mail.address)"
_ADDRESS_OF = text(f"SELECT (SELECT {_ADDRESS_NOW} {_READER}) FROM mail WHERE mail_id = :mail_id")  # noqa: S608 our own words
_CALLED_FOR_BY = "coalesce(CAST(mail.details ->> 'session_version' AS bigint), 0)"


@functools.cache
def _claim_of(most: int) -> TextClause:
    """Return the statement for at most ``most`` mails.

    ``most`` is part of the text: for an unknown ``LIMIT`` Postgres assumes a tenth of all mails.
    ``ANY`` leaves it no plan that reads all mails, here and below.
    """
    return text(
        f"""
    WITH due AS (
        SELECT next.mail_id
          FROM unnest(CAST(:priorities AS smallint[])) AS first (priority) CROSS JOIN LATERAL (
               SELECT mail_id FROM mail
                WHERE mail.priority = first.priority AND state IN ('pending', 'retry') AND due_at <= now()
                  AND template = ANY(CAST(:templates AS varchar[]))
                  AND (NOT needs_session
                       OR EXISTS (SELECT FROM session WHERE session.session_id = mail.session_id
                                     AND session.version >= {_CALLED_FOR_BY})
                       OR ({_CALLED_FOR_BY} > 0 AND give_up_at <= now()))
                ORDER BY due_at LIMIT {most} FOR UPDATE OF mail SKIP LOCKED) AS next
         LIMIT {most})
    UPDATE mail
       SET state = 'claimed', owner = :owner, lease_until = now() + :lease, attempts = attempts + 1,
           claims = claims + 1,
           message_id = coalesce(message_id, '<' || mail.mail_id || '@' || CAST(:domain AS varchar) || '>'),
           (address, given_name, family_name) = (
               SELECT {_ADDRESS_NOW},
                      coalesce(enrolment.given_name, subscriber.given_name, mail.given_name),
                      coalesce(enrolment.family_name, subscriber.family_name, mail.family_name) {_READER})
     WHERE mail.mail_id = ANY(ARRAY(SELECT mail_id FROM due))
    RETURNING mail.mail_id, template, details::text AS details, message_id, address, given_name, family_name,
              session_id, enrolment_id, version, called_for_at, attempts, claims, priority,
              traceparent, due_at, give_up_at - now() AS time_left"""  # noqa: S608 our own words
    )


# Ordered like the index of due mails, so that Postgres uses it whatever the statistics say.
_ANY_DUE = text(
    """
    SELECT true FROM unnest(CAST(:priorities AS smallint[])) AS first (priority) CROSS JOIN LATERAL (
           SELECT FROM mail
            WHERE mail.priority BETWEEN first.priority AND first.priority
              AND state IN ('pending', 'retry') AND due_at <= now()
            ORDER BY mail.priority, due_at LIMIT 1) AS due
     LIMIT 1"""
)
_MARK_DATA_STARTED = text(
    "UPDATE mail SET state = 'data_started', lease_until = now() + :lease "  # noqa: S608 our own words
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[]), CAST(:enrolments AS integer[]), "
    "CAST(:sessions AS integer[])) AS claim (mail_id, number, enrolment, session) "
    "WHERE mail.mail_id = ANY(CAST(:ids AS uuid[])) AND mail.mail_id = claim.mail_id "
    "AND mail.claims = claim.number "
    # In a CASE: else the planner reads all claimed mails, by the index of leases, and looks up each address.
    f"AND owner = :owner AND CASE state WHEN 'claimed' "
    f"THEN (SELECT mail.address = {_ADDRESS_NOW} AND enrolment.version IS NOT DISTINCT FROM claim.enrolment "
    f"{_READER}) AND (SELECT version FROM session WHERE session.session_id = mail.session_id) "
    "IS NOT DISTINCT FROM claim.session END "
    "RETURNING mail.mail_id, mail.claims"
)
# A stored attempt stays, because the reply to its commit may have been lost.
_SETTLE = text(
    f"""
    WITH end_ AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:numbers AS integer[]), CAST(:states AS varchar[]),
            CAST(:codes AS integer[]), CAST(:answers AS varchar[]), CAST(:delays AS interval[]),
            CAST(:tried AS boolean[]), CAST(:written_by AS varchar[]), CAST(:written_at AS timestamptz[]),
            CAST(:written_from AS jsonb[])) AS end_ (
            mail_id, number, state, code, answer, delay, tried, written_by, written_at, written_from)),
    settled AS (
        UPDATE mail
           SET state = end_.state, smtp_code = end_.code, smtp_answer = end_.answer, lease_until = NULL,
               attempts = attempts - CASE WHEN end_.state = 'pending' THEN 1 ELSE 0 END,
               due_at = CASE WHEN end_.state IN ('retry', 'pending') THEN now() + end_.delay ELSE due_at END,
               give_up_at = CASE WHEN end_.state = 'pending' AND end_.delay > interval '1 hour'
                            THEN greatest(give_up_at, now() + end_.delay + interval '4 days')
                            ELSE give_up_at END,
               slot_at = NULL,
               settled_at = CASE WHEN end_.state IN ('sent', 'failed', 'superseded')
                            THEN clock_timestamp() END
          FROM end_
         WHERE mail.mail_id = ANY(CAST(:ids AS uuid[]))
           AND mail.mail_id = end_.mail_id AND mail.claims = end_.number AND owner = :owner
           AND mail.state IN ('claimed', 'data_started', 'ambiguous')
        RETURNING {PUBLISHED}),
    attempt AS (
        INSERT INTO mail_attempt
               (mail_id, number, state, code, answer, written_by, written_at, written_from)
        SELECT mail_id, number, end_.state, code, answer, written_by, written_at, written_from
          FROM end_ JOIN settled USING (mail_id)
         WHERE settled.claims = end_.number AND tried ON CONFLICT DO NOTHING)
    SELECT * FROM settled"""  # noqa: S608 our own words
)
_RELEASE = text(
    "UPDATE mail SET state = CASE WHEN attempts > 1 THEN 'retry' ELSE 'pending' END, "
    "attempts = attempts - 1, owner = NULL, lease_until = NULL "
    "WHERE owner = :owner AND state = 'claimed' AND (CAST(:ids AS uuid[]) IS NULL OR (mail_id, claims) IN "
    "(SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS integer[]))))"
)
_EXPIRE = text(
    """
    UPDATE mail
       SET state = CASE WHEN state <> 'claimed' THEN 'ambiguous'
                        WHEN attempts > 1 THEN 'retry' ELSE 'pending' END,
           attempts = CASE state WHEN 'claimed' THEN attempts - 1 ELSE attempts END,
           smtp_answer = CASE state WHEN 'claimed' THEN smtp_answer
                         ELSE 'The process that sent it ended or hung before it stored the outcome.' END,
           owner = CASE state WHEN 'claimed' THEN NULL ELSE owner END,
           lease_until = NULL
     WHERE state IN ('claimed', 'data_started')
       AND CASE WHEN CAST(:owner AS uuid) IS NULL THEN lease_until < now() ELSE owner = :owner END
    RETURNING state"""
)

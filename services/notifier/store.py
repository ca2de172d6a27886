"""Every query of the notifier: what it knows of sessions and people, and the queue of mails.

Leases and due times are judged by the database's clock, which all replicas share. No function here holds a
transaction across the network.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, text

from services.notifier import tables
from services.notifier.letters import KINDS, Known, Letter, Mail, Standing, Template
from services.notifier.tables import MailState
from shared.database import Transaction, insert_many
from shared.events import Event
from shared.events.catalogue import ReplayPublished, SessionState
from shared.events.enrolment import Decision
from shared.events.notifier import EmailFailed, EmailSent
from shared.messaging.decoding import Received
from shared.messaging.outbox import Outbox

outbox = Outbox("notifier")


# ------------------------------------------------------------------------------------------ what is known


async def remember_sessions(tx: Transaction, states: Iterable[SessionState]) -> None:
    """Keep the newest of each session; an older version than what is known changes nothing."""
    newest = {state.session_id: state for state in sorted(states, key=lambda state: state.version)}
    if newest:
        await insert_many(
            tx,
            tables.session,
            [
                {"session_id": state.session_id, "version": state.version, "state": state.model_dump_json()}
                for _, state in sorted(newest.items())
            ],
            then="ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, state = excluded.state "
            "WHERE session.version < excluded.version",
        )


async def enrolments(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, Known]:
    """What is known of these enrolments, locked until the end of the transaction."""
    rows = await tx.execute(_ENROLMENTS, {"ids": list(ids)})
    return {row.enrolment_id: Known(row.version, Standing(row.standing)) for row in rows}


async def remember_enrolments(tx: Transaction, changed: Mapping[UUID, tuple[Decision, Standing]]) -> None:
    """Keep where these agents stand now; older versions change nothing."""
    if changed:
        await insert_many(
            tx,
            tables.enrolment,
            [
                {
                    "enrolment_id": enrolment_id,
                    "version": decision.version,
                    "session_id": decision.session_id,
                    "standing": standing.value,
                    "agent_id": decision.agent.agent_id,
                    "address": decision.agent.email,
                    "given_name": decision.agent.given_name,
                    "family_name": decision.agent.family_name,
                }
                for enrolment_id, (decision, standing) in sorted(changed.items())
            ],
            then="ON CONFLICT (enrolment_id) DO UPDATE SET version = excluded.version, "
            "standing = excluded.standing, address = excluded.address, given_name = excluded.given_name, "
            "family_name = excluded.family_name WHERE enrolment.version < excluded.version",
        )


async def known_sessions(
    tx: Transaction, ids: Collection[UUID], cache: dict[UUID, SessionState]
) -> dict[UUID, SessionState]:
    """The newest state of these sessions, those that are known; ``cache`` spares reading them again."""
    found = {}
    for row in await tx.execute(_VERSIONS, {"ids": list(ids)}):
        held = cache.get(row.session_id)
        if held is not None and held.version == row.version:
            found[row.session_id] = held
    lacking = [one for one in ids if one not in found]
    if lacking:
        for row in await tx.execute(_STATES, {"ids": lacking}):
            found[row.session_id] = cache[row.session_id] = SessionState.model_validate_json(row.state)
    return found


async def open_alternatives(
    tx: Transaction, ids: Collection[UUID], *, most: int = 3
) -> dict[UUID, list[SessionState]]:
    """For each of these sessions, others of its offer that are open to enrolment now.

    Those of the same organiser first, then the next to begin. Whether they have seats left is not known here.
    """
    found: dict[UUID, list[SessionState]] = {}
    for row in await tx.execute(_ALTERNATIVES, {"ids": list(ids), "most": most}):
        found.setdefault(row.instead_of, []).append(SessionState.model_validate_json(row.state))
    return found


_ENROLMENTS = text(
    "SELECT enrolment_id, version, standing FROM enrolment WHERE enrolment_id = ANY(CAST(:ids AS uuid[])) "
    "ORDER BY enrolment_id FOR UPDATE"
)
_VERSIONS = text("SELECT session_id, version FROM session WHERE session_id = ANY(CAST(:ids AS uuid[]))")
_STATES = text(
    "SELECT session_id, state::text AS state FROM session WHERE session_id = ANY(CAST(:ids AS uuid[]))"
)


_ALTERNATIVES = text(
    """
    SELECT wanted.session_id AS instead_of, other.state::text AS state
      FROM session AS wanted CROSS JOIN LATERAL (
           SELECT state FROM session
            WHERE session_id <> wanted.session_id AND state ->> 'offer_id' = wanted.state ->> 'offer_id'
              AND state ->> 'status' = 'published' AND (state ->> 'enrolment_opens_at')::timestamptz <= now()
              AND (state ->> 'enrolment_closes_at')::timestamptz > now()
            ORDER BY state ->> 'organiser' <> wanted.state ->> 'organiser',
                     (state ->> 'starts_at')::timestamptz, session_id
            LIMIT :most) AS other
     WHERE wanted.session_id = ANY(CAST(:ids AS uuid[]))"""
)


# ---------------------------------------------------------------------------------------- into the queue


async def queue(tx: Transaction, called_for: Sequence[tuple[Received[Decision], Letter]]) -> None:
    """Queue letters to the agents that the decisions are about, each once."""
    if called_for:
        await insert_many(
            tx,
            tables.mail,
            [_row(received, letter) for received, letter in called_for],
            then="ON CONFLICT (event_id, template, recipient) DO NOTHING",
        )


def _row(received: Received[Decision], letter: Letter) -> dict[str, Any]:
    decision = received.event
    return {
        "mail_id": uuid4(),
        "event_id": received.id,
        "template": letter.template.value,
        "recipient": decision.agent.agent_id,
        "address": decision.agent.email,
        "given_name": decision.agent.given_name,
        "family_name": decision.agent.family_name,
        "session_id": decision.session_id,
        "enrolment_id": decision.enrolment_id,
        "version": decision.version,
        "facts": json.dumps(letter.facts),
        "needs_session": letter.needs_session,
        "priority": int(KINDS[letter.template].priority),
        "called_for_at": received.received_at,
    }


async def lock_sessions(tx: Transaction, ids: Collection[UUID], *, alone: bool) -> None:
    """Let the enrolments of a session be told and its replay be announced one after the other.

    Of two transactions at once, which do not see each other, neither would write to who enrolled just then.
    """
    await tx.execute(_LOCK_ALONE if alone else _LOCK_SHARED, {"ids": sorted(ids)})


async def announce(tx: Transaction, replays: Sequence[tuple[Received[ReplayPublished], Letter]]) -> None:
    """Write to everyone enrolled in the recorded sessions: one statement, however many they are.

    A replay is announced by its first event; a later version of it (a corrected title) mails nobody again.
    """
    if not replays:
        return
    new = await insert_many(
        tx,
        tables.replay,
        [
            {
                "resource_id": received.event.resource_id,
                "event_id": received.id,
                "session_id": received.event.session_id,
                "facts": json.dumps(letter.facts),
                "announced_at": received.received_at,
            }
            for received, letter in {
                one.event.resource_id: (one, letter) for one, letter in replays[::-1]
            }.values()
        ],
        then="ON CONFLICT (resource_id) DO NOTHING RETURNING resource_id",
    )
    await tx.execute(_ANNOUNCE, {"replays": list(new.scalars()), "priority": _NEWS, "template": _REPLAY})


async def announce_to(tx: Transaction, enrolment_ids: Collection[UUID]) -> None:
    """Write to those whose enrolment was told after the replay was: their event was late, not they."""
    if enrolment_ids:
        await tx.execute(_ANNOUNCE_LATE, {"ids": list(enrolment_ids), "priority": _NEWS, "template": _REPLAY})


_REPLAY = Template.REPLAY_AVAILABLE.value
_NEWS = int(KINDS[Template.REPLAY_AVAILABLE].priority)

_LOCK = (
    "FROM (SELECT DISTINCT hashtextextended(id::text, 7) AS key "
    "FROM unnest(CAST(:ids AS uuid[])) AS id ORDER BY 1)"
)
_LOCK_ALONE = text(f"SELECT pg_advisory_xact_lock(key) {_LOCK} AS keys")
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared(key) {_LOCK} AS keys")

_FAN_OUT = """
    INSERT INTO mail (event_id, template, recipient, address, given_name, family_name, session_id,
                      enrolment_id, version, facts, needs_session, priority, called_for_at)
    SELECT DISTINCT ON (replay.event_id, agent_id)
           replay.event_id, :template, agent_id, address, given_name, family_name, replay.session_id,
           enrolment_id, enrolment.version, replay.facts, true, :priority, announced_at
      FROM replay JOIN enrolment ON enrolment.session_id = replay.session_id AND standing = 'enrolled'
     WHERE {which}
        ON CONFLICT (event_id, template, recipient) DO NOTHING"""
_ANNOUNCE = text(_FAN_OUT.format(which="resource_id = ANY(CAST(:replays AS uuid[]))"))
_ANNOUNCE_LATE = text(_FAN_OUT.format(which="enrolment_id = ANY(CAST(:ids AS uuid[]))"))


# ------------------------------------------------------------------------------------------ out of the queue


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that this process may try to send. ``patience`` is how long it may still be tried again."""

    mail: Mail
    attempts: int
    patience: timedelta


async def claim(
    tx: Transaction, owner: UUID, *, most: int, lease: timedelta, message_domain: str
) -> list[Claimed]:
    """Take up to ``most`` mails that are due and whose session is known, in order of priority and time.

    Two processes never get the same one. The Message-ID is given here, once.
    """
    rows = await tx.execute(_CLAIM, {"owner": owner, "most": most, "lease": lease, "domain": message_domain})
    return [_claimed(row) for row in sorted(rows, key=lambda row: (row.priority, row.due_at))]


async def start_data(tx: Transaction, owner: UUID, ids: Sequence[UUID], *, lease: timedelta) -> set[UUID]:
    """Mark that DATA is about to be sent. Returns those that may be: whose claim still is this process's."""
    rows = await tx.execute(_START_DATA, {"owner": owner, "ids": list(ids), "lease": lease})
    return set(rows.scalars())


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of an attempt. ``answer`` is the relay's, or why there is none; ``delay`` is for RETRY."""

    mail_id: UUID
    state: MailState
    code: int | None
    answer: str
    delay: timedelta = timedelta(0)


async def settle(tx: Transaction, owner: UUID, settlements: Sequence[Settlement]) -> None:
    """Write what became of attempts, and tell of those sent or failed, in this transaction.

    A mail whose lease has run out meanwhile, and so became ambiguous, is settled as well: its owner knows.
    One that somebody else has taken or decided about is not.
    """
    rows = await tx.execute(
        _SETTLE,
        {
            "owner": owner,
            "ids": [one.mail_id for one in settlements],
            "states": [one.state.value for one in settlements],
            "codes": [one.code for one in settlements],
            "answers": [one.answer[:500] for one in settlements],
            "delays": [one.delay for one in settlements],
        },
    )
    await outbox.publish(tx, [event for row in rows if (event := _told(row)) is not None])


async def release(tx: Transaction, owner: UUID, ids: Sequence[UUID] | None = None) -> int:
    """Give back what was claimed and not begun (all of it without ``ids``), as if it had not been claimed."""
    result = await tx.execute(_RELEASE, {"owner": owner, "ids": None if ids is None else list(ids)})
    return result.rowcount


async def expire_leases(tx: Transaction, owner: UUID | None = None) -> tuple[int, int]:
    """Leases that have run out: not begun goes back to the queue, begun is ambiguous.

    With ``owner``: all of that process, which is ending. Returns how many of each.
    """
    rows = (await tx.execute(_EXPIRE, {"owner": owner})).scalars().all()
    ambiguous = sum(state == MailState.AMBIGUOUS for state in rows)
    return len(rows) - ambiguous, ambiguous


def _claimed(row: Row[Any]) -> Claimed:
    return Claimed(
        Mail(
            mail_id=row.mail_id,
            template=Template(row.template),
            facts=json.loads(row.facts),
            message_id=row.message_id,
            agent_id=row.recipient,
            address=row.address,
            given_name=row.given_name,
            family_name=row.family_name,
            session_id=row.session_id,
            enrolment_id=row.enrolment_id,
            version=row.version,
            called_for_at=row.called_for_at,
        ),
        attempts=row.attempts,
        patience=row.patience,
    )


def _told(row: Row[Any]) -> Event | None:
    """The event that tells of a mail's end, if it has come to one."""
    about = {
        "mail_id": row.mail_id,
        "agent_id": row.recipient,
        "template": row.template,
        "cause_id": row.event_id,
        "session_id": row.session_id,
        "enrolment_id": row.enrolment_id,
    }
    if row.state == MailState.SENT:
        return EmailSent(**about, message_id=row.message_id, sent_at=row.settled_at)
    if row.state == MailState.FAILED:
        return EmailFailed(**about, smtp_code=row.smtp_code, failed_at=row.settled_at)
    return None


_CLAIM = text(
    """
    WITH due AS (
        SELECT mail_id FROM mail
         WHERE state IN ('pending', 'retry') AND due_at <= now()
           AND (NOT needs_session OR EXISTS (SELECT FROM session WHERE session.session_id = mail.session_id))
         ORDER BY priority, due_at LIMIT :most FOR UPDATE OF mail SKIP LOCKED)
    UPDATE mail
       SET state = 'claimed', owner = :owner, lease_until = now() + :lease, attempts = attempts + 1,
           message_id = coalesce(message_id, '<' || mail.mail_id || '@' || CAST(:domain AS varchar) || '>')
      FROM due WHERE mail.mail_id = due.mail_id
    RETURNING mail.mail_id, template, facts::text AS facts, message_id, recipient, address, given_name,
              family_name, session_id, enrolment_id, version, called_for_at, attempts, priority, due_at,
              give_up_at - now() AS patience"""
)
_START_DATA = text(
    "UPDATE mail SET state = 'data_started', lease_until = now() + :lease "
    "WHERE mail_id = ANY(CAST(:ids AS uuid[])) AND owner = :owner AND state = 'claimed' RETURNING mail_id"
)
_SETTLE = text(
    """
    UPDATE mail
       SET state = end_.state, smtp_code = end_.code, smtp_answer = end_.answer, lease_until = NULL,
           due_at = CASE WHEN end_.state = 'retry' THEN now() + end_.delay ELSE due_at END,
           settled_at = CASE WHEN end_.state IN ('sent', 'failed') THEN clock_timestamp() END
      FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS varchar[]), CAST(:codes AS integer[]),
                  CAST(:answers AS varchar[]), CAST(:delays AS interval[]))
           AS end_ (mail_id, state, code, answer, delay)
     WHERE mail.mail_id = end_.mail_id AND owner = :owner
       AND mail.state IN ('claimed', 'data_started', 'ambiguous')
    RETURNING mail.mail_id, recipient, template, event_id, session_id, enrolment_id, mail.state, message_id,
              settled_at, smtp_code"""
)
_RELEASE = text(
    "UPDATE mail SET state = CASE WHEN attempts > 1 THEN 'retry' ELSE 'pending' END, "
    "attempts = attempts - 1, owner = NULL, lease_until = NULL "
    "WHERE owner = :owner AND state = 'claimed' "
    "AND (CAST(:ids AS uuid[]) IS NULL OR mail_id = ANY(CAST(:ids AS uuid[])))"
)
_EXPIRE = text(
    """
    UPDATE mail
       SET state = CASE state WHEN 'claimed' THEN 'pending' ELSE 'ambiguous' END,
           smtp_answer = CASE state WHEN 'claimed' THEN smtp_answer
                         ELSE 'The process that was sending it ended or hung before the relay answered.' END,
           owner = CASE state WHEN 'claimed' THEN NULL ELSE owner END,
           lease_until = NULL
     WHERE state IN ('claimed', 'data_started')
       AND CASE WHEN CAST(:owner AS uuid) IS NULL THEN lease_until < now() ELSE owner = :owner END
    RETURNING state"""
)


# ---------------------------------------------------------------------------------------- for people


@dataclass(frozen=True, slots=True)
class MailRecord:
    """A mail as support staff and operators see it: never its text, never the address but to who may."""

    mail_id: UUID
    event_id: UUID
    template: str
    agent_id: str
    address: str
    session_id: UUID
    enrolment_id: UUID
    state: MailState
    attempts: int
    message_id: str | None
    smtp_code: int | None
    smtp_answer: str | None
    created_at: datetime
    due_at: datetime
    settled_at: datetime | None


async def mails(
    tx: Transaction,
    *,
    agent_id: str | None = None,
    state: MailState | None = None,
    mail_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[MailRecord]:
    """Mails, newest first; ``before`` is the last one of the page before."""
    conditions = {
        "recipient = :agent_id": agent_id,
        "state = :state": state.value if state else None,
        "mail_id = :mail_id": mail_id,
        "(created_at, mail_id) < (:before_at, :before_id)": before,
    }
    where = " AND ".join(condition for condition, value in conditions.items() if value is not None) or "true"
    rows = await tx.execute(
        text(f"SELECT {_RECORD} FROM mail WHERE {where} ORDER BY created_at DESC, mail_id DESC LIMIT :limit"),  # noqa: S608 our own words
        {
            "agent_id": agent_id,
            "state": state.value if state else None,
            "mail_id": mail_id,
            "before_at": before[0] if before else None,
            "before_id": before[1] if before else None,
            "limit": limit,
        },
    )
    return [
        MailRecord(**{**row._mapping, "state": MailState(row.state)})  # noqa: SLF001 SQLAlchemy's public name
        for row in rows
    ]


async def counts(tx: Transaction) -> dict[MailState, int]:
    """How many mails are in each state, states without any included."""
    rows = await tx.execute(text("SELECT state, count(*) AS mails FROM mail GROUP BY state"))
    found = {row.state: int(row.mails) for row in rows}
    return {state: found.get(state.value, 0) for state in MailState}


async def count_open(tx: Transaction) -> tuple[int, float, int]:
    """How many mails are due and wait, for how many seconds the oldest does, and how many are ambiguous."""
    row = (await tx.execute(_OPEN)).one()
    return int(row.due), float(row.age), int(row.ambiguous)


async def resolve(tx: Transaction, mail_id: UUID, *, sent: bool, actor: str) -> MailState | None:
    """An operator's word about an ambiguous or failed mail: it arrived, or it is to be sent again.

    Returns the state before, None where there is no such mail; only ambiguous and failed ones change. The
    same Message-ID stays, so a recipient who gets it twice may see it once.
    """
    before = await tx.scalar(
        text("SELECT state FROM mail WHERE mail_id = :mail_id FOR UPDATE"), {"mail_id": mail_id}
    )
    if before not in (MailState.AMBIGUOUS, MailState.FAILED) or (sent and before == MailState.FAILED):
        return None if before is None else MailState(before)
    row = (await tx.execute(_RESOLVE_SENT if sent else _RESOLVE_RESEND, {"mail_id": mail_id})).one()
    event = _told(row)
    await outbox.publish(tx, [event] if event is not None else [])
    action = "resolved as sent" if sent else "resent"
    await insert_many(tx, tables.mail_audit, [{"mail_id": mail_id, "actor": actor, "action": action}])
    return MailState(before)


_RECORD = (
    "mail_id, event_id, template, recipient AS agent_id, address, session_id, enrolment_id, state, attempts, "
    "message_id, smtp_code, smtp_answer, created_at, due_at, settled_at"
)
_OPEN = text(
    "SELECT count(*) FILTER (WHERE state IN ('pending', 'retry') AND due_at <= now()) AS due, "
    "coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE state IN ('pending', 'retry') "
    "AND due_at <= now())), 0) AS age, count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous "
    "FROM mail WHERE state IN ('pending', 'retry') OR state = 'ambiguous'"
)
_TOLD = (
    "RETURNING mail_id, recipient, template, event_id, session_id, enrolment_id, state, message_id, "
    "settled_at, smtp_code"
)
_RESOLVE_SENT = text(f"UPDATE mail SET state = 'sent', settled_at = now() WHERE mail_id = :mail_id {_TOLD}")  # noqa: S608
_RESOLVE_RESEND = text(
    "UPDATE mail SET state = 'pending', attempts = 0, owner = NULL, due_at = now(), settled_at = NULL, "  # noqa: S608
    f"give_up_at = now() + interval '4 days' WHERE mail_id = :mail_id {_TOLD}"
)

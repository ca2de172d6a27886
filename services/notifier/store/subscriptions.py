from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, text

from services.notifier.letters import Interest
from services.notifier.tables import SubscriptionRequestRow
from shared.database import Transaction
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey

EVERYTHING = ""
"""Means all interests that ended."""


async def lock(tx: Transaction) -> None:
    await tx.execute(_LOCK)


async def find_agent(tx: Transaction, agent: AgentKey) -> UUID | None:
    found: UUID | None = await tx.scalar(_AGENT, agent._asdict())
    return found


async def find_owner(tx: Transaction, address: str) -> UUID | None:
    found: UUID | None = await tx.scalar(_OWNER, {"address": address})
    return found


async def save_agent(tx: Transaction, agent: AgentKey, address: str, name: tuple[str, str]) -> UUID:
    given_name, family_name = name
    values = {**agent._asdict(), "address": address, "given_name": given_name, "family_name": family_name}
    saved: UUID = (await tx.execute(_SAVE_AGENT, values)).scalar_one()
    return saved


async def has_room(tx: Transaction, agent: AgentKey, address: str, *, most: int) -> bool:
    """The agent has the address already, or fewer than ``most`` agents of the issuer do."""
    return bool(await tx.scalar(_HAS_ROOM, {**agent._asdict(), "address": address, "most": most}))


async def save_owner(tx: Transaction, address: str) -> UUID:
    saved: UUID = (await tx.execute(_SAVE_OWNER, {"address": address})).scalar_one()
    return saved


async def mailbox(tx: Transaction, subscriber_id: UUID) -> list[UUID]:
    """An owner's mailbox includes the agents with the address."""
    return list(await tx.scalars(_MAILBOX, {"ids": [subscriber_id]}))


async def address_of(tx: Transaction, subscriber_id: UUID) -> str | None:
    found: str | None = await tx.scalar(_ADDRESS, {"subscriber_id": subscriber_id})
    return found


async def correct(tx: Transaction, agent: AgentKey, corrected: AgentCorrected) -> None:
    """A name of None stays."""
    parameters = {
        **agent._asdict(),
        "address": corrected.email,
        "given_name": corrected.given_name,
        "family_name": corrected.family_name,
    }
    await tx.execute(_CORRECT, parameters)


async def forget_who_follows_nothing(tx: Transaction, subscriber_ids: Collection[UUID]) -> None:
    """Supersede also the news on its way to these subscribers."""
    for statement in (_DROP_NEWS, _FORGET):
        await tx.execute(statement, {"ids": list(subscriber_ids)})


async def add(tx: Transaction, subscriber_id: UUID, interests: Collection[str], moment: datetime) -> None:
    parameters = {"subscriber_id": subscriber_id, "interests": list(interests), "moment": moment}
    await tx.execute(_ADD, parameters)


async def remove(
    tx: Transaction, subscriber_ids: Collection[UUID], interests: Collection[str] | None
) -> None:
    """None removes all."""
    named = None if interests is None else list(interests)
    await tx.execute(_REMOVE, {"ids": list(subscriber_ids), "interests": named})


async def keep_ended(tx: Transaction, agent: AgentKey, interests: Collection[str], moment: datetime) -> None:
    """Store also interests that were not followed."""
    parameters = {**agent._asdict(), "interests": list(interests), "moment": moment}
    await tx.execute(_KEEP_ENDED, parameters)


async def keep_all_ended(tx: Transaction, subscriber_ids: Collection[UUID], moment: datetime) -> None:
    """Record that the agents among these subscribers ended everything requested by that moment."""
    await tx.execute(_KEEP_ALL_ENDED, {"ids": list(subscriber_ids), "moment": moment})


async def ended_since(tx: Transaction, agent: AgentKey, moment: datetime) -> set[str]:
    """The result may be ``EVERYTHING``."""
    return set(await tx.scalars(_ENDED_SINCE, {**agent._asdict(), "moment": moment}))


async def asked_for_by(tx: Transaction, subscriber_id: UUID, moment: datetime) -> set[str]:
    """Leave out subscriptions that were requested again later."""
    return set(await tx.scalars(_ASKED_FOR_BY, {"subscriber_id": subscriber_id, "moment": moment}))


async def followed(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, tuple[Interest, ...]]:
    """Subscribers without interests are left out."""
    rows = await tx.execute(_FOLLOWED, {"ids": list(ids)})
    return {row.reader_id: tuple(map(Interest.parse, row.interests)) for row in rows}


async def add_request(tx: Transaction, request_id: UUID, address: str, interests: Sequence[str]) -> None:
    await tx.execute(
        insert(SubscriptionRequestRow).values(
            request_id=request_id, address=address, interests=list(interests)
        )
    )


async def find_request(tx: Transaction, request_id: UUID) -> SubscriptionRequestRow | None:
    return await tx.get(SubscriptionRequestRow, request_id)


async def confirm_request(tx: Transaction, request_id: UUID) -> tuple[str, list[str]] | None:
    """Return address and interests, or None if the request is unknown or was confirmed."""
    row = (await tx.execute(_CONFIRM, {"request_id": request_id})).one_or_none()
    return None if row is None else (row.address, row.interests)


async def confirmed_by(tx: Transaction, request_id: UUID) -> UUID | None:
    found: UUID | None = await tx.scalar(_CONFIRMED_BY, {"request_id": request_id})
    return found


_LOCK = text("SELECT pg_advisory_xact_lock(7_370_627)")  # "pub"
_AGENT = text("SELECT subscriber_id FROM subscriber WHERE issuer = :issuer AND agent_id = :agent_id")
_OWNER = text(
    "SELECT subscriber_id FROM subscriber WHERE lower(address) = lower(:address) AND agent_id IS NULL"
)
_ADDRESS = text("SELECT address FROM subscriber WHERE subscriber_id = :subscriber_id")
_SAVE_AGENT = text(
    "INSERT INTO subscriber (subscriber_id, issuer, agent_id, address, given_name, family_name) "
    "VALUES (gen_random_uuid(), :issuer, :agent_id, :address, :given_name, :family_name) "
    "ON CONFLICT (issuer, agent_id) DO UPDATE SET address = excluded.address, "
    "given_name = coalesce(nullif(excluded.given_name, ''), subscriber.given_name), "
    "family_name = coalesce(nullif(excluded.family_name, ''), subscriber.family_name) "
    "RETURNING subscriber_id"
)
_SAVE_OWNER = text(
    "INSERT INTO subscriber (subscriber_id, address, given_name, family_name) "
    "VALUES (gen_random_uuid(), :address, '', '') "
    "ON CONFLICT (lower(address)) WHERE agent_id IS NULL DO UPDATE SET address = excluded.address "
    "RETURNING subscriber_id"
)
# An agent is found by id and not by address, because many agents may share an address.
_MAILBOXES = """
    SELECT subscriber_id AS reader_id, subscriber_id FROM subscriber
     WHERE subscriber_id = ANY(CAST(:ids AS uuid[]))
     UNION
    SELECT owner.subscriber_id, agent.subscriber_id
      FROM subscriber AS owner JOIN subscriber AS agent ON lower(agent.address) = lower(owner.address)
     WHERE owner.subscriber_id = ANY(CAST(:ids AS uuid[])) AND owner.agent_id IS NULL"""
_MAILBOX = text(f"SELECT subscriber_id FROM ({_MAILBOXES}) AS mailbox")  # noqa: S608 our own words
_HAS_ROOM = text(
    """
    SELECT EXISTS (SELECT FROM subscriber WHERE issuer = :issuer AND agent_id = :agent_id
                      AND lower(address) = lower(:address))
        OR (SELECT count(*) FROM (SELECT FROM subscriber WHERE lower(address) = lower(:address)
                                     AND issuer = :issuer LIMIT :most) AS there) < :most"""
)
_ADD = text(
    "INSERT INTO subscription (subscriber_id, interest, since) "
    "SELECT :subscriber_id, interest, :moment FROM unnest(CAST(:interests AS varchar[])) AS interest "
    "ON CONFLICT (subscriber_id, interest) "
    "DO UPDATE SET since = greatest(subscription.since, excluded.since)"
)
_REMOVE = text(
    "DELETE FROM subscription WHERE subscriber_id = ANY(CAST(:ids AS uuid[])) "
    "AND (CAST(:interests AS varchar[]) IS NULL OR interest = ANY(CAST(:interests AS varchar[])))"
)
_KEEP_ENDED = text(
    "INSERT INTO ended_subscription (issuer, agent_id, interest, ended_at) "
    "SELECT :issuer, :agent_id, interest, :moment FROM unnest(CAST(:interests AS varchar[])) AS interest "
    "ON CONFLICT (issuer, agent_id, interest) "
    "DO UPDATE SET ended_at = greatest(ended_subscription.ended_at, excluded.ended_at)"
)
_KEEP_ALL_ENDED = text(
    "INSERT INTO ended_subscription (issuer, agent_id, interest, ended_at) "
    "SELECT issuer, agent_id, '', :moment FROM subscriber "
    "WHERE subscriber_id = ANY(CAST(:ids AS uuid[])) AND agent_id IS NOT NULL "
    "ON CONFLICT (issuer, agent_id, interest) "
    "DO UPDATE SET ended_at = greatest(ended_subscription.ended_at, excluded.ended_at)"
)
_ENDED_SINCE = text(
    "SELECT interest FROM ended_subscription "
    "WHERE issuer = :issuer AND agent_id = :agent_id AND ended_at > :moment"
)
_ASKED_FOR_BY = text(
    "SELECT interest FROM subscription WHERE subscriber_id = :subscriber_id AND since <= :moment"
)
_FOLLOWED = text(
    f"SELECT reader_id, array_agg(DISTINCT interest) AS interests FROM ({_MAILBOXES}) AS mailbox "  # noqa: S608 as above
    "JOIN subscription USING (subscriber_id) GROUP BY reader_id"
)
_CONFIRM = text(
    "UPDATE subscription_request SET confirmed_at = now() "
    "WHERE request_id = :request_id AND confirmed_at IS NULL RETURNING address, interests"
)
_CONFIRMED_BY = text(
    "SELECT subscriber_id FROM subscription_request AS request JOIN subscriber "
    "ON lower(subscriber.address) = lower(request.address) AND agent_id IS NULL "
    "WHERE request_id = :request_id"
)
_FOLLOW_NOTHING = (
    "subscriber_id = ANY(CAST(:ids AS uuid[])) AND NOT EXISTS "
    "(SELECT FROM subscription WHERE subscription.subscriber_id = subscriber.subscriber_id)"
)
# In the order in which a fan-out puts news into letters.
_DROP_NEWS = text(
    f"""
    WITH letters AS (
         SELECT mail_id FROM subscriber JOIN mail ON mail.issuer = coalesce(subscriber.issuer, '')
            AND recipient = coalesce(subscriber.agent_id, 'abonnement-' || subscriber_id)
          WHERE {_FOLLOW_NOTHING} AND template = 'news' AND state IN ('pending', 'retry')
            AND details ->> 'subscriber' = CAST(subscriber_id AS varchar)
          ORDER BY subscriber_id, mail_id FOR UPDATE OF mail)
    UPDATE mail SET state = 'superseded', settled_at = now(), smtp_answer = 'unsubscribed'
      FROM letters WHERE mail.mail_id = letters.mail_id"""  # noqa: S608 as above
)
_FORGET = text(f"DELETE FROM subscriber WHERE {_FOLLOW_NOTHING}")  # noqa: S608 as above
_CORRECT = text(
    "UPDATE subscriber SET address = coalesce(:address, address), "
    "given_name = coalesce(:given_name, given_name), family_name = coalesce(:family_name, family_name) "
    "WHERE issuer = :issuer AND agent_id = :agent_id"
)

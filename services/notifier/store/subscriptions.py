"""Subscribers, what they follow, and requests that wait for the owner of an address."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import delete, insert, text
from sqlmodel import col

from services.notifier.letters import Interest
from services.notifier.tables import (
    FormerSubscriberRow,
    SubscriberRow,
    SubscriptionRequestRow,
    SubscriptionRow,
)
from shared.database import Transaction
from shared.events.portal import AgentCorrected
from shared.events.vocabulary import AgentKey


async def lock(tx: Transaction) -> None:
    """Lock all subscriptions for writing until the end of the transaction."""
    await tx.execute(_LOCK)


async def find_by_agent(tx: Transaction, agent: AgentKey, address: str) -> UUID | None:
    """The subscriber of an agent, else the one of this address alone."""
    found: UUID | None = await tx.scalar(_BY_AGENT, {**agent._asdict(), "address": address})
    return found


async def find_all(tx: Transaction, agent: AgentKey | None, address: str) -> list[UUID]:
    """The subscriber of an agent, and the one known by this address alone."""
    return list((await tx.execute(_FIND, {**_columns(agent), "address": address})).scalars())


async def save(
    tx: Transaction, subscriber_id: UUID, agent: AgentKey | None, address: str, name: tuple[str, str]
) -> None:
    """Keep a subscriber; what is not known of them now stays as it was."""
    given_name, family_name = name
    await tx.execute(
        _SAVE,
        {
            "subscriber_id": subscriber_id,
            **_columns(agent),
            "address": address,
            "given_name": given_name,
            "family_name": family_name,
        },
    )


async def correct(tx: Transaction, agent: AgentKey, corrected: AgentCorrected) -> None:
    """Correct a subscriber's address and names; null: unchanged."""
    parameters = {
        **agent._asdict(),
        "address": corrected.email,
        "given_name": corrected.given_name,
        "family_name": corrected.family_name,
    }
    await tx.execute(_CORRECT, parameters)


def _columns(agent: AgentKey | None) -> dict[str, str | None]:
    return {"issuer": None, "agent_id": None} if agent is None else agent._asdict()


async def merge(tx: Transaction, other: UUID, subscriber_id: UUID) -> None:
    """Let one subscriber follow what the other does, and forget the other, whose links lead to the first."""
    for statement in (_TAKE_OVER, _REDIRECT):
        await tx.execute(statement, {"subscriber_id": subscriber_id, "other": other})
    await tx.execute(insert(FormerSubscriberRow).values(subscriber_id=other, merged_into=subscriber_id))
    await forget(tx, other)


async def merged_into(tx: Transaction, subscriber_id: UUID) -> UUID | None:
    """The subscriber that this one was merged into, if it was."""
    row = await tx.get(FormerSubscriberRow, subscriber_id)
    return None if row is None else row.merged_into


async def forget(tx: Transaction, subscriber_id: UUID) -> None:
    """Delete a subscriber and all that they follow."""
    await tx.execute(delete(SubscriberRow).where(col(SubscriberRow.subscriber_id) == subscriber_id))


async def add(tx: Transaction, subscriber_id: UUID, interests: Collection[str]) -> None:
    """Let a subscriber follow these too."""
    await tx.execute(_ADD, {"subscriber_id": subscriber_id, "interests": list(interests)})


async def remove(tx: Transaction, subscriber_id: UUID, interests: Collection[str] | None) -> None:
    """Let a subscriber follow these no more; None: anything."""
    removed = delete(SubscriptionRow).where(col(SubscriptionRow.subscriber_id) == subscriber_id)
    if interests is not None:
        removed = removed.where(col(SubscriptionRow.interest).in_(interests))
    await tx.execute(removed)


async def interests(tx: Transaction, subscriber_id: UUID) -> frozenset[str]:
    """What a subscriber follows, or the one that they were merged into."""
    return frozenset((await tx.execute(_INTERESTS, {"subscriber_id": subscriber_id})).scalars())


async def followed(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, tuple[Interest, ...]]:
    """What these follow now; who follows nothing, or is not known any more, is left out."""
    rows = await tx.execute(_FOLLOWED, {"ids": list(ids)})
    return {row.subscriber_id: tuple(map(Interest.parse, row.interests)) for row in rows}


async def add_request(tx: Transaction, request_id: UUID, address: str, interests: Sequence[str]) -> None:
    """Keep a request until the owner of the address confirms it."""
    await tx.execute(
        insert(SubscriptionRequestRow).values(
            request_id=request_id, address=address, interests=list(interests)
        )
    )


async def find_request(tx: Transaction, request_id: UUID) -> SubscriptionRequestRow | None:
    """A request, None when it is not known (any more)."""
    return await tx.get(SubscriptionRequestRow, request_id)


async def confirm_request(tx: Transaction, request_id: UUID) -> tuple[str, list[str]] | None:
    """Confirm a request. Returns its address and interests; None if it is not known, or confirmed already."""
    row = (await tx.execute(_CONFIRM, {"request_id": request_id})).one_or_none()
    return None if row is None else (row.address, row.interests)


async def confirmed_by(tx: Transaction, request_id: UUID) -> UUID | None:
    """The subscriber who has the address of a request."""
    found: UUID | None = await tx.scalar(_CONFIRMED_BY, {"request_id": request_id})
    return found


async def drop_news(tx: Transaction, subscriber_id: UUID) -> None:
    """Do not send the news that was on its way to a subscriber."""
    await tx.execute(_DROP_NEWS, {"subscriber_id": str(subscriber_id)})


_LOCK = text("SELECT pg_advisory_xact_lock(7_370_627)")  # "pub"
_BY_AGENT = text(
    "SELECT subscriber_id FROM subscriber WHERE (issuer, agent_id) = (:issuer, :agent_id) "
    "OR (agent_id IS NULL AND lower(address) = lower(:address)) ORDER BY agent_id NULLS LAST LIMIT 1"
)
# Of an agent: theirs, then who is known by the address alone. Without one: all of the address, agents first.
_FIND = text(
    "SELECT subscriber_id FROM subscriber "
    "WHERE (issuer, agent_id) = (CAST(:issuer AS varchar), CAST(:agent_id AS varchar)) "
    "OR lower(address) = lower(:address) AND (agent_id IS NULL OR CAST(:agent_id AS varchar) IS NULL) "
    "ORDER BY agent_id NULLS LAST, issuer"
)
_SAVE = text(
    "INSERT INTO subscriber (subscriber_id, issuer, agent_id, address, given_name, family_name) "
    "VALUES (:subscriber_id, CAST(:issuer AS varchar), CAST(:agent_id AS varchar), :address, :given_name, "
    ":family_name) ON CONFLICT (subscriber_id) DO UPDATE SET "
    "issuer = coalesce(excluded.issuer, subscriber.issuer), "
    "agent_id = coalesce(excluded.agent_id, subscriber.agent_id), "
    "address = excluded.address, "
    "given_name = coalesce(nullif(excluded.given_name, ''), subscriber.given_name), "
    "family_name = coalesce(nullif(excluded.family_name, ''), subscriber.family_name)"
)
_TAKE_OVER = text(
    "INSERT INTO subscription (subscriber_id, interest, since) "
    "SELECT :subscriber_id, interest, since FROM subscription WHERE subscriber_id = :other "
    "ON CONFLICT DO NOTHING"
)
_REDIRECT = text("UPDATE former_subscriber SET merged_into = :subscriber_id WHERE merged_into = :other")
_ADD = text(
    "INSERT INTO subscription (subscriber_id, interest) "
    "SELECT :subscriber_id, interest FROM unnest(CAST(:interests AS varchar[])) AS interest "
    "ON CONFLICT DO NOTHING"
)
_INTERESTS = text(
    "SELECT interest FROM subscription WHERE subscriber_id = coalesce("
    "(SELECT merged_into FROM former_subscriber WHERE subscriber_id = :subscriber_id), :subscriber_id)"
)
_FOLLOWED = text(
    "SELECT reader.subscriber_id, array_agg(interest) AS interests "
    "FROM unnest(CAST(:ids AS uuid[])) AS reader (subscriber_id) "
    "LEFT JOIN former_subscriber AS former ON former.subscriber_id = reader.subscriber_id "
    "JOIN subscription ON subscription.subscriber_id = coalesce(former.merged_into, reader.subscriber_id) "
    "GROUP BY reader.subscriber_id"
)
_CONFIRM = text(
    "UPDATE subscription_request SET confirmed_at = now() "
    "WHERE request_id = :request_id AND confirmed_at IS NULL RETURNING address, interests"
)
_CONFIRMED_BY = text(
    "SELECT subscriber_id FROM subscription_request AS request JOIN subscriber "
    "ON lower(subscriber.address) = lower(request.address) "
    "WHERE request_id = :request_id ORDER BY agent_id NULLS LAST, issuer LIMIT 1"
)
_DROP_NEWS = text(
    "UPDATE mail SET state = 'superseded', settled_at = now(), smtp_answer = 'unsubscribed' "
    "WHERE template = 'news' AND details ->> 'subscriber' = :subscriber_id AND state IN ('pending', 'retry') "
    "AND (issuer, recipient) = (SELECT coalesce(issuer, ''), "
    "coalesce(agent_id, 'abonnement-' || subscriber_id) FROM subscriber "
    "WHERE subscriber_id = CAST(:subscriber_id AS uuid))"
)
_CORRECT = text(
    "UPDATE subscriber SET address = coalesce(:address, address), "
    "given_name = coalesce(:given_name, given_name), family_name = coalesce(:family_name, family_name) "
    "WHERE issuer = :issuer AND agent_id = :agent_id"
)

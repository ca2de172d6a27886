"""Who wants news of what, and the double opt-in of those whom no portal vouches for.

Writes are rare and take turns under one lock: a person may come by agent and by address at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import text

from services.notifier.letters import Interest, InterestKind, Letter, Template
from services.notifier.store.queueing import Addressee, queue_letter
from shared.database import Transaction
from shared.events.portal import SubscriptionChanged

MOST_REQUESTS = 3
"""Letters that one address can be made to get in a day by typing it into our page."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What a subscriber follows, as it is stored."""

    subscriber_id: UUID
    interests: frozenset[str]


async def change(tx: Transaction, changed: SubscriptionChanged) -> None:
    """Do what a portal says that its agent wants. Ending without naming anything ends everything."""
    named = [
        str(Interest(kind, value))
        for kind, value in (
            (InterestKind.THEME, changed.theme),
            (InterestKind.DELEGATION, changed.delegation),
            (InterestKind.COMMUNITY, changed.community),
        )
        if value is not None
    ]
    await _take_turns(tx)
    if changed.subscribed:
        if named:
            subscriber_id = await _subscriber(
                tx,
                changed.agent_id,
                changed.email,
                (changed.given_name or "", changed.family_name or ""),
            )
            await tx.execute(_ADD, {"subscriber_id": subscriber_id, "interests": named})
        return
    found = await tx.scalar(_BY_AGENT, {"agent_id": changed.agent_id, "address": changed.email})
    if found is not None:
        await tx.execute(_REMOVE, {"subscriber_id": found, "interests": named or None})
        await _forget_if_nothing_is_left(tx, found)


async def of(tx: Transaction, subscriber_id: UUID) -> Subscribed | None:
    """What somebody follows; None for who follows nothing."""
    found = (await tx.execute(_OF, {"subscriber_id": subscriber_id})).scalars().all()
    return Subscribed(subscriber_id, frozenset(found)) if found else None


async def followed(tx: Transaction, ids: Collection[UUID]) -> dict[UUID, tuple[Interest, ...]]:
    """What these follow now; who follows nothing, or is not known any more, is left out."""
    rows = await tx.execute(_FOLLOWED, {"ids": list(ids)})
    return {row.subscriber_id: tuple(map(Interest.parse, row.interests)) for row in rows}


async def choose(tx: Transaction, subscriber_id: UUID, interests: Collection[str]) -> Subscribed | None:
    """Let a subscriber follow exactly these. None when nothing is left, or they were none."""
    await _take_turns(tx)
    subscriber_id = await tx.scalar(_BECAME, {"subscriber_id": subscriber_id}) or subscriber_id
    if await of(tx, subscriber_id) is None:
        return None
    await tx.execute(_REMOVE, {"subscriber_id": subscriber_id, "interests": None})
    await tx.execute(_ADD, {"subscriber_id": subscriber_id, "interests": sorted(interests)})
    await _forget_if_nothing_is_left(tx, subscriber_id)
    return await of(tx, subscriber_id)


async def communities(tx: Transaction) -> dict[str, str]:
    """The communities that the catalogue has told of: the interest of each, as it is written, and its title.

    A community is followed by the first of its themes, which it has the name of (`letters.news_of`).
    """
    return {row.interest: row.title for row in await tx.execute(_COMMUNITIES)}


async def ask(tx: Transaction, address: str, interests: Sequence[str], titles: Sequence[str]) -> bool:
    """Send a letter to the address, to ask whether its owner wants this. Whether one goes out.

    ``titles`` are those of the interests, as the letter names them.
    An address that was asked often enough today is left alone, whoever types it.
    """
    await _take_turns(tx)
    if int(await tx.scalar(_ASKED_TODAY, {"address": address}) or 0) >= MOST_REQUESTS:
        return False
    request_id = uuid4()
    await tx.execute(_ASK, {"request_id": request_id, "address": address, "interests": list(interests)})
    letter = Letter(
        Template.CONFIRM_SUBSCRIPTION,
        {"request": str(request_id), "interests": list(interests), "titles": list(titles)},
        needs_session=False,
    )
    await queue_letter(tx, request_id, letter, Addressee(f"abonnement-{request_id}", address, "", ""))
    return True


async def asked(tx: Transaction, request_id: UUID) -> frozenset[str] | None:
    """What was asked for, None when it is not known (any more)."""
    found = await tx.scalar(_ASKED, {"request_id": request_id})
    return frozenset(found) if found is not None else None


async def confirm(tx: Transaction, request_id: UUID) -> Subscribed | None:
    """The owner of the address wants it. None when it is not known (any more), or has ended since.

    Twice is once: what was confirmed before adds nothing, or a link would undo what its reader ended later.
    """
    await _take_turns(tx)
    request = (await tx.execute(_CONFIRM, {"request_id": request_id})).one_or_none()
    if request is None:
        found = await tx.scalar(_CONFIRMED_BY, {"request_id": request_id})
        return None if found is None else await of(tx, found)
    subscriber_id = await _subscriber(tx, None, request.address, ("", ""))
    await tx.execute(_ADD, {"subscriber_id": subscriber_id, "interests": request.interests})
    return await of(tx, subscriber_id)


async def purge(tx: Transaction) -> int:
    """Forget addresses that somebody typed and nobody confirmed. Returns how many went."""
    return (await tx.execute(_PURGE)).rowcount


async def _take_turns(tx: Transaction) -> None:
    await tx.execute(text("SELECT pg_advisory_xact_lock(7_370_627)"))  # "pub"


async def _subscriber(tx: Transaction, agent_id: str | None, address: str, name: tuple[str, str]) -> UUID:
    """The one subscriber of this agent, or of this address; who was known by address alone becomes the agent.

    Links in letters to the one that is no more lead to the other. Several agents may have one address.
    """
    given_name, family_name = name
    who = {"agent_id": agent_id, "address": address, "given_name": given_name, "family_name": family_name}
    found: list[UUID] = list((await tx.execute(_FIND, who)).scalars())
    subscriber_id = found[0] if found else uuid4()
    for other in found[1:] if agent_id is not None else ():
        await tx.execute(_TAKE_OVER, {"subscriber_id": subscriber_id, "other": other})
        await tx.execute(_LEAD_ON, {"subscriber_id": subscriber_id, "other": other})
        await tx.execute(_LEAVE_A_TRACE, {"subscriber_id": subscriber_id, "other": other})
        await tx.execute(_FORGET, {"subscriber_id": other})
    await tx.execute(_KEEP, who | {"subscriber_id": subscriber_id})
    return subscriber_id


async def _forget_if_nothing_is_left(tx: Transaction, subscriber_id: UUID) -> None:
    """Who follows nothing is not kept, and gets nothing that was still on its way."""
    if await of(tx, subscriber_id) is None:
        await tx.execute(_DROP_NEWS, {"subscriber_id": str(subscriber_id)})
        await tx.execute(_FORGET, {"subscriber_id": subscriber_id})


_BY_AGENT = text(
    "SELECT subscriber_id FROM subscriber "
    "WHERE agent_id = :agent_id OR (agent_id IS NULL AND lower(address) = lower(:address)) "
    "ORDER BY agent_id = :agent_id DESC NULLS LAST LIMIT 1"
)
_FIND = text(
    "SELECT subscriber_id FROM subscriber "
    "WHERE agent_id = CAST(:agent_id AS varchar) OR lower(address) = lower(:address) "
    "AND (agent_id IS NULL OR CAST(:agent_id AS varchar) IS NULL) "
    "ORDER BY agent_id = CAST(:agent_id AS varchar) DESC NULLS LAST, agent_id NULLS LAST"
)
_KEEP = text(
    "INSERT INTO subscriber (subscriber_id, agent_id, address, given_name, family_name) "
    "VALUES (:subscriber_id, CAST(:agent_id AS varchar), :address, :given_name, :family_name) "
    "ON CONFLICT (subscriber_id) DO UPDATE SET agent_id = coalesce(excluded.agent_id, subscriber.agent_id), "
    "address = excluded.address, "
    "given_name = coalesce(nullif(excluded.given_name, ''), subscriber.given_name), "
    "family_name = coalesce(nullif(excluded.family_name, ''), subscriber.family_name)"
)
_TAKE_OVER = text(
    "INSERT INTO subscription (subscriber_id, interest, since) "
    "SELECT :subscriber_id, interest, since FROM subscription WHERE subscriber_id = :other "
    "ON CONFLICT DO NOTHING"
)
_LEAD_ON = text("UPDATE former_subscriber SET merged_into = :subscriber_id WHERE merged_into = :other")
_LEAVE_A_TRACE = text(
    "INSERT INTO former_subscriber (subscriber_id, merged_into) VALUES (:other, :subscriber_id)"
)
_BECAME = text("SELECT merged_into FROM former_subscriber WHERE subscriber_id = :subscriber_id")
_FORGET = text("DELETE FROM subscriber WHERE subscriber_id = :subscriber_id")
_ADD = text(
    "INSERT INTO subscription (subscriber_id, interest) "
    "SELECT :subscriber_id, interest FROM unnest(CAST(:interests AS varchar[])) AS interest "
    "ON CONFLICT DO NOTHING"
)
_REMOVE = text(
    "DELETE FROM subscription WHERE subscriber_id = :subscriber_id "
    "AND (CAST(:interests AS varchar[]) IS NULL OR interest = ANY(CAST(:interests AS varchar[])))"
)
_OF = text(
    "SELECT interest FROM subscription WHERE subscriber_id = coalesce("
    "(SELECT merged_into FROM former_subscriber WHERE subscriber_id = :subscriber_id), :subscriber_id)"
)
_FOLLOWED = text(
    "SELECT asked.subscriber_id, array_agg(interest) AS interests "
    "FROM unnest(CAST(:ids AS uuid[])) AS asked (subscriber_id) "
    "LEFT JOIN former_subscriber AS former ON former.subscriber_id = asked.subscriber_id "
    "JOIN subscription ON subscription.subscriber_id = coalesce(former.merged_into, asked.subscriber_id) "
    "GROUP BY asked.subscriber_id"
)
_COMMUNITIES = text(
    "SELECT DISTINCT ON (interest) interest, title FROM news CROSS JOIN LATERAL ("
    "SELECT interest FROM unnest(interests) WITH ORDINALITY AS one (interest, place) "
    "WHERE interest LIKE 'community:%' ORDER BY place LIMIT 1) AS named "
    "WHERE kind = 'community' ORDER BY interest, published_at, item_id"
)
_ASKED_TODAY = text(
    "SELECT count(*) FROM subscription_request "
    "WHERE lower(address) = lower(:address) AND requested_at > now() - interval '1 day'"
)
_ASK = text(
    "INSERT INTO subscription_request (request_id, address, interests) "
    "VALUES (:request_id, :address, :interests)"
)
_ASKED = text("SELECT interests FROM subscription_request WHERE request_id = :request_id")
_CONFIRM = text(
    "UPDATE subscription_request SET confirmed_at = now() "
    "WHERE request_id = :request_id AND confirmed_at IS NULL RETURNING address, interests"
)
_CONFIRMED_BY = text(
    "SELECT subscriber_id FROM subscription_request AS request JOIN subscriber "
    "ON lower(subscriber.address) = lower(request.address) "
    "WHERE request_id = :request_id ORDER BY agent_id NULLS LAST LIMIT 1"
)
_PURGE = text("DELETE FROM subscription_request WHERE requested_at < now() - interval '3 days'")
_DROP_NEWS = text(
    "UPDATE mail SET state = 'superseded', settled_at = now(), smtp_answer = 'unsubscribed' "
    "WHERE template = 'news' AND facts ->> 'subscriber' = :subscriber_id AND state IN ('pending', 'retry') "
    "AND recipient = (SELECT coalesce(agent_id, 'abonnement-' || subscriber_id) FROM subscriber "
    "WHERE subscriber_id = CAST(:subscriber_id AS uuid))"
)

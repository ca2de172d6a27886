"""Subscribers and their interests, and the double opt-in on our page.

A subscriber is an agent named by a portal, or the owner of an address, who confirmed it. A portal cannot
prove its agents' addresses, so its events never change an owner's subscriptions. The owner's letters and
links are about the whole mailbox (docs/adr/0040).

One lock serialises all changes.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from prometheus_client import Counter

from services.notifier.letters import Interest, InterestKind, Letter, LetterType
from services.notifier.letters.addresses import folded
from services.notifier.render.interests import offered
from services.notifier.service.corrections import still_right
from services.notifier.service.failures import NoLetterSent
from services.notifier.store import corrections, enrolments, news, queue, sessions, subscriptions
from services.notifier.store.corrections import keep_former_address
from services.notifier.store.queue import Addressee
from shared import clock, limits
from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.corrections import Correction, changes
from shared.events.portal import AgentCorrected, SubscriptionChanged
from shared.events.topics import Topic
from shared.events.vocabulary import AgentKey
from shared.rates import Rate

PER_MAILBOX = Rate(1, 86_400)
"""The most letters a day that an address typed into our page can cause [choice]."""

AGENTS_OF_AN_ADDRESS = 50
"""The most subscribed agents of one issuer with one address [choice]."""
NOT_KEPT = Counter(
    "parcours_subscriptions_not_kept_total",
    "Subscriptions of agents with an address that as many of their issuer have as may.",
    ["issuer"],
)


@dataclass(frozen=True, slots=True)
class Subscriber:
    subscriber_id: UUID
    address: str
    interests: frozenset[str]


async def process(
    tx: Transaction, received: Sequence[Received[SubscriptionChanged | AgentCorrected]]
) -> None:
    """An event read late is corrected by newer corrections, and undoes no newer wish."""
    if not received:
        return
    await subscriptions.lock(tx)
    agents_and_moments = [(_agent_of(record), record.received_at) for record in received]
    newer = await corrections.newer(tx, Topic.PORTAL_AGENTS, agents_and_moments)
    for record, (agent, moment) in zip(received, agents_and_moments, strict=True):
        if isinstance(record.event, SubscriptionChanged):
            as_stated_last = record.event.model_copy(update=dict(newer.since(agent, moment)))
            await _change(tx, as_stated_last, agent, moment)
        else:
            await _correct(tx, still_right(record.event, agent, moment, newer), agent, moment)
    details = [
        Correction(agent, moment, changes(record.event))
        for record, (agent, moment) in zip(received, agents_and_moments, strict=True)
        if isinstance(record.event, AgentCorrected) or record.event.subscribed
    ]
    await corrections.keep(tx, Topic.PORTAL_AGENTS, details)


def _agent_of(record: Received[SubscriptionChanged | AgentCorrected]) -> AgentKey:
    if isinstance(record.event, AgentCorrected):
        return record.event.agent_of(record.issuer)
    return AgentKey(record.issuer, record.event.agent_id)


async def _change(tx: Transaction, changed: SubscriptionChanged, agent: AgentKey, moment: datetime) -> None:
    """An end without an interest ends all subscriptions."""
    named = _named(changed)
    if not changed.subscribed:
        await subscriptions.keep_ended(tx, agent, named or [subscriptions.EVERYTHING], moment)
        await _end(tx, agent, named or None, moment)
        return
    ended = await subscriptions.ended_since(tx, agent, moment)
    wanted = (
        [] if subscriptions.EVERYTHING in ended else [interest for interest in named if interest not in ended]
    )
    if not wanted and await subscriptions.find_agent(tx, agent) is None:
        return
    await keep_former_address(tx, agent, changed.email, moment)
    if await _has_room(tx, agent, changed.email, moment):
        name = changed.given_name or "", changed.family_name or ""
        subscriber_id = await subscriptions.save_agent(tx, agent, changed.email, name)
        await subscriptions.add(tx, subscriber_id, wanted, moment)


def _named(changed: SubscriptionChanged) -> list[str]:
    named = [
        str(Interest(kind, value))
        for kind, value in (
            (InterestKind.THEME, changed.theme),
            (InterestKind.DELEGATION, None if changed.offer else changed.delegation),
            (InterestKind.COMMUNITY, changed.community),
        )
        if value is not None
    ]
    if changed.offer is not None:
        named.append(str(Interest.of_offer(changed.offer, changed.delegation)))
    return named


async def _correct(tx: Transaction, corrected: AgentCorrected, agent: AgentKey, moment: datetime) -> None:
    """If too many agents of the issuer have the new address, the subscriptions end."""
    await keep_former_address(tx, agent, corrected.email, moment)
    if await subscriptions.find_agent(tx, agent) is None:
        return
    if corrected.email is None or await _has_room(tx, agent, corrected.email, moment):
        await subscriptions.correct(tx, agent, corrected)


async def _has_room(tx: Transaction, agent: AgentKey, address: str, moment: datetime) -> bool:
    """Return whether the agent may subscribe with this address. If not, end all subscriptions.

    The former address is no longer the agent's, so it gets no letter.
    """
    if await subscriptions.has_room(tx, agent, address, most=AGENTS_OF_AN_ADDRESS):
        return True
    tx.count(NOT_KEPT.labels(agent.issuer))
    found = await subscriptions.find_agent(tx, agent)
    if found is not None:
        await subscriptions.keep_ended(tx, agent, [subscriptions.EVERYTHING], moment)
        await subscriptions.remove(tx, [found], None)
        await subscriptions.forget_who_follows_nothing(tx, [found])
    return False


async def _end(tx: Transaction, agent: AgentKey, interests: Collection[str] | None, moment: datetime) -> None:
    """End subscriptions (None: all) that were requested by ``moment``. Forget a subscriber without any."""
    found = await subscriptions.find_agent(tx, agent)
    if found is not None:
        older = await subscriptions.asked_for_by(tx, found, moment)
        await subscriptions.remove(tx, [found], older if interests is None else older.intersection(interests))
        await subscriptions.forget_who_follows_nothing(tx, [found])


async def find(tx: Transaction, subscriber_id: UUID) -> Subscriber | None:
    """Return None if the subscriber follows nothing."""
    interests = (await subscriptions.followed(tx, [subscriber_id])).get(subscriber_id)
    address = await subscriptions.address_of(tx, subscriber_id)
    if not interests or address is None:
        return None
    return Subscriber(subscriber_id, address, frozenset(map(str, interests)))


async def of_enrolment(
    tx: Transaction, enrolment_id: UUID, written_to: Callable[[str], bool]
) -> tuple[bool, Subscriber | None]:
    """Return whether the link opens anything, and the subscriber with that address.

    ``written_to`` tells whether the link was sent to an address. The owner of the address comes before the
    agent.
    """
    found = await enrolments.agent_and_address(tx, enrolment_id)
    if found is None or not written_to(found[1]):
        return False, None
    agent, address = found
    for subscriber_id in (
        await subscriptions.find_owner(tx, address),
        await subscriptions.find_agent(tx, agent),
    ):
        subscriber = None if subscriber_id is None else await find(tx, subscriber_id)
        if subscriber is not None and written_to(subscriber.address):
            return True, subscriber
    return True, None


async def choose(tx: Transaction, subscriber_id: UUID, wanted: Collection[str]) -> Subscriber | None:
    """Return None if there are no interests after, or were none before.

    Interests named by portals may be kept, but not added. An owner chooses for the whole mailbox.
    """
    await subscriptions.lock(tx)
    before = await find(tx, subscriber_id)
    if before is None:
        return None
    chosen = (offered(await names(tx, before.interests)) | before.interests).intersection(wanted)
    mailbox = await subscriptions.mailbox(tx, subscriber_id)
    now = clock.now()
    await subscriptions.keep_all_ended(tx, mailbox, now)
    await subscriptions.remove(tx, mailbox, before.interests - chosen)
    await subscriptions.add(tx, subscriber_id, sorted(chosen), now)
    await subscriptions.forget_who_follows_nothing(tx, mailbox)
    return await find(tx, subscriber_id)


async def names(tx: Transaction, among: Iterable[str]) -> dict[str, str]:
    offer_ids = {offer_id for interest in among if (offer_id := Interest.parse(interest).offer_id)}
    offers = await sessions.offer_titles(tx, offer_ids)
    named = {str(Interest.of_offer(offer_id)): title for offer_id, title in offers.items()}
    return await news.communities(tx) | named


Digest = Callable[[str, str], bytes]


async def request(
    tx: Transaction, address: str, interests: Sequence[str], titles: Sequence[str], digest: Digest
) -> None:
    """A mailbox gets one such letter a day. Raises ``NoLetterSent``."""
    if not await limits.take(tx, digest("mailbox", folded(address)), PER_MAILBOX):
        raise NoLetterSent
    request_id = uuid4()
    await subscriptions.add_request(tx, request_id, address, interests)
    letter = Letter(
        LetterType.CONFIRM_SUBSCRIPTION,
        {"request": str(request_id), "interests": list(interests), "titles": list(titles)},
        needs_session=False,
    )
    await queue.add_letter(tx, request_id, letter, Addressee(f"abonnement-{request_id}", address, "", ""))


async def requested(tx: Transaction, request_id: UUID) -> frozenset[str] | None:
    """Return None if the request is unknown."""
    row = await subscriptions.find_request(tx, request_id)
    return frozenset(row.interests) if row is not None else None


async def confirm(tx: Transaction, request_id: UUID) -> Subscriber | None:
    """Return None if the request is unknown, or if its subscription has ended.

    A second confirmation adds nothing: otherwise the link would undo a later end.
    """
    await subscriptions.lock(tx)
    address_and_interests = await subscriptions.confirm_request(tx, request_id)
    if address_and_interests is None:
        found = await subscriptions.confirmed_by(tx, request_id)
        return None if found is None else await find(tx, found)
    address, interests = address_and_interests
    subscriber_id = await subscriptions.save_owner(tx, address)
    await subscriptions.add(tx, subscriber_id, interests, clock.now())
    return await find(tx, subscriber_id)

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from services.notifier.letters import Interest, InterestKind
from shared.events.vocabulary import Delegation
from shared.web import labels

OFFERED: tuple[Interest, ...] = (
    *(Interest(InterestKind.THEME, theme) for theme in labels.THEMES),
    *(Interest(InterestKind.DELEGATION, delegation.value) for delegation in Delegation),
    *(Interest.of_offer(offer) for offer in labels.OFFERS),
)
"""The interests that our page always offers, beside the interests known from events."""
Names = Mapping[str, str]
NO_NAMES: Names = MappingProxyType({})


def listed(names: Names = NO_NAMES, offer_id: str = "") -> tuple[Interest, ...]:
    named = map(Interest.parse, names)
    offers = (interest for interest in named if interest.offer_id and interest not in OFFERED)
    found = (*OFFERED, *offers)
    delegations = Delegation if Interest.of_offer(offer_id) in found else ()
    return (*found, *(Interest.of_offer(offer_id, delegation.value) for delegation in delegations))


def offered(names: Names = NO_NAMES, offer_id: str = "") -> frozenset[str]:
    return frozenset(map(str, listed(names, offer_id))) | names.keys()


def title(interest: Interest, names: Names = NO_NAMES) -> str:
    label = labels.THEMES.get(interest.value) or interest.value.replace("-", " ").capitalize()
    match interest.kind:
        case InterestKind.THEME:
            return label
        case InterestKind.COMMUNITY:
            return names.get(str(interest)) or labels.FOLLOWED["community"].format(label)
        case InterestKind.OFFER:
            return _sessions_of(interest.value, names)
        case InterestKind.DELEGATION:
            if interest.value not in labels.ORGANISERS:
                return labels.FOLLOWED["other_events"].format(label)
            return labels.FOLLOWED["events"].format(labels.organiser(interest.value))


def _sessions_of(value: str, names: Names) -> str:
    offer_id, _, delegation = value.partition("/")
    offer = labels.OFFERS.get(offer_id) or names.get(str(Interest.of_offer(offer_id)))
    offer = offer or offer_id.replace("-", " ").capitalize()
    opening = labels.FOLLOWED["opening"].format(offer)
    return f"{opening}, {labels.organiser(delegation)}" if delegation else opening


def titles(interests: Iterable[str], names: Names = NO_NAMES) -> list[str]:
    order = {interest: place for place, interest in enumerate(OFFERED)}
    found = sorted(
        map(Interest.parse, interests), key=lambda interest: (order.get(interest, len(order)), interest)
    )
    return [title(interest, names) for interest in found]

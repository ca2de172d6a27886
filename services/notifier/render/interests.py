"""What subscribers may follow, as pages and letters name it."""

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
"""What our page offers, beside the communities that the catalogue has published. Portals may name more."""


def of_delegations(offer_id: str) -> tuple[Interest, ...]:
    """The sessions of an offer of each delegation, which our page offers where it is asked for the offer."""
    known = Delegation if offer_id in labels.OFFERS else ()
    return tuple(Interest.of_offer(offer_id, delegation.value) for delegation in known)


Names = Mapping[str, str]
"""Titles of communities by their interests as they are written, since only events know them."""
NO_NAMES: Names = MappingProxyType({})


def title(interest: Interest, names: Names = NO_NAMES) -> str:
    """An interest as its reader knows it."""
    label = labels.THEMES.get(interest.value) or interest.value.replace("-", " ").capitalize()
    match interest.kind:
        case InterestKind.THEME:
            return label
        case InterestKind.COMMUNITY:
            return names.get(str(interest)) or labels.FOLLOWED["community"].format(label)
        case InterestKind.OFFER:
            return _sessions_of(interest.value)
        case InterestKind.DELEGATION:
            if interest.value not in labels.ORGANISERS:
                return labels.FOLLOWED["other_events"].format(label)
            return labels.FOLLOWED["events"].format(labels.organiser(interest.value))


def _sessions_of(value: str) -> str:
    offer_id, _, delegation = value.partition("/")
    offer = labels.OFFERS.get(offer_id) or offer_id.replace("-", " ").capitalize()
    opening = labels.FOLLOWED["opening"].format(offer)
    return f"{opening}, {labels.organiser(delegation)}" if delegation else opening


def titles(interests: Iterable[str], names: Names = NO_NAMES) -> list[str]:
    """The titles of interests as they are stored, in the order of the page."""
    order = {interest: place for place, interest in enumerate(OFFERED)}
    found = sorted(
        map(Interest.parse, interests), key=lambda interest: (order.get(interest, len(order)), interest)
    )
    return [title(interest, names) for interest in found]

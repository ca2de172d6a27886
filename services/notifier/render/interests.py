"""What subscribers may follow, as pages and letters name it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from services.notifier.letters import Interest, InterestKind
from shared.events.vocabulary import Delegation
from shared.web import labels

OFFERED: tuple[Interest, ...] = (
    *(Interest(InterestKind.THEME, theme) for theme in labels.THEMES),
    *(Interest(InterestKind.DELEGATION, delegation.value) for delegation in Delegation),
)
"""What our page offers, beside the communities that the catalogue has published. Portals may name more."""

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
            return names.get(str(interest)) or f"E-communauté «\u00a0{label}\u00a0»"
        case InterestKind.DELEGATION:
            name = labels.organiser(interest.value)
            return f"Événements de {name}" if name != "le CNFPT" else f"Événements du CNFPT ({label})"


def titles(interests: Iterable[str], names: Names = NO_NAMES) -> list[str]:
    """The titles of interests as they are stored, in the order of the page."""
    order = {interest: place for place, interest in enumerate(OFFERED)}
    found = sorted(
        map(Interest.parse, interests), key=lambda interest: (order.get(interest, len(order)), interest)
    )
    return [title(interest, names) for interest in found]

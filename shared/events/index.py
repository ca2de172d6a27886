"""All events, by type and by topic."""

from shared.events import catalogue, enrolment, erasure, notifier, outcomes, portal
from shared.events.topics import Topic
from shared.events.vocabulary import Event

EVENTS: tuple[type[Event], ...] = (
    *portal.EVENTS,
    *catalogue.EVENTS,
    *enrolment.EVENTS,
    *outcomes.EVENTS,
    *notifier.EVENTS,
    *erasure.EVENTS,
)

ANSWERS: tuple[type[Event], ...] = (
    *enrolment.DECISIONS,
    enrolment.SessionChangedForAgent,
    *outcomes.EVENTS,
    catalogue.BespokeRequestAnswered,
)

BY_TYPE: dict[str, type[Event]] = {event.TYPE: event for event in EVENTS}


def events_on(topic: Topic) -> tuple[type[Event], ...]:
    """Return the events that a topic carries."""
    if topic is Topic.PORTAL_ANSWERS:
        return ANSWERS
    return tuple(event for event in EVENTS if event.TOPIC is topic)

"""The contracts: every event of the system, one module per publisher.

These classes are documents that other programs rely on. A v1 field is never removed or retyped, a new
one has a default; ``python -m services.contracts check`` says so when one is.
"""

from shared.events import catalogue, enrolment, notifier, portal
from shared.events.vocabulary import Event

EVENTS: tuple[type[Event], ...] = (*portal.EVENTS, *catalogue.EVENTS, *enrolment.EVENTS, *notifier.EVENTS)
"""Every event, in the order of the flow."""

BY_TYPE: dict[str, type[Event]] = {event.TYPE: event for event in EVENTS}
"""The registry: CloudEvents type to contract."""

__all__ = ["BY_TYPE", "EVENTS", "Event"]

"""The way of one request over all services: received, decided, published, heard, queued and sent, when.

By the id of a request (its ``ce_id``), of an enrolment, a session or a mail, or by the reference in a letter.
Names, addresses and identifiers of people are left out, unless they are asked for.
"""

from datetime import datetime

from services.console.asking import ConsoleSettings
from services.console.broker import LATE
from services.console.findings import Finding, Mark
from services.console.trace.mails import add_mails
from services.console.trace.mechanisms import add_mechanisms
from services.console.trace.requests import add_acceptance, add_requests
from services.console.trace.sessions import add_sessions
from services.console.trace.topics import add_topics
from services.console.trace.way import TraceOptions, Way
from shared import clock

__all__ = ["TraceOptions", "trace"]


async def trace(settings: ConsoleSettings, identifier: str, options: TraceOptions) -> list[Finding]:
    """Return the steps in the order of time, then whoever could not be asked."""
    way = Way(identifier)
    if way.known_id is not None:
        way.event_ids.add(way.known_id)
    await add_requests(settings, way, options)
    await add_acceptance(settings, way)
    await add_sessions(settings, way)
    await add_mechanisms(settings, way)
    await add_mails(settings, way, options)
    await add_topics(settings, way, options)
    is_taken_in = any(step.what not in ("accepted", "record") for step in way.steps)
    if way.accepted_at is not None and not is_taken_in and clock.now() - way.accepted_at > LATE:
        remedy = "parcours status, parcours lag"
        way.steps.append(Finding("all", "not taken in", Mark.ACT, "no service has it from its topic", remedy))
    if not way.steps:
        found = f"nothing is known of {identifier}"
        remedy = "is it the id of a request, an enrolment, a session or a mail, or the reference of a letter?"
        way.steps.append(Finding("all", "trace", Mark.ACT, found, remedy))
    in_time = sorted(way.steps, key=_place_in_time)
    return [*in_time, *way.could_not]


def _place_in_time(step: Finding) -> tuple[bool, datetime, bool]:
    """Put a record before what was made of it in the same millisecond, and what has no time at the end."""
    return step.at is None, step.at or clock.now(), step.about != "kafka"

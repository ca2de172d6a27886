"""The way of one request through all services: received, decided, published, read, queued, sent.

The id is that of a request, an enrolment, a session or a mail, or a letter's reference. Names, addresses and
identifiers of people are left out unless asked for.
"""

from datetime import datetime

from services.console.asking import ConsoleSettings
from services.console.findings import Finding, Mark
from services.console.trace.mails import add_mails
from services.console.trace.mechanisms import add_mechanisms
from services.console.trace.request_trace import RequestTrace, TraceOptions
from services.console.trace.requests import add_acceptance, add_requests
from services.console.trace.sessions import add_sessions
from services.console.trace.topics import add_topics
from shared import clock
from shared.messaging.lag import LATE

__all__ = ["TraceOptions", "trace"]


async def trace(settings: ConsoleSettings, identifier: str, options: TraceOptions) -> list[Finding]:
    traced = RequestTrace(identifier)
    if traced.known_id is not None:
        traced.event_ids.add(traced.known_id)
    await add_requests(settings, traced, options)
    await add_acceptance(settings, traced)
    await add_sessions(settings, traced)
    await add_mechanisms(settings, traced)
    await add_mails(settings, traced, options)
    await add_topics(settings, traced, options)
    is_taken_in = any(step.what not in ("accepted", "record") for step in traced.steps)
    if traced.accepted_at is not None and not is_taken_in and clock.now() - traced.accepted_at > LATE:
        remedy = "parcours status, parcours lag"
        traced.steps.append(
            Finding("all", "not taken in", Mark.ACT, "no service has it from its topic", remedy)
        )
    if not traced.steps:
        found = f"nothing is known of {identifier}"
        remedy = "is it the id of a request, an enrolment, a session or a mail, or the reference of a letter?"
        traced.steps.append(Finding("all", "trace", Mark.ACT, found, remedy))
    in_time = sorted(traced.steps, key=_place_in_time)
    return [*in_time, *traced.unanswered]


def _place_in_time(step: Finding) -> tuple[bool, datetime, bool]:
    """Put a record before its effects in the same millisecond, and steps without a time at the end."""
    return step.at is None, step.at or clock.now(), step.about != "kafka"

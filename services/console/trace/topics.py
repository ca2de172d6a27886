from dataclasses import replace
from datetime import datetime, timedelta

from services.console import places
from services.console.asking import ConsoleSettings, Unanswered, broker_answers
from services.console.findings import Finding, Mark
from services.console.places import RecordPlace
from services.console.trace.request_trace import RequestTrace, TraceOptions, step
from shared import clock
from shared.events.topics import Topic, is_of_portals

BEFORE, AFTER = timedelta(minutes=1), timedelta(minutes=10)
"""Search this far around the known time: clocks differ, and relays wait."""


async def add_topics(settings: ConsoleSettings, traced: RequestTrace, options: TraceOptions) -> None:
    requests = [topic.value for topic in Topic if is_of_portals(topic)]
    is_known = bool(traced.steps)
    if traced.known_id is not None and (traced.received_at is not None or not is_known):
        since = traced.received_at or clock.now() - options.unknown_since
        until = traced.received_at or clock.now()
        ids = [str(known) for known in traced.event_ids - traced.published.keys()]
        found = await _places(settings, traced, requests, ids, (since - BEFORE, until + AFTER))
        for place in found:
            traced.steps.append(_lies(place, is_known=is_known))
    for event_id, (_, sent_at) in traced.published.items():
        topics = [Topic.ENROLMENT_DECISIONS.value]
        time = (sent_at - AFTER, sent_at + BEFORE)
        traced.steps += [
            _lies(place, is_known=True)
            for place in await _places(settings, traced, topics, [str(event_id)], time)
        ]


async def _places(
    settings: ConsoleSettings,
    traced: RequestTrace,
    topics: list[str],
    ids: list[str],
    time: tuple[datetime, datetime],
) -> list[RecordPlace]:
    if any(line.about == "kafka" for line in traced.unanswered):
        return []
    found = await broker_answers(settings, places.find(settings, topics, ids, *time))
    if isinstance(found, Unanswered):
        traced.unanswered.append(Finding("kafka", "trace", Mark.UNKNOWN, found.why))
        return []
    return found


def _lies(place: RecordPlace, *, is_known: bool) -> Finding:
    where = f"{place.topic}/{place.partition}@{place.offset}: {place.event_id}"
    lies = step("kafka", "record", place.at, where)
    if is_known:
        return lies
    unread = f"{where}, which no service has taken in"
    return replace(lies, mark=Mark.ACT, found=unread, remedy="parcours lag")

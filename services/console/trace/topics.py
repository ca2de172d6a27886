"""Where the records of a request, and of what was made of it, lie in Kafka."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.console.asking import ConsoleSettings, Unanswered, broker_answers
from services.console.findings import Finding, Mark
from services.console.trace.way import TraceOptions, Way, step
from shared import clock
from shared.events.topics import Topic, is_of_portals
from shared.messaging import places
from shared.messaging.places import RecordPlace

BEFORE, AFTER = timedelta(minutes=1), timedelta(minutes=10)
"""Where a record is looked for, about the moment at which a service knows it: clocks differ, relays wait."""


async def add_topics(settings: ConsoleSettings, way: Way, options: TraceOptions) -> None:
    """Add where the records lie: the request's, and those of the events that were published."""
    requests = [topic.value for topic in Topic if is_of_portals(topic)]
    is_known = bool(way.steps)
    if way.known_id is not None and (way.received_at is not None or not is_known):
        since = way.received_at or clock.now() - options.unknown_since
        until = way.received_at or clock.now()
        ids = [str(known) for known in way.event_ids - way.published.keys()]
        found = await _places(settings, way, requests, ids, (since - BEFORE, until + AFTER))
        for place in found:
            way.steps.append(_lies(place, is_known=is_known))
    for event_id, (_, sent_at) in way.published.items():
        topics = [Topic.ENROLMENT_DECISIONS.value]
        time = (sent_at - AFTER, sent_at + BEFORE)
        way.steps += [
            _lies(place, is_known=True)
            for place in await _places(settings, way, topics, [str(event_id)], time)
        ]


async def _places(
    settings: ConsoleSettings,
    way: Way,
    topics: list[str],
    ids: list[str],
    time: tuple[datetime, datetime],
) -> list[RecordPlace]:
    if any(line.about == "kafka" for line in way.could_not):
        return []
    found = await broker_answers(settings, places.find(settings, topics, ids, *time))
    if isinstance(found, Unanswered):
        way.could_not.append(Finding("kafka", "trace", Mark.UNKNOWN, found.why))
        return []
    return found


def _lies(place: RecordPlace, *, is_known: bool) -> Finding:
    where = f"{place.topic}/{place.partition}@{place.offset}: {place.event_id}"
    lies = step("kafka", "record", place.at, where)
    if is_known:
        return lies
    unread = f"{where}, which no service has taken in"
    return replace(lies, mark=Mark.ACT, found=unread, remedy="parcours lag")

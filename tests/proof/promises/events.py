"""Events on topics, portals' feeds, and the copies that other services keep."""

from collections import Counter
from collections.abc import Iterator

from tests.proof.evidence import (
    ABOUT_AGENTS,
    BESPOKE,
    OCCUPANCY,
    REQUESTS,
    SESSIONS,
    Evidence,
    SessionCounts,
    StoredEvent,
    StoredSubscription,
    TopicRecord,
)
from tests.proof.history import OK
from tests.proof.promises.reading import Break, grouped, requests_in

_ATTENDANCE = ("attended", "certified", "absent", "absent_justified")
"""The notifier's copy leaves attendance out: it keeps the state and the version of before."""
_COPIED = {
    **dict.fromkeys(_ATTENDANCE, "enrolled"),
    "session_cancelled": "withdrawn",
    "pending_approval": "pending",
    "pending_selection": "pending",
}


def events_not_published(evidence: Evidence) -> Iterator[Break]:
    found = {topic: {record.id for record in records} for topic, records in evidence.records.items()}
    for event in evidence.events:
        if not event.is_sent or (event.topic in found and event.id not in found[event.topic]):
            yield [event, f"is not on {event.topic}"]


def events_of_a_key_out_of_order(evidence: Evidence) -> Iterator[Break]:
    """Compare each topic with the outboxes, key by key.

    Requests by HTTP lock nothing, so their numbers have no order.
    """
    numbers = {(event.topic, event.id): event for event in evidence.events}
    for topic in evidence.records.keys() - {REQUESTS, ABOUT_AGENTS, BESPOKE}:
        latest: dict[str, StoredEvent] = {}
        for record in evidence.of_topic(topic):
            event = numbers.get((topic, record.id))
            if event is None:
                continue
            before = latest.get(record.key)
            if before is not None and before.number > event.number:
                yield [f"on {topic} in this order:", before, event]
            latest[record.key] = event


def feeds_with_gaps(evidence: Evidence) -> Iterator[Break]:
    """Compare what each portal heard with its rows, and with the decisions about its issuer's agents."""
    for portal, issuer in evidence.issuers.items():
        rows = sorted(
            (event for event in evidence.events if event.portal == portal), key=lambda row: row.cursor or 0
        )
        numbers = [row.cursor for row in rows]
        if numbers != list(range(1, len(rows) + 1)):
            yield [f"the numbers of {portal} are not 1 to {len(rows)}", *rows[:3]]
        heard = _heard(evidence, portal)
        if heard is not None and heard != [row.id for row in rows]:
            at = next((at for at, (a, b) in enumerate(zip(heard, rows, strict=False)) if a != b.id), None)
            at = min(len(heard), len(rows)) if at is None else at
            yield [
                f"{portal} heard {len(heard)} of {len(rows)} answers; the first difference:",
                *rows[at:][:2],
            ]
        decided = [each for each in evidence.decisions if each.data["agent"].get("issuer") == issuer]
        answered = Counter(row.id for row in rows)
        yield from (
            [decision, f"is not an answer to {portal}"] for decision in decided if not answered[decision.id]
        )
        yield from ([f"{portal} has an answer twice", row] for row in rows if answered[row.id] > 1)


def _heard(evidence: Evidence, portal: str) -> list[str] | None:
    """Return the ids of the answers that the portal read, or None if it never read."""
    reads = [each for each in evidence.operations if each.action == "read answers" and each.client == portal]
    heard: list[str] = []
    for read in reads:
        if read.state == OK:
            del heard[read.asked["after"] :]
            heard += read.result["ids"]
    return heard if reads else None


def copies_that_differ(evidence: Evidence) -> Iterator[Break]:
    """Compare the catalogue's counts and the notifier's enrolments with those of the enrolment service."""
    occupancies = {counts.session_id: counts for counts in evidence.occupancies}
    for counts in evidence.counters:
        copied = occupancies.get(counts.session_id, SessionCounts(counts.session_id))
        if copied != counts:
            yield ["the catalogue has", copied, "of", counts]
    copies = {copy.enrolment_id: copy for copy in evidence.copies}
    for enrolment in evidence.enrolments:
        copy = copies.get(enrolment.enrolment_id)
        if copy is None and enrolment.state == "refused":
            continue  # a refusal that changes nothing for the agent has no copy
        found = None if copy is None else (copy.version, copy.state)
        version = enrolment.version if copy is None or enrolment.state not in _ATTENDANCE else copy.version
        if found != (version, _COPIED.get(enrolment.state, enrolment.state)):
            yield ["the notifier has", copy, "of", enrolment]


def subscriptions_that_differ(evidence: Evidence) -> Iterator[Break]:
    """Compare the notifier's subscriptions with what was received last of each agent and theme."""
    followed = set(evidence.subscriptions)
    last: dict[StoredSubscription, TopicRecord] = {}
    for request in sorted(requests_in(evidence, ABOUT_AGENTS), key=lambda request: request.at):
        if request.name == "AgentErasureRequested":
            last = {each: asked for each, asked in last.items() if each.agent_id != request.data["agent_id"]}
            continue
        issuer = evidence.issuers[request.source.removeprefix("/portals/")]
        interest = f"theme:{request.data['theme']}"
        last[StoredSubscription(issuer, request.data["agent_id"], interest)] = request
    for subscription, request in last.items():
        if (subscription in followed) != request.data["subscribed"]:
            yield [request, "is not so in the notifier"]
    yield from ([subscription, "was never asked for"] for subscription in followed - last.keys())


def processes_that_failed_to_end(evidence: Evidence) -> Iterator[Break]:
    """A process may be killed while it ends."""
    yield from ([end] for end in evidence.ends if end.exit_code is None or end.exit_code > 0)


def traces_of_erased_agents(evidence: Evidence) -> Iterator[Break]:
    yield from ([remains] for remains in evidence.remains)


def topics_that_end_with_an_old_state(evidence: Evidence) -> Iterator[Break]:
    for topic in (SESSIONS, OCCUPANCY):
        for records in grouped(evidence.records.get(topic, ()), lambda record: record.key).values():
            newest = max(records, key=lambda record: int(record.data["version"]))
            if records[-1].data["version"] != newest.data["version"]:
                yield [newest, "is followed by", records[-1]]

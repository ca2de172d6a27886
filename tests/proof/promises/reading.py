"""What the checks read from the evidence: requests, answers, decisions, states of sessions."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tests.proof.evidence import (
    ABOUT_AGENTS,
    ANSWERS,
    BESPOKE,
    DECISIONS,
    REQUESTS,
    SESSIONS,
    Evidence,
    StoredEvent,
    TopicRecord,
)

Break = Sequence[object]
"""The events that broke a promise, once."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
GIVES_SEAT = ("AgentEnrolled", "SeatOffered")
NOMINATED = "TraineesNominated"
ENDS = ("EnrolmentWithdrawn", "SeatOfferLapsed", "SeatNotObtained")
STATES = {
    "AgentEnrolled": "enrolled",
    "AgentWaitlisted": "waitlisted",
    "SeatOffered": "offered",
    "SeatOfferLapsed": "lapsed",
    "SeatNotObtained": "not_obtained",
    "EnrolmentPending": "pending",
    "EnrolmentRefused": "refused",
    "EnrolmentWithdrawn": "withdrawn",
}


def requests_in(evidence: Evidence, topic: str = REQUESTS) -> list[TopicRecord]:
    sources = {f"/portals/{portal}" for portal in evidence.issuers}
    return [record for record in evidence.of_topic(topic) if record.source in sources]


def requests_to_accept(evidence: Evidence) -> list[TopicRecord]:
    """Return the requests that no decision answers."""
    return [*requests_in(evidence, ABOUT_AGENTS), *requests_for_training(evidence)]


def requests_for_training(evidence: Evidence) -> list[TopicRecord]:
    return [request for request in requests_in(evidence, BESPOKE) if request.name != NOMINATED]


def requests_to_decide(evidence: Evidence) -> list[TopicRecord]:
    """Return the requests for seats. Decisions answer them, one for each agent."""
    nominations = [request for request in requests_in(evidence, BESPOKE) if request.name == NOMINATED]
    return [*requests_in(evidence), *nominations]


def request_of(decision: StoredEvent) -> str:
    return str(decision.data.get("request_id"))


def agents_of(request: Mapping[str, Any]) -> list[str]:
    agents = request.get("agents") or [request.get("agent") or request]
    return [agent["agent_id"] for agent in agents]


def answers_in(evidence: Evidence) -> dict[tuple[str, str, str], list[TopicRecord]]:
    """Return the answers by source, request and agent.

    A rejection is about a record instead: a rejected request that is sent again is a new request, and the
    request of an unreadable record is not known. An acceptance is about no agent.
    """
    answers: dict[tuple[str, str, str], list[TopicRecord]] = defaultdict(list)
    for record in evidence.of_topic(DECISIONS):
        if record.data.get("request_id"):
            source = record.data.get("request_source") or ""
            answers[source, record.data["request_id"], record.data["agent"]["agent_id"]].append(record)
    to_accept = {(request.source, request.id) for request in requests_to_accept(evidence)}
    for portal in evidence.issuers:
        for record in evidence.of_topic(f"{ANSWERS}{portal}"):
            if record.name == "RequestRejected":
                place = "{topic}/{partition}@{offset}".format(**record.data)
                answers[f"/portals/{portal}", record.data["request_id"] or "", place].append(record)
            accepted = f"/portals/{portal}", record.data.get("request_id") or ""
            if record.name == "RequestAccepted" and accepted in to_accept:
                answers[*accepted, ""].append(record)
    return answers


def last_decisions(evidence: Evidence) -> dict[str, StoredEvent]:
    """Return the last decision on each enrolment. The refusal of another wish changes nothing."""
    return {
        decision.data["enrolment_id"]: decision
        for decision in evidence.decisions
        if decision.name in STATES
        and decision.data.get("asked", "enrolment") == "enrolment"
        and decision.data.get("reason") != "already_enrolled"
    }


def session_states(evidence: Evidence) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Return each published state of each session, by version."""
    states: dict[str, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for record in evidence.records.get(SESSIONS, ()):
        states[record.data["session_id"]][record.data["version"]] = record.data
    return states


def terms_of(
    states: Mapping[str, Mapping[int, Mapping[str, Any]]], decision: StoredEvent
) -> Mapping[str, Any]:
    """Return the state of the session on which the decision was taken; empty if none was known."""
    return states.get(decision.data["session_id"], {}).get(decision.data["session_version"], {})


def is_first_come(terms: Mapping[str, Any]) -> bool:
    """Return whether the time of receipt alone decides on places."""
    return (
        not terms.get("reserved_seats")
        and terms.get("quota_per_authority") is None
        and terms.get("approval", "none") == "none"
    )


def by_session(decisions: Iterable[StoredEvent]) -> dict[str, list[StoredEvent]]:
    return grouped(decisions, lambda decision: str(decision.data["session_id"]))


def grouped(items: Iterable[V], key: Callable[[V], K]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return found

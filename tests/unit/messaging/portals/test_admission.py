"""Admission: each record on a topic of portals is a request that its portal may make, or is rejected."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events.cloudevents import MAX_VALUES, STRUCTURED, Received, Record
from shared.events.outcomes import RejectionCode
from shared.events.portal import (
    AgentCorrected,
    AgentErasureRequested,
    BespokeTrainingRequested,
    EnrolmentRequested,
    GroupEnrolmentRequested,
    SubscriptionChanged,
    TraineesNominated,
    WithdrawalRequested,
)
from shared.events.vocabulary import AgentKey, SendingPortal
from shared.messaging import inbox
from shared.messaging.portals.admission import ACCEPTED_WINDOW, MAX_BYTES, MOST_PROBLEMS, Rejected, admit
from shared.messaging.portals.registry import Portal, Portals
from shared.messaging.portals.signatures import SignedAttributes, key_of, sign
from tests.support.builders import an_agent, as_json, enrolment_request

NOW = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
SECRET, OLD_SECRET, INTAKE, FORMER_INTAKE = (
    f"whsec_{text}"
    for text in (
        "cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=",
        "b2xkLXNlY3JldC1vZi10aGUtcG9ydGFsLTMyLWJ5dGU=",
        "aW50YWtlLXNlY3JldC1vZi10aGUtc2VydmljZXMtMzI=",
        "Zm9ybWVyLXNlY3JldC1vZi1zZXJ2aWNlcy0zMi1ieXQ=",
    )
)
SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"


def a_portal(name: str = "iel", **changes: Any) -> Portal:
    values: dict[str, Any] = {
        "portal": name,
        "issuer": name,
        "contact": "equipe@portail.example",
        "keys": [
            {"id": "2026-11", "secret": SECRET},
            {"id": "2026-10", "secret": OLD_SECRET, "not_after": "2026-11-20T00:00:00Z"},
        ],
    }
    return Portal.model_validate(values | changes)


def a_record(
    value: bytes, headers: Mapping[str, bytes | str | None], topic: str = "portal.enrolments"
) -> Record:
    return Record(
        topic=topic,
        partition=3,
        offset=42,
        key=None,
        value=value,
        headers=tuple(
            (name, text.encode() if isinstance(text, str) else text) for name, text in headers.items()
        ),
        received_at=NOW,
    )


def signed(
    data: Mapping[str, Any] | None = None,
    *,
    event: str = EnrolmentRequested.TYPE,
    topic: str = "portal.enrolments",
    source: str = "/portals/iel",
    time: str = "2026-11-25T08:29:59Z",
    key_id: str = "2026-11",
    secret: str = SECRET,
    event_id: str = "5F0C1F5E-2f0e-4d0e-9d0c-0d6d1f9f2a11",
    **changes: str | bytes | None,
) -> Record:
    """A request as a portal signs it; ``changes`` are made to its headers afterwards."""
    value = as_json(enrolment_request(SESSION) if data is None else data)
    attributes = SignedAttributes(event_id, source, event, time)
    headers: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": event,
        "ce_time": time,
        "ce_keyid": key_id,
        "ce_signature": sign(key_of(secret), key_id, attributes, value),
    }
    return a_record(value, headers | changes, topic)


def admitted(record: Record, *portals: Portal) -> Received[Any] | Rejected:
    keys = [key_of(FORMER_INTAKE), key_of(INTAKE)]
    return admit(record, Portals(portals or [a_portal(), a_portal("b", keys=[])]), keys)


def accepted(record: Record, *portals: Portal) -> Received[Any]:
    outcome = admitted(record, *portals)
    assert isinstance(outcome, Received), outcome
    return outcome


def rejected(record: Record, *portals: Portal) -> Rejected:
    outcome = admitted(record, *portals)
    assert isinstance(outcome, Rejected)
    return outcome


def code_of(record: Record, *portals: Portal) -> RejectionCode | None:
    outcome = admitted(record, *portals)
    return outcome.code if isinstance(outcome, Rejected) else None


def problems_of(record: Record) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.message) for problem in rejected(record).problems]


def test_a_request_that_its_portal_signed_is_admitted_as_that_portals() -> None:
    received = accepted(signed(), a_portal(issuer="villes"))
    assert (received.sender, received.id.hex[:8]) == (SendingPortal("iel", "villes"), "5f0c1f5e")


def test_an_agent_is_the_issuers_of_the_portal_whatever_the_request_says() -> None:
    for written in ({}, {"issuer": "cnfpt"}, {"issuer": ""}):
        agent = json.loads(an_agent("1001").model_dump_json()) | written
        received = accepted(signed({"session_id": SESSION, "agent": agent}), a_portal(issuer="villes"))
        assert received.event.agent.key == AgentKey("villes", "1001")


def test_structured_mode_is_signed_by_its_attributes_as_they_are_unescaped() -> None:
    document = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/portals/iel",
        "type": EnrolmentRequested.TYPE,
        "time": "2026-11-25T08:29:59Z",
        "data": enrolment_request(SESSION),
    }
    value = json.dumps(document).replace("/portals/iel", r"\/portals\/iel").encode()
    attributes = SignedAttributes(*(str(document[name]) for name in ("id", "source", "type", "time")))
    headers = {
        "content-type": STRUCTURED,
        "ce_keyid": "2026-11",
        "ce_signature": sign(key_of(SECRET), "2026-11", attributes, value),
    }
    assert isinstance(admitted(a_record(value, headers)), Received)
    assert code_of(a_record(value + b" ", headers)) is RejectionCode.NOT_AUTHENTICATED


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_signature": None},
        {"ce_signature": ""},
        {"ce_signature": "v1,"},
        {"ce_signature": b"\xff"},
        {"ce_keyid": None},
        {"ce_keyid": "2026-12"},
        {"ce_id": str(uuid.uuid4())},
        {"ce_time": "2026-11-25T08:29:58Z"},
        {"ce_time": None},
        {"ce_type": WithdrawalRequested.TYPE},
        {"ce_source": "/portals/b"},
    ],
)
def test_a_request_without_the_signature_of_just_this_request_is_not_authenticated(
    changes: dict[str, Any],
) -> None:
    assert code_of(signed(**changes)) is RejectionCode.NOT_AUTHENTICATED
    record = signed()
    changed = replace(record, value=(record.value or b"") + b" ")
    assert code_of(changed) is RejectionCode.NOT_AUTHENTICATED


def test_a_key_counts_for_its_own_portal_and_until_it_ends() -> None:
    assert code_of(signed(source="/portals/b")) is RejectionCode.NOT_AUTHENTICATED
    old: Any = {"key_id": "2026-10", "secret": OLD_SECRET, "time": "2026-11-19T23:59:59Z"}
    assert code_of(signed(**old)) is RejectionCode.NOT_AUTHENTICATED
    in_time = replace(signed(**old), received_at=datetime(2026, 11, 20, tzinfo=UTC))
    assert code_of(in_time) is None


@pytest.mark.parametrize(
    ("sent_at", "code"),
    [
        (NOW - timedelta(days=7), None),
        (NOW + timedelta(days=7), None),
        (NOW - timedelta(days=7, seconds=1), RejectionCode.NOT_AUTHENTICATED),
        (NOW + timedelta(days=7, seconds=1), RejectionCode.NOT_AUTHENTICATED),
        (NOW.replace(tzinfo=None), RejectionCode.NOT_AUTHENTICATED),
    ],
)
def test_the_time_of_a_signed_request_lies_within_seven_days_of_its_receipt(
    sent_at: datetime, code: RejectionCode | None
) -> None:
    assert code_of(signed(time=sent_at.isoformat())) is code


@pytest.mark.parametrize(
    ("event", "more"),
    [
        (AgentErasureRequested, {"requested_at": "2026-01-01T00:00:00Z"}),
        (AgentCorrected, {"email": "zoe@exemple.fr"}),
    ],
)
def test_a_service_signs_its_own_requests_and_they_alone_say_who_issued_an_agents_id(
    event: type[AgentErasureRequested | AgentCorrected], more: dict[str, str]
) -> None:
    data = {"agent_id": "A-1", "issuer": "cnfpt", **more}
    erasure: dict[str, Any] = {"data": data, "event": event.TYPE, "topic": "portal.agents"}
    ours: dict[str, Any] = {"key_id": "intake", "secret": INTAKE, "source": "/services/enrolment"}

    by_us = accepted(signed(**erasure, **ours))
    assert (by_us.event.issuer, by_us.portal) == ("cnfpt", None)
    assert by_us.event.agent_of(by_us.issuer) == AgentKey("cnfpt", "A-1")
    by_http = accepted(signed(**erasure, **ours | {"source": "/portals/iel"}))
    assert by_http.event.issuer == by_http.issuer == "iel"

    assert code_of(signed(**erasure, **ours | {"secret": SECRET})) is RejectionCode.NOT_AUTHENTICATED
    assert code_of(signed(**erasure, **ours | {"key_id": "2026-11"})) is RejectionCode.UNKNOWN_PORTAL
    assert code_of(signed(**erasure, **ours | {"source": "/other"})) is RejectionCode.UNKNOWN_PORTAL


@pytest.mark.parametrize(
    ("source", "secret", "code"),
    [
        ("/portals/iel", INTAKE, None),
        ("/portals/b", INTAKE, None),
        ("/portals/iel", FORMER_INTAKE, None),
        ("/portals/iel", SECRET, RejectionCode.NOT_AUTHENTICATED),
        ("/portals/c", INTAKE, RejectionCode.UNKNOWN_PORTAL),
    ],
    ids=["a portal", "another", "a former key", "the portal's key", "an unknown portal"],
)
def test_what_came_by_http_is_signed_by_the_services_for_any_portal(
    source: str, secret: str, code: RejectionCode | None
) -> None:
    record = signed(source=source, key_id="intake", secret=secret, time="2026-10-01T00:00:00Z")
    assert code_of(record) is code


@pytest.mark.parametrize("days", [-61, 61])
def test_what_came_by_http_counts_for_as_long_as_it_is_known_when_it_is_sent_again(days: int) -> None:
    assert ACCEPTED_WINDOW < inbox.KEPT
    at = (NOW + timedelta(days=days)).isoformat()
    assert problems_of(signed(key_id="intake", secret=INTAKE, time=at)) == [
        ("", "ce_time is more than 60 days away.")
    ]


def test_a_portal_without_authentication_needs_no_signature() -> None:
    trial = a_portal("essai", authentication="none", keys=[])
    record = signed(source="/portals/essai", ce_signature=None, ce_keyid=None, ce_time=None)
    assert code_of(record, trial) is None
    assert code_of(signed(source="/portals/essai", key_id="intake"), trial) is RejectionCode.NOT_AUTHENTICATED


@pytest.mark.parametrize("source", ["/portals/c", "/portals/", "iel", "/portals/IEL", "/services/enrolment"])
def test_nobody_hears_of_a_request_by_an_unknown_portal(source: str) -> None:
    outcome = rejected(signed(source=source))
    assert (outcome.code, outcome.portal) == (RejectionCode.UNKNOWN_PORTAL, None)


def test_a_header_given_twice_or_with_control_characters_is_invalid() -> None:
    record = signed()
    twice = replace(record, headers=(*record.headers, ("CE_ID", str(uuid.uuid4()).encode())))
    assert problems_of(twice) == [("", "The header ce_id is given twice.")]
    assert code_of(signed(time="2026-11-25T08:29:59Z\n")) is RejectionCode.INVALID
    assert problems_of(signed(ce_subject="a\0b")) == [("", "A header has control characters.")]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (signed(ce_id="17"), RejectionCode.UNREADABLE),
        (signed(ce_specversion="0.3"), RejectionCode.UNREADABLE),
        (signed(event="fr.cnfpt.portal.EnrolmentRequest.v1"), RejectionCode.UNKNOWN_TYPE),
        (signed(event="fr.cnfpt.enrolment.AgentEnrolled.v1"), RejectionCode.INVALID),
        (signed(topic="portal.agents"), RejectionCode.INVALID),
        (signed({}), RejectionCode.INVALID),
        (signed({"x": "x" * MAX_BYTES}), RejectionCode.TOO_LARGE),
        (signed({"x": "x" * MAX_BYTES}, ce_signature="v1,"), RejectionCode.TOO_LARGE),
    ],
)
def test_the_portal_hears_what_is_wrong_with_its_record(record: Record, code: RejectionCode) -> None:
    outcome = rejected(record)
    assert (outcome.code, outcome.portal) == (code, "iel")
    assert outcome.problems
    assert not any("^" in problem.message or "xxx" in problem.message for problem in outcome.problems)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"[" * (MAX_BYTES + 1), RejectionCode.TOO_LARGE),
        (b"," * (MAX_VALUES + 1), RejectionCode.INVALID),
    ],
    ids=["bytes", "values"],
)
def test_what_is_too_large_is_refused_unread_and_its_headers_say_to_whom(
    value: bytes, code: RejectionCode
) -> None:
    """Read as JSON, 16 MiB became 500 MB, before anybody knew who sent them."""
    outcome = rejected(replace(signed(), value=value))
    assert (outcome.code, outcome.portal) == (code, "iel")
    assert code_of(a_record(value, {"content-type": STRUCTURED})) is code


def test_a_structured_event_whose_data_cannot_be_read_is_told_to_its_sender() -> None:
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/portals/iel", "type": "x"}
    outcome = rejected(a_record(as_json(event | {"data_base64": "e3"}), {"content-type": STRUCTURED}))
    assert (outcome.code, outcome.portal) == (RejectionCode.UNREADABLE, "iel")


def test_a_rejection_names_some_of_many_mistakes() -> None:
    agent = json.loads(an_agent().model_dump_json())
    agent["employer"] |= {"siret": "1", "delegation": "nowhere"}
    group = {
        "session_id": SESSION,
        "agents": [agent] * MOST_PROBLEMS,
        "requested_by": {"name": "Anne Martin", "email": "a@b.fr"},
    }
    problems = problems_of(signed(group, event=GroupEnrolmentRequested.TYPE))
    assert len(problems) == MOST_PROBLEMS


def test_the_fields_that_are_wrong_are_named_by_json_pointers() -> None:
    agent = json.loads(an_agent().model_dump_json())
    agent["employer"] |= {"siret": "21350238800018", "delegation": "bretange"}
    group = {
        "session_id": SESSION,
        "agents": [json.loads(an_agent().model_dump_json()), agent],
        "requested_by": {"name": "Anne Martin", "email": "a@b.fr"},
    }
    assert problems_of(signed(group, event=GroupEnrolmentRequested.TYPE)) == [
        ("/agents/1/employer/siret", "is not a SIRET: its check digit does not fit"),
        ("/agents/1/employer/delegation", "is no delegation's code"),
    ]
    agent["email"] = "nowhere"
    problems = dict(problems_of(signed({"session_id": SESSION, "agent": agent})))
    assert [*problems] == ["/agent/email", "/agent/employer/siret", "/agent/employer/delegation"]
    assert "nowhere" not in problems["/agent/email"]
    agent["employer"]["siret"] = 7
    assert [pointer for pointer, _ in problems_of(signed(group, event=GroupEnrolmentRequested.TYPE))] == [
        "/agents/1/email",
        "/agents/1/employer/siret",
        "/agents/1/employer/delegation",
    ]
    odd: list[dict[str, Any]] = [
        {"agents": 1},
        {"agents": [1, {"employer": 2}]},
        {"agent": [], "siret": None},
    ]
    for strange in odd:
        assert {pointer.count("/") for pointer, _ in problems_of(signed(strange))} == {1}


@pytest.mark.parametrize(
    "limits", [{"delegations": ["corse"]}, {"sirets": ["20005376700014"]}, {"delegations": []}]
)
def test_an_agent_or_authority_of_another_portal_is_not_yours(limits: dict[str, Any]) -> None:
    agents = [json.loads(an_agent().model_dump_json())]
    officer = {"name": "Anne Martin", "email": "a@b.fr"}
    bespoke = {
        "siret": "21350238800019",
        "authority": "Ville de Rennes",
        "delegation": "bretagne",
        "requested_by": officer,
        "theme": "enjeux-ia",
        "trainees": 12,
    }
    group = {"session_id": SESSION, "agents": agents, "requested_by": officer}
    trainees = {"siret": "21350238800019", "session_id": SESSION, "agents": agents, "nominated_by": officer}
    subscription = {"agent_id": "IEL-1", "email": "a@b.fr", "theme": "enjeux-ia", "subscribed": True}
    erasure = {"agent_id": "IEL-1", "requested_at": "2026-11-25T08:00:00Z"}
    for record in (
        signed(),
        signed(group, event=GroupEnrolmentRequested.TYPE),
        signed(bespoke, event=BespokeTrainingRequested.TYPE, topic="portal.bespoke"),
        signed(trainees, event=TraineesNominated.TYPE, topic="portal.bespoke"),
        # They name no employer by whom to tell whose the agent is.
        signed(subscription, event=SubscriptionChanged.TYPE, topic="portal.agents"),
        signed(erasure, event=AgentErasureRequested.TYPE, topic="portal.agents"),
    ):
        assert code_of(record) is None
        assert code_of(record, a_portal(**limits)) is RejectionCode.NOT_YOURS


def test_a_withdrawal_names_nobody_whom_the_registry_knows() -> None:
    withdrawal = {"session_id": SESSION, "agent_id": "IEL-1"}
    assert code_of(signed(withdrawal, event=WithdrawalRequested.TYPE), a_portal(sirets=[])) is None

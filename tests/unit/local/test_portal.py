"""The simulated portal speaks the contract without importing it; the services' reader judges."""

import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from local.demo.people import Population
from local.demo.portal import ContentMode, Headers, PortalRequest, RequestKind, malformed_records, record_of
from shared.events.cloudevents import Received, Record, Unreadable, decode

SOURCE = "/portals/essai"


def a_request(
    kind: RequestKind = RequestKind.ENROLMENT, mode: ContentMode = ContentMode.BINARY
) -> PortalRequest:
    people = Population("abc", Random(1))
    agents = (people.agent("bretagne"), people.agent("bretagne"))
    return PortalRequest(str(uuid.uuid4()), agents[0], kind, mode, agents=agents, says_yes=False)


def as_read(topic: str, value: bytes | None, headers: Headers) -> Received[Any] | None:
    return decode(Record(topic, 0, 0, None, value, tuple(headers), datetime.now(UTC)))


@pytest.mark.parametrize("mode", ContentMode)
@pytest.mark.parametrize("kind", RequestKind)
def test_what_a_portal_sends_is_what_the_contract_says(kind: RequestKind, mode: ContentMode) -> None:
    request = a_request(kind, mode)
    _, value, headers = record_of(request, SOURCE)
    received = as_read(request.topic, value, headers)
    assert received is not None
    assert type(received.event).__name__ == kind
    assert str(received.id) == request.ce_id
    assert (received.topic, received.event.key) == (request.topic, request.key)


def test_every_malformed_record_is_unreadable_and_the_unknown_type_is_not() -> None:
    malformed = malformed_records(a_request(), SOURCE)
    assert len(malformed.parked) >= 12
    for _, value, headers in malformed.parked:
        with pytest.raises(Unreadable):
            as_read("portal.enrolments", value, headers)
    for _, value, headers in malformed.ignored:
        assert as_read("portal.enrolments", value, headers) is None

"""The simulated portal speaks the contract without importing it; the services' reader judges."""

import uuid
from random import Random

import pytest

from local.demo.people import Population
from local.demo.portal import ContentMode, Headers, PortalRequest, RequestKind, malformed_records, record_of
from shared.events import cloudevents
from shared.events.portal import EVENTS

SOURCE = "/portals/essai"


def a_request(
    kind: RequestKind = RequestKind.ENROLMENT, mode: ContentMode = ContentMode.BINARY
) -> PortalRequest:
    people = Population("abc", Random(1))
    agents = (people.agent("bretagne"), people.agent("bretagne"))
    return PortalRequest(str(uuid.uuid4()), agents[0], kind, mode, agents=agents, says_yes=False)


def text_of(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers if value is not None and value.isascii()}


@pytest.mark.parametrize("mode", ContentMode)
@pytest.mark.parametrize("kind", RequestKind)
def test_what_a_portal_sends_is_what_the_contract_says(kind: RequestKind, mode: ContentMode) -> None:
    request = a_request(kind, mode)
    _, value, headers = record_of(request, SOURCE)
    read = cloudevents.decode(text_of(headers), value, structured=True)
    assert isinstance(read, cloudevents.Envelope)
    (contract,) = [event for event in EVENTS if event.__name__ == kind]
    assert isinstance(read.data, contract)
    assert str(read.id) == request.ce_id
    assert (read.data.TOPIC, read.data.key) == (request.topic, request.key)


def test_every_malformed_record_is_unreadable_and_the_unknown_type_is_not() -> None:
    malformed = malformed_records(a_request(), SOURCE)
    assert len(malformed.parked) >= 12
    for _, value, headers in malformed.parked:
        with pytest.raises(cloudevents.Unreadable):
            cloudevents.decode(text_of(headers), value, structured=True)
    for _, value, headers in malformed.ignored:
        assert isinstance(
            cloudevents.decode(text_of(headers), value, structured=True), cloudevents.UnknownType
        )

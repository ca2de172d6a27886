"""The simulated portal speaks the contract without importing it; the services' reader judges."""

import base64
import uuid
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from local.demo.people import Population
from local.demo.portal import (
    ContentMode,
    Headers,
    PortalRequest,
    RequestKind,
    malformed_records,
    record_of,
)
from local.portal.signing import SigningKey
from shared.events.cloudevents import Received, Record
from shared.events.outcomes import RejectionCode
from shared.messaging.portals import registry
from shared.messaging.portals.admission import Rejected, admit

KEY = SigningKey("demo", b"a secret of thirty-two bytes ...")
PORTAL = registry.Portal.model_validate(
    {
        "portal": "essai",
        "issuer": "demo",
        "contact": "equipe@portail.example",
        "keys": [{"id": KEY.id, "secret": f"whsec_{base64.b64encode(KEY.secret).decode()}"}],
    }
)


def a_request(
    kind: RequestKind = RequestKind.ENROLMENT, mode: ContentMode = ContentMode.BINARY
) -> PortalRequest:
    people = Population("abc", Random(1))
    agents = (people.agent("bretagne"), people.agent("bretagne"))
    there = str(uuid.uuid4())
    return PortalRequest(
        str(uuid.uuid4()), agents[0], kind, mode, agents=agents, says_yes=False, to_session_id=there
    )


def as_read(topic: str, value: bytes | None, headers: Headers) -> Received[Any] | Rejected:
    record = Record(topic, 0, 0, None, value, tuple(headers), datetime.now(UTC))
    return admit(record, registry.Portals([PORTAL]), [])


@pytest.mark.parametrize("mode", ContentMode)
@pytest.mark.parametrize("kind", RequestKind)
def test_what_a_portal_sends_is_what_the_contract_says(kind: RequestKind, mode: ContentMode) -> None:
    request = a_request(kind, mode)
    _, value, headers = record_of(request, PORTAL.source, KEY)
    received = as_read(request.topic, value, headers)
    assert isinstance(received, Received)
    assert type(received.event).__name__ == kind
    assert str(received.id) == request.ce_id
    assert (received.topic, received.event.key) == (request.topic, request.key)


def test_every_malformed_record_is_rejected_for_what_is_spoilt_in_it() -> None:
    records = malformed_records(a_request(), PORTAL.source, KEY)
    codes = []
    for _, value, headers in records:
        rejected = as_read("portal.enrolments", value, headers)
        assert isinstance(rejected, Rejected)
        codes.append(rejected.code)
    assert len(codes) >= 12
    assert codes[-2:] == [RejectionCode.UNKNOWN_TYPE, RejectionCode.NOT_AUTHENTICATED]
    assert set(codes[:-2]) == {RejectionCode.UNREADABLE, RejectionCode.INVALID}

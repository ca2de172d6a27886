"""The example portal speaks the contract without importing it; the services' reader judges."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from local.portal import envelope, requests
from local.portal.envelope import Envelope
from local.portal.people import AUTHORITIES, STAFF, invented
from local.portal.requests import Request
from local.portal.signing import SigningKey
from shared.events import BY_TYPE, Event
from shared.events.cloudevents import Received, Record, SendingPortal
from shared.messaging.portals import registry
from shared.messaging.portals.admission import Rejected, admit

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
ELSEWHERE = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12"
KEY = SigningKey("demo", b"a secret of thirty-two bytes ...")
PORTAL = registry.Portal.model_validate(
    {
        "portal": "exemple",
        "issuer": "exemple",
        "contact": "equipe@portail.example",
        "keys": [{"id": KEY.id, "secret": f"whsec_{base64.b64encode(KEY.secret).decode()}"}],
    }
)
ZOE = STAFF[0]
AUTHORITY = ZOE.employer
ALL_REQUESTS: Sequence[Request] = (
    requests.seat(SESSION, ZOE),
    requests.group(SESSION, STAFF[:3], AUTHORITY, all_or_nothing=True),
    requests.withdrawal(SESSION, ZOE.agent_id, by="employer", reason="Empêchement"),
    requests.offer_answer(SESSION, ZOE.agent_id, accepted=True),
    requests.swap(SESSION, ZOE.agent_id, ELSEWHERE),
    requests.swap(SESSION, ZOE.agent_id, ELSEWHERE, [{"question_id": "repas", "value": "végétarien"}]),
    requests.correction(ZOE.agent_id, "zoe@ville-exemple.fr"),
    requests.subscription(ZOE, "les-fondamentaux-de-l-ia", subscribed=True),
    requests.erasure(ZOE.agent_id, datetime(2026, 11, 27, 9, 0, tzinfo=UTC)),
    requests.approval(SESSION, ZOE.agent_id, AUTHORITY, granted=False, reason=None),
    requests.bespoke(AUTHORITY, "enjeux-ia", 15, None),
    requests.nomination(SESSION, STAFF[:3], AUTHORITY),
)


def admitted(sent: Envelope) -> Received[Event] | Rejected:
    headers = tuple((name, value.encode()) for name, value in sent.headers)
    record = Record(sent.topic, 0, 0, None, sent.value, headers, datetime.now(UTC))
    return admit(record, registry.Portals([PORTAL]), [])


def test_the_example_of_the_contract_has_the_signature_that_the_contract_says() -> None:
    """docs/portals.md."""
    key = SigningKey.of("2026-11", "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=")
    attributes = {
        "id": "5f0c1f5e-2f0e-4d0e-9d0c-0d6d1f9f2a11",
        "source": "/portals/iel",
        "type": "fr.cnfpt.portal.WithdrawalRequested.v1",
        "time": "2026-11-25T08:30:00Z",
    }
    value = b'{"session_id":"6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11","agent_id":"IEL-0048151"}'
    assert key.sign(attributes, value) == b"v1,kLlrbAPvxvGcaSwpm+f4kE6oitj09AtRuiFnKFeyNm4="


@pytest.mark.parametrize("request_", ALL_REQUESTS, ids=lambda request: request.name)
def test_what_it_asks_is_signed_and_as_the_contract_says(request_: Request) -> None:
    sent = envelope.signed(request_, PORTAL.source, KEY, datetime.now(UTC))
    received = admitted(sent)
    assert isinstance(received, Received), received
    assert type(received.event) is BY_TYPE[request_.type]
    assert received.event.key == sent.key == sent.attribute("subject")
    assert (str(received.id), received.sender) == (sent.id, SendingPortal("exemple", "exemple"))


def test_a_changed_value_is_not_what_was_signed() -> None:
    sent = envelope.signed(ALL_REQUESTS[2], PORTAL.source, KEY, datetime.now(UTC))
    assert isinstance(admitted(replace(sent, data=sent.data | {"agent_id": "another"})), Rejected)


def test_every_authority_and_person_is_one_that_parcours_takes() -> None:
    agents = [*STAFF, *invented(AUTHORITY, 200, Random(1))]
    assert {agent.employer.siret for agent in STAFF} == set(AUTHORITIES)
    assert len({agent.agent_id for agent in agents}) == len({agent.email for agent in agents}) == len(agents)
    for authority in AUTHORITIES.values():
        theirs = [agent for agent in agents if agent.employer == authority]
        group = requests.group(SESSION, theirs, authority, all_or_nothing=False)
        received = admitted(envelope.signed(group, PORTAL.source, KEY, datetime.now(UTC)))
        assert isinstance(received, Received), received


def test_an_answer_is_read_from_its_record() -> None:
    headers = [("ce_id", b"1"), ("ce_type", b"fr.cnfpt.enrolment.AgentEnrolled.v1"), ("x-other", None)]
    answer = envelope.read("portal.answers.exemple", b"IEL-1", json.dumps({"version": 1}).encode(), headers)
    assert (answer.id, answer.name, answer.key) == ("1", "AgentEnrolled", "IEL-1")
    assert answer.data == {"version": 1}


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{"])
def test_what_is_no_event_is_not_taken_for_an_answer(value: bytes | None) -> None:
    headers = [("ce_id", b"1"), ("ce_type", b"fr.cnfpt.enrolment.AgentEnrolled.v1")]
    with pytest.raises(ValueError, match=r"is no CloudEvent|Expecting"):
        envelope.read("portal.answers.exemple", None, value, headers)

"""The portals speak the contract without importing it; the services' reader judges."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from stdnum.fr import siret

from local.demo.portal import Headers, malformed_records, record_of
from local.people import Population
from local.portal import requests
from local.portal.envelope import SigningKey
from local.portal.people import AUTHORITIES, STAFF, invented
from local.portal.requests import Request
from shared.events.cloudevents import Received, Record
from shared.events.index import BY_TYPE
from shared.events.outcomes import RejectionCode
from shared.events.vocabulary import Event, SendingPortal
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
NOW = datetime.now(UTC)
ZOE = STAFF[0]
AUTHORITY = ZOE.employer
ALL_REQUESTS: Sequence[Request] = (
    requests.seat(SESSION, ZOE),
    requests.group(SESSION, STAFF[:3], all_or_nothing=True),
    requests.withdrawal(SESSION, ZOE, by="employer", reason="Empêchement"),
    requests.offer_answer(SESSION, ZOE, accepted=True),
    requests.swap(SESSION, ZOE, ELSEWHERE),
    requests.swap(SESSION, ZOE, ELSEWHERE, [{"question_id": "repas", "value": "végétarien"}]),
    requests.correction(ZOE, "zoe@ville-exemple.fr"),
    requests.subscription(ZOE, subscribed=True, offer="les-fondamentaux-de-l-ia"),
    requests.subscription(ZOE, subscribed=False, theme="enjeux-ia"),
    requests.erasure(ZOE, NOW),
    requests.approval(SESSION, ZOE, granted=False),
    requests.bespoke(AUTHORITY, "enjeux-ia", 15),
    requests.nomination(SESSION, STAFF[:3], AUTHORITY),
)


def admitted(topic: str, value: bytes | None, headers: Headers) -> Received[Event] | Rejected:
    record = Record(topic, 0, 0, None, value, tuple(headers), datetime.now(UTC))
    return admit(record, registry.Portals([PORTAL]), [])


def accepted(request: Request, *, structured: bool = False) -> Received[Event]:
    _, value, headers = record_of(request, PORTAL.source, KEY, NOW, structured=structured)
    received = admitted(request.topic, value, headers)
    assert isinstance(received, Received), received
    return received


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
@pytest.mark.parametrize("request_", ALL_REQUESTS, ids=lambda request: request.name)
def test_what_a_portal_sends_is_signed_and_as_the_contract_says(request_: Request, structured: bool) -> None:
    received = accepted(request_, structured=structured)
    assert type(received.event) is BY_TYPE[request_.type]
    assert (str(received.id), received.event.key) == (request_.id, request_.key)
    assert received.sender == SendingPortal("exemple", "exemple")


def test_every_malformed_record_is_rejected_for_its_fault() -> None:
    codes = []
    for _, value, headers in malformed_records(ALL_REQUESTS[0], PORTAL.source, KEY):
        rejected = admitted("portal.enrolments", value, headers)
        assert isinstance(rejected, Rejected)
        codes.append(rejected.code)
    assert len(codes) >= 12
    assert codes[-2:] == [RejectionCode.UNKNOWN_TYPE, RejectionCode.NOT_AUTHENTICATED]
    assert set(codes[:-2]) == {RejectionCode.UNREADABLE, RejectionCode.INVALID}


def test_every_invented_authority_and_agent_is_one_that_parcours_takes() -> None:
    people = Population("abc", Random(1))
    agents = [*STAFF, *invented(AUTHORITY, 200, Random(1)), *(people.agent() for _ in range(200))]
    assert {agent.employer.siret for agent in STAFF} == set(AUTHORITIES)
    assert len({agent.agent_id for agent in agents}) == len({agent.email for agent in agents}) == len(agents)
    assert all(siret.is_valid(agent.employer.siret) for agent in agents)
    accepted(requests.group(SESSION, agents, all_or_nothing=False))

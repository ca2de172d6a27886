"""The example portal's forms become requests; golden pages show what its pages say."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.portal.envelope import Envelope
from local.portal.exchange import Exchange
from local.portal.journal import Journal
from local.portal.offer import Offer
from local.portal.pages import pages
from local.portal.people import STAFF
from local.portal.settings import from_environment
from shared.events.index import BY_TYPE
from shared.messaging.broker import KafkaSettings, client_options
from tests.support.builders import a_question
from tests.support.certificates import Authority

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
ZOE = STAFF[0]
SIRET = ZOE.employer.siret
ENVIRONMENT = {
    "PORTAL": "exemple",
    "KEY_ID": "demo",
    "SECRET": "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=",
    "CATALOGUE_URL": "http://catalogue.example",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
}
SETTINGS = from_environment(ENVIRONMENT)
A_SESSION = {
    "session_id": SESSION,
    "offer_id": "ia-et-territoires",
    "format": "local_event",
    "title": "IA et territoires à Rennes : le CNFPT s’engage <vraiment>",
    "status": "published",
    "enrolment": "open",
    "enrolment_opens_at": "2026-11-16T08:00:00Z",
    "enrolment_closes_at": "2026-12-17T23:00:00Z",
    "starts_at": "2026-12-22T08:30:00Z",
    "ends_at": "2026-12-22T16:00:00Z",
    "timezone": "Europe/Paris",
    "capacity": 120,
    "approval": "none",
    "organiser": "bretagne",
    "venue": "Délégation Bretagne du CNFPT, Rennes",
    "questions": [
        a_question("amenagement", "adjustment"),
        a_question("repas", "choice"),
        a_question("train", "yes_no"),
        a_question("equipe", "number", functions=["encadrant"]),
        a_question("attentes", "text"),
    ],
    "occupancy": {"capacity": 120, "enrolled": 119, "waiting": 0, "offered": 0},
}


class PortalServer:
    """The portal's pages over a catalogue of one session; nothing reaches Kafka."""

    def __init__(self, journal: Journal, browser: httpx.AsyncClient) -> None:
        self.journal = journal
        self.browser = browser

    async def post(self, path: str, **fields: Any) -> str:
        """Send a form; where it leads."""
        answer = await self.browser.post(path, data=fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def get(self, path: str) -> str:
        answer = await self.browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def asked(self) -> Envelope:
        """The only request, which is as the contract says."""
        [envelope] = [travel.envelope for travel in self.journal.travels if travel.way == "sent"]
        BY_TYPE[envelope.attribute("type")].model_validate(envelope.data)
        return envelope

    async def hear(self, name: str, **members: Any) -> None:
        number = len(self.journal.travels) + 1
        about = {"enrolment_id": "1", "version": number, "session_id": SESSION, "agent": ZOE.as_json()}
        headers = (("ce_id", str(number)), ("ce_type", f"fr.cnfpt.enrolment.{name}.v1"))
        data = about | {"request_id": None} | members
        self.journal.add_answers([(Envelope("portal.answers.exemple", "EX-101", headers, data), 0, 0)])


def catalogue(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/v1/sessions":
        return httpx.Response(200, json={"items": [A_SESSION], "next": None})
    found = request.url.path == f"/api/v1/sessions/{SESSION}"
    return httpx.Response(200, json=A_SESSION) if found else httpx.Response(404)


def catalogue_of(*sessions: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(200, json={"items": sessions, "next": None})


@asynccontextmanager
async def a_portal(
    path: Path, answer: Callable[[httpx.Request], httpx.Response]
) -> AsyncIterator[PortalServer]:
    journal = Journal(path)
    upstream = httpx.AsyncClient(base_url="http://catalogue.example", transport=httpx.MockTransport(answer))
    application = pages(SETTINGS, journal, Exchange(SETTINGS, journal), Offer(upstream))
    browser = httpx.AsyncClient(base_url="http://portal.example", transport=httpx.ASGITransport(application))
    async with upstream, browser:
        yield PortalServer(journal, browser)


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[PortalServer]:
    async with a_portal(tmp_path / "journal.jsonl", catalogue) as portal:
        yield portal


IN_SESSION, OF_ZOE, OF_EMPLOYER = f"/sessions/{SESSION}", "/agents/EX-101", f"/employeurs/{SIRET}"
TWO = ["EX-101", "EX-102"]
FORMS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (f"{IN_SESSION}/inscription", {}, "EnrolmentRequested", {"session_id": SESSION}),
    (f"{IN_SESSION}/desistement", {"par": "agent"}, "WithdrawalRequested", {"by": "agent"}),
    (
        f"{IN_SESSION}/desistement",
        {"par": "employer", "motif": "Départ"},
        "WithdrawalRequested",
        {"by": "employer", "reason": "Départ"},
    ),
    (f"{IN_SESSION}/reponse", {"reponse": "oui"}, "SeatOfferAnswered", {"accepted": True}),
    (f"{IN_SESSION}/reponse", {"reponse": "non"}, "SeatOfferAnswered", {"accepted": False}),
    (f"{IN_SESSION}/accord", {"reponse": "oui"}, "ApprovalDecided", {"granted": True}),
    (
        f"{IN_SESSION}/accord",
        {"reponse": "non", "motif": "Effectif"},
        "ApprovalDecided",
        {"granted": False, "reason": "Effectif"},
    ),
    (
        f"{OF_ZOE}/abonnement",
        {"offre": "ia-et-territoires", "suivre": "oui"},
        "SubscriptionChanged",
        {"offer": "ia-et-territoires", "subscribed": True},
    ),
    (f"{OF_ZOE}/effacement", {}, "AgentErasureRequested", {"agent_id": "EX-101"}),
    (f"{OF_ZOE}/correction", {"courriel": "z@n.example"}, "AgentCorrected", {"email": "z@n.example"}),
    (
        f"{OF_EMPLOYER}/groupe",
        {"session_id": SESSION, "agents": TWO, "ensemble": "oui"},
        "GroupEnrolmentRequested",
        {"all_or_nothing": True, "may_wait": False},
    ),
    (
        f"{OF_EMPLOYER}/groupe",
        {"session_id": SESSION, "agents": TWO, "attendre": "oui"},
        "GroupEnrolmentRequested",
        {"all_or_nothing": True, "may_wait": True},
    ),
    (
        f"{OF_EMPLOYER}/sur-mesure",
        {"theme": "enjeux-ia", "nombre": "12", "message": "Au printemps"},
        "BespokeTrainingRequested",
        {"siret": SIRET, "trainees": 12},
    ),
]


@pytest.mark.parametrize(("path", "fields", "name", "members"), FORMS)
async def test_a_button_sends_what_it_says(
    portal: PortalServer, path: str, fields: dict[str, Any], name: str, members: dict[str, Any]
) -> None:
    await portal.post(path, **{"agent_id": "EX-101"} | fields)
    asked = portal.asked()
    assert asked.name == name
    assert asked.data.items() >= members.items()
    assert asked.attribute("signature").startswith("v1,")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (f"{IN_SESSION}/inscription", {"agent_id": ""}),
        (f"{IN_SESSION}/inscription", {"agent_id": "nobody"}),
        ("/agents", {"prenom": "Léa"}),
        ("/agents", {}),
        (f"{OF_ZOE}/correction", {"courriel": "zoe"}),
        (f"{OF_EMPLOYER}/groupe", {"session_id": SESSION}),
        (f"{OF_EMPLOYER}/groupe", {"session_id": "", "agents": "EX-101"}),
        (f"{OF_EMPLOYER}/sur-mesure", {"nombre": "0"}),
        (f"{IN_SESSION}/inscription", {"agent_id": "EX-101", "question-repas": "carné"}),
        (f"{IN_SESSION}/inscription", {"agent_id": "EX-101", "question-attentes": "x" * 1001}),
    ],
)
async def test_a_form_with_mistakes_sends_nothing(
    portal: PortalServer, path: str, fields: dict[str, Any]
) -> None:
    assert (await portal.browser.post(path, data=fields)).status_code == 422
    assert portal.journal.travels == []


async def test_a_new_person_asks_for_a_seat(portal: PortalServer) -> None:
    person = {"prenom": "Léa", "nom": "Martin", "courriel": "lea.martin@ville.example"}
    address = await portal.post("/agents", fonction="encadrant", siret=SIRET, **person)
    assert "Léa Martin" in await portal.get(address)
    await portal.post(f"{IN_SESSION}/inscription", agent_id=address.removeprefix("/agents/"))
    assert portal.asked().data["agent"]["family_name"] == "Martin"


async def test_a_person_with_a_seat_asks_for_a_seat_in_another_session_of_the_offer(tmp_path: Path) -> None:
    elsewhere = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12"
    there = A_SESSION | {"session_id": elsewhere, "questions": [a_question("repas", "choice", required=True)]}
    other_offer = A_SESSION | {"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a13", "offer_id": "mooc"}
    offered = catalogue_of(A_SESSION, there, other_offer)
    async with a_portal(tmp_path / "journal.jsonl", offered) as portal:
        await portal.hear("AgentEnrolled")
        path, move = f"{IN_SESSION}/changement", {"agent_id": "EX-101", "vers": elsewhere}
        for wrong in ("", SESSION, str(other_offer["session_id"])):
            assert (await portal.browser.post(path, data=move | {"vers": wrong})).status_code == 404
        assert (await portal.browser.post(path, data=move)).status_code == 200, "asks the questions there"
        assert (await portal.browser.post(path, data=move | {"repondu": "oui"})).status_code == 422
        await portal.post(path, **move, repondu="oui", **{"question-repas": "végétarien"})
        asked = portal.asked()
        assert (asked.name, asked.key, asked.data["to_session_id"]) == (
            "SessionSwapRequested",
            SESSION,
            elsewhere,
        )
        assert asked.data["answers"] == [{"question_id": "repas", "value": "végétarien"}]


async def test_an_authority_sends_a_group_of_known_and_invented_people(portal: PortalServer) -> None:
    fields = {"session_id": SESSION, "agents": TWO, "inventer": "3"}
    await portal.post(f"{OF_EMPLOYER}/groupe", **fields)
    agents = [agent["agent_id"] for agent in portal.asked().data["agents"]]
    assert (agents[:2], len(agents), len(portal.journal.newcomers)) == (TWO, 5, 3)


async def test_an_authority_names_the_trainees_of_its_own_training_once_it_is_agreed(
    portal: PortalServer,
) -> None:
    path = f"{OF_EMPLOYER}/stagiaires"
    await portal.post(f"{OF_EMPLOYER}/sur-mesure", theme="enjeux-ia", nombre="12")
    await portal.hear("BespokeRequestAnswered", request_id=portal.asked().id, answer="agreed", agent=None)
    assert (await portal.browser.post(path, data={"session_id": SESSION})).status_code == 422
    await portal.post(path, session_id=SESSION, agents=["EX-102"])
    named = portal.journal.travels[-1].envelope
    assert (named.name, named.topic, named.key) == ("TraineesNominated", "portal.bespoke", SIRET)


async def test_answers_to_the_questions_of_the_organiser_travel(portal: PortalServer) -> None:
    given = {
        "question-amenagement": ["large_print", "sign_language"],
        "question-repas": "végétarien",
        "question-train": "non",
        "question-equipe": "7",  # which is asked of managers, and Zoé is none
        "question-attentes": "",
    }
    await portal.post(f"{IN_SESSION}/inscription", agent_id="EX-101", **given)
    assert portal.asked().data["answers"] == [
        {"question_id": "amenagement", "value": ["large_print", "sign_language"]},
        {"question_id": "repas", "value": "végétarien"},
        {"question_id": "train", "value": False},
    ]


async def test_a_form_of_another_site_and_an_address_of_nothing_do_nothing(portal: PortalServer) -> None:
    foreign = {"Origin": "http://elsewhere.example"}
    fields = {"agent_id": "EX-101"}
    answer = await portal.browser.post(f"{IN_SESSION}/inscription", data=fields, headers=foreign)
    assert answer.status_code == 403
    for path in ("/agents/nobody", "/employeurs/1", "/sessions/none"):
        assert (await portal.browser.get(path)).status_code == 404
    assert portal.journal.travels == []


async def test_without_the_catalogue_a_page_still_says_what_was_answered(tmp_path: Path) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with a_portal(tmp_path / "journal.jsonl", away) as portal:
        await portal.hear("AgentEnrolled")
        answer = await portal.browser.get("/agents/EX-101")
        assert (answer.status_code, "Inscription confirmée" in answer.text) == (503, True)
        assert (await portal.browser.get("/nouvelles?connu=0")).json() == {"moves": 1}


def test_a_broker_that_asks_for_a_log_in_is_reached_as_the_services_reach_it(tmp_path: Path) -> None:
    secured = {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka-1.example:9094,kafka-2.example:9094",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "portal-exemple",
        "KAFKA_SASL_PASSWORD": "secret",
        "KAFKA_CA_FILE": str(Authority(tmp_path).file),
    }
    portal = dict(from_environment(ENVIRONMENT | secured).kafka)
    settings = KafkaSettings.model_validate({name.lower(): value for name, value in secured.items()})
    service = client_options(settings, portal["client_id"])
    trusted = [options.pop("ssl_context").get_ca_certs() for options in (portal, service)]
    assert trusted[0] == trusted[1] != []
    assert portal == service

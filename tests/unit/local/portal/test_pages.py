"""The example portal's forms become requests; its pages show what became of them."""

import re
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
from shared.events import BY_TYPE
from tests.support.builders import a_question

SESSION = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a11"
ZOE, LOIC = STAFF[:2]
SIRET = ZOE.employer.siret
SETTINGS = from_environment(
    {
        "PORTAL": "exemple",
        "KEY_ID": "demo",
        "SECRET": "whsec_cGFyY291cnMtZXhhbXBsZS1zZWNyZXQtMzItYnl0ZXM=",
        "CATALOGUE_URL": "http://catalogue.example",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    }
)
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


ELSEWHERE = "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a12"
AN_OTHER = A_SESSION | {"session_id": ELSEWHERE, "venue": "Délégation Bretagne du CNFPT, Brest"}
OF_ANOTHER_OFFER = A_SESSION | {"session_id": "6f0c2f0e-6a0e-5d0e-9d0c-0d6d1f9f2a13", "offer_id": "mooc"}


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
        data = {
            "enrolment_id": "1",
            "version": len(self.journal.travels) + 1,
            "request_id": None,
            "session_id": SESSION,
            "agent": ZOE.as_json(),
            **members,
        }
        headers = (
            ("ce_id", str(len(self.journal.travels))),
            ("ce_type", f"fr.cnfpt.enrolment.{name}.v1"),
        )
        self.journal.add_answers([(Envelope("portal.answers.exemple", "EX-101", headers, data), 0, 0)])


def catalogue(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/v1/sessions":
        return httpx.Response(200, json={"items": [A_SESSION], "next": None})
    found = request.url.path == f"/api/v1/sessions/{SESSION}"
    return httpx.Response(200, json=A_SESSION) if found else httpx.Response(404)


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


async def test_a_person_asks_for_a_seat_and_sees_the_request_travel(portal: PortalServer) -> None:
    page = await portal.get(f"/sessions/{SESSION}?agent_id=EX-101")
    assert "IA et territoires à Rennes : le CNFPT s’engage &lt;vraiment&gt;" in page
    assert "1 place libre sur 120" in page
    assert "jusqu’au jeudi 17 décembre 2026 inclus" in page
    assert re.search(r'value="EX-101" selected', page)

    assert await portal.post(f"/sessions/{SESSION}/inscription", agent_id="EX-101") == "/agents/EX-101"

    asked = portal.asked()
    assert (asked.name, asked.topic, asked.key) == ("EnrolmentRequested", "portal.enrolments", SESSION)
    assert asked.attribute("signature").startswith("v1,")
    page = await portal.get("/agents/EX-101")
    assert "Demande envoyée" in page
    assert "en cours d’envoi" in page
    portal.journal.acknowledge(asked, 4, 12)
    await portal.hear("AgentEnrolled", request_id=asked.id)
    page = await portal.get("/agents/EX-101")
    assert "Inscription confirmée" in page
    assert "partition 4, n°\u00a012" in page
    assert "répondu en" in page


@pytest.mark.parametrize("chosen", ["nouvelle", ""])
async def test_a_new_person_asks_for_a_seat(portal: PortalServer, chosen: str) -> None:
    address = await portal.post(
        f"/sessions/{SESSION}/inscription",
        agent_id=chosen,
        prenom="Léa",
        nom="Martin",
        courriel="lea.martin@ville.example",
        fonction="encadrant",
        siret=SIRET,
    )
    assert portal.asked().data["agent"]["family_name"] == "Martin"
    assert "Bonjour Léa Martin" in await portal.get(address)


async def test_who_described_somebody_and_made_a_mistake_sees_it_beside_the_field(
    portal: PortalServer,
) -> None:
    form = {"agent_id": "", "prenom": "Léa", "nom": "Martin", "courriel": "lea"}
    answer = await portal.browser.post(f"/sessions/{SESSION}/inscription", data=form)
    assert '<details id="nouvelle-personne" open>' in answer.text
    assert 'id="courriel-faute"' in answer.text


async def test_a_form_with_mistakes_names_them_and_sends_nothing(portal: PortalServer) -> None:
    for path, fields in (
        (f"/sessions/{SESSION}/inscription", {"agent_id": ""}),
        (f"/sessions/{SESSION}/inscription", {"agent_id": "nouvelle", "courriel": "lea"}),
        ("/agents", {"prenom": "Léa"}),
        (f"/employeurs/{SIRET}/groupe", {"session_id": SESSION}),
        (f"/employeurs/{SIRET}/groupe", {"session_id": "", "agents": "EX-101"}),
        (f"/employeurs/{SIRET}/sur-mesure", {"nombre": "0"}),
    ):
        answer = await portal.browser.post(path, data=fields)
        assert answer.status_code == 422, path
        for field in re.findall(r'<li><a href="#([a-z0-9-]+)">', answer.text):
            assert f'id="{field}"' in answer.text, f"the summary of {path} leads to {field}"
        assert "est à corriger" in answer.text or "sont à corriger" in answer.text
    assert portal.journal.travels == []


IN_SESSION, OF_ZOE, OF_EMPLOYER = f"/sessions/{SESSION}", "/agents/EX-101", f"/employeurs/{SIRET}"
TWO = ["EX-101", "EX-102"]
FORMS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
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
    (
        f"{OF_ZOE}/abonnement",
        {"offre": "ia-et-territoires", "suivre": "non"},
        "SubscriptionChanged",
        {"subscribed": False},
    ),
    (f"{OF_ZOE}/effacement", {}, "AgentErasureRequested", {"agent_id": "EX-101"}),
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
]


@pytest.mark.parametrize(("path", "fields", "name", "members"), FORMS)
async def test_a_button_sends_what_it_says(
    portal: PortalServer, path: str, fields: dict[str, Any], name: str, members: dict[str, Any]
) -> None:
    await portal.post(path, **{"agent_id": "EX-101"} | fields)
    asked = portal.asked()
    assert asked.name == name
    assert asked.data.items() >= members.items()


async def test_who_has_a_seat_asks_for_one_in_another_session_of_the_offer(tmp_path: Path) -> None:
    def three_sessions(request: httpx.Request) -> httpx.Response:
        items = [A_SESSION, AN_OTHER, OF_ANOTHER_OFFER]
        return httpx.Response(200, json={"items": items, "next": None})

    async with a_portal(tmp_path / "journal.jsonl", three_sessions) as portal:
        assert "Changer de session" not in await portal.get("/agents/EX-101")
        await portal.hear("AgentEnrolled")
        page = await portal.get("/agents/EX-101")
        others = page.split('name="vers">', 1)[1].split("</select>", 1)[0]
        assert re.findall('<option value="([^"]*)">', others) == [ELSEWHERE]
        path = f"/sessions/{SESSION}/changement"
        for wrong in ("", SESSION, str(OF_ANOTHER_OFFER["session_id"])):
            answer = await portal.browser.post(path, data={"agent_id": "EX-101", "vers": wrong})
            assert answer.status_code == 404
        await portal.post(path, agent_id="EX-101", vers=ELSEWHERE, repondu="oui")
        asked = portal.asked()
        assert (asked.name, asked.key) == ("SessionSwapRequested", SESSION)
        assert asked.data["to_session_id"] == ELSEWHERE


async def test_who_moves_answers_the_questions_of_the_session_where_they_go(tmp_path: Path) -> None:
    """Else a session that needs an answer could not be moved to."""
    there = AN_OTHER | {"questions": [a_question("repas", "choice", required=True)]}

    def two_sessions(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": [A_SESSION, there], "next": None})

    async with a_portal(tmp_path / "journal.jsonl", two_sessions) as portal:
        path, move = f"/sessions/{SESSION}/changement", {"agent_id": "EX-101", "vers": ELSEWHERE}
        shown = await portal.browser.post(path, data=move)
        assert (shown.status_code, "Répondez à la question" in shown.text) == (200, False)
        assert "Que répondez-vous à « repas »" in shown.text
        assert (await portal.browser.post(path, data=move | {"repondu": "oui"})).status_code == 422
        assert portal.journal.travels == []
        await portal.post(path, **move, repondu="oui", **{"question-repas": "végétarien"})
        assert portal.asked().data["answers"] == [{"question_id": "repas", "value": "végétarien"}]


async def test_an_agent_corrects_their_address_which_the_portal_then_sends(portal: PortalServer) -> None:
    path = "/agents/EX-101/correction"
    assert (await portal.browser.post(path, data={"courriel": "zoe"})).status_code == 422
    await portal.post(path, courriel="zoe@nouvelle.example")
    asked = portal.asked()
    assert (asked.topic, asked.key, asked.name) == ("portal.agents", "EX-101", "AgentCorrected")
    assert asked.data == {"agent_id": "EX-101", "email": "zoe@nouvelle.example"}
    assert "zoe@nouvelle.example" in await portal.get("/agents/EX-101")
    await portal.post(f"/sessions/{SESSION}/inscription", agent_id="EX-101")
    assert portal.journal.travels[-1].envelope.data["agent"]["email"] == "zoe@nouvelle.example"


async def test_an_authority_sends_a_group_of_people_who_are_there_and_invented_ones(
    portal: PortalServer,
) -> None:
    fields = {"session_id": SESSION, "agents": ["EX-101", "EX-102"], "inventer": "3", "ensemble": "oui"}
    await portal.post(f"/employeurs/{SIRET}/groupe", **fields)
    asked = portal.asked()
    assert [agent["agent_id"] for agent in asked.data["agents"]][:2] == ["EX-101", "EX-102"]
    assert len(asked.data["agents"]) == 5
    assert (asked.data["all_or_nothing"], asked.data["may_wait"]) == (True, False)
    assert len(portal.journal.newcomers) == 3


async def test_an_authority_has_training_of_its_own_and_names_its_trainees(portal: PortalServer) -> None:
    await portal.post(
        f"/employeurs/{SIRET}/sur-mesure", theme="enjeux-ia", nombre="12", message="Au printemps"
    )
    asked = portal.asked()
    assert (asked.name, asked.key, asked.data["trainees"]) == ("BespokeTrainingRequested", SIRET, 12)
    await portal.hear("BespokeRequestAnswered", request_id=asked.id, answer="agreed", agent=None)
    assert "Désigner les stagiaires" in await portal.get(f"/employeurs/{SIRET}")
    nobody = await portal.browser.post(f"/employeurs/{SIRET}/stagiaires", data={"session_id": SESSION})
    assert (nobody.status_code, 'id="stagiaires-1"' in nobody.text) == (422, True)
    await portal.post(f"/employeurs/{SIRET}/stagiaires", session_id=SESSION, agents=["EX-102"])
    named = portal.journal.travels[-1].envelope
    assert (named.name, named.topic, named.key) == ("TraineesNominated", "portal.bespoke", SIRET)


async def test_a_rejection_names_what_is_wrong(portal: PortalServer) -> None:
    await portal.post(f"/sessions/{SESSION}/inscription", agent_id="EX-101")
    problems = [{"pointer": "/agent/email", "message": "is no address"}]
    await portal.hear(
        "RequestRejected", request_id=portal.asked().id, code="invalid", problems=problems, agent=None
    )
    page = await portal.get("/agents/EX-101")
    assert "Demande rejetée" in page
    assert page.count("Zoé Durand</p>") == 2, "the request and its rejection say whom they are about"
    assert "/agent/email\u00a0: is no address" in page


async def test_a_form_of_another_site_and_an_address_of_nothing_do_nothing(portal: PortalServer) -> None:
    foreign = {"Origin": "http://elsewhere.example"}
    fields = {"agent_id": "EX-101"}
    answer = await portal.browser.post(f"/sessions/{SESSION}/inscription", data=fields, headers=foreign)
    assert answer.status_code == 403
    for path in ("/agents/nobody", "/employeurs/1", "/sessions/none"):
        assert (await portal.browser.get(path)).status_code == 404
    assert portal.journal.travels == []


async def test_without_the_catalogue_what_was_answered_is_still_told(tmp_path: Path) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with a_portal(tmp_path / "journal.jsonl", away) as portal:
        await portal.hear("AgentEnrolled")
        answer = await portal.browser.get("/agents/EX-101")
        assert answer.status_code == 503
        assert "Le catalogue ne répond pas" in answer.text
        assert "Inscription confirmée" in answer.text, "in what travels"


async def test_news_are_told_at_once(portal: PortalServer) -> None:
    await portal.hear("AgentEnrolled")
    assert (await portal.browser.get("/nouvelles?connu=0")).json() == {"moves": 1}


async def test_what_the_organiser_asks_is_in_the_form_and_the_answers_travel(portal: PortalServer) -> None:
    page = await portal.get(f"/sessions/{SESSION}?agent_id=EX-101")
    assert page.count("Que répondez-vous à «") == 5
    assert "Réponse facultative, conservée 30 jours après la session." in page
    assert "Interprétation en langue des signes" in page
    await portal.post(
        f"/sessions/{SESSION}/inscription",
        agent_id="EX-101",
        **{
            "question-amenagement": ["large_print", "sign_language"],
            "question-repas": "végétarien",
            "question-train": "non",
            "question-equipe": "7",
            "question-attentes": "",
        },
    )
    assert ZOE.function == "agent"  # of whom the number is not asked
    assert portal.asked().data["answers"] == [
        {"question_id": "amenagement", "value": ["large_print", "sign_language"]},
        {"question_id": "repas", "value": "végétarien"},
        {"question_id": "train", "value": False},
    ]
    assert "3 réponses aux questions" in await portal.get("/agents/EX-101")


@pytest.mark.parametrize(
    ("question", "typed", "sentence"),
    [
        (
            a_question("repas", "choice", required=True),
            "",
            "Répondez à la question « Que répondez-vous à « repas » ? ».",
        ),
        (a_question("repas", "choice"), "carné", "Choisissez une réponse."),
        (a_question("repas", "number"), "douze", "Indiquez un nombre entier."),
        (a_question("repas", "text"), "x" * 1001, "1 000 caractères au plus."),
    ],
)
async def test_what_a_question_does_not_take_is_said_beside_it_and_nothing_is_sent(
    tmp_path: Path, question: dict[str, Any], typed: str, sentence: str
) -> None:
    def asks(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=A_SESSION | {"questions": [question]})

    async with a_portal(tmp_path / "journal.jsonl", asks) as portal:
        fields = {"agent_id": "EX-101", "question-repas": typed}
        answer = await portal.browser.post(f"/sessions/{SESSION}/inscription", data=fields)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert portal.journal.travels == []

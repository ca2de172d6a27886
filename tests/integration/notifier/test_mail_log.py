"""The mail log of support staff: what was sent to an agent, what became of it, and sending it again."""

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.notifier import api, pages
from services.notifier.render import Renderer
from services.notifier.service import mails
from services.notifier.store import mails as stored_mails
from services.notifier.tables import MailState
from shared import clock, security_log
from shared.auth import Tokens
from shared.database import Database
from shared.events.catalogue import (
    BespokeRequestAnswered,
    SessionChanged,
    SessionScheduled,
    SessionTrainersChanged,
)
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.events.erasure import AgentErased
from shared.events.portal import AgentErasureRequested
from shared.limits import Rate
from shared.messaging import dead_letters
from shared.messaging.dead_letters import Parked
from shared.references import reference_of
from shared.web.links import OPERATIONS, Links, Purpose
from shared.web.rendering import Sites
from shared.web.responses import PRIVATE
from tests.conftest import settings_of
from tests.integration.notifier.conftest import Notifier
from tests.support.consuming import a_record
from tests.support.guards import a_guard
from tests.support.processes import run_cli
from tests.support.smtp import Drop
from tests.unit.notifier.builders import SENDER, SESSION_ID, a_decision, a_session, an_agent, at
from tests.unit.notifier.reading import body

OPERATIONS_OF = {service: f"http://{service}{path}" for service, path in OPERATIONS.items()}
NOWHERE = Links(["nothing else knows it"], dict.fromkeys(Purpose, "https://nowhere.invalid"))


PURPOSE = "demande 4711"
SUPPORT = {"authorization": "Bearer support"}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    file = tmp_path / "tokens.json"
    file.write_text(
        json.dumps(
            [
                {
                    "name": f"{role}-name",
                    "role": role,
                    "delegation": None,
                    "sha256": hashlib.sha256(role.encode()).hexdigest(),
                }
                for role in ("support", "organiser")
            ]
        )
    )
    return Tokens(file)


def application(notifier: Notifier, tokens: Tokens, *, signs_requests: bool = True) -> FastAPI:
    guard = a_guard(notifier.database)
    renderer = Renderer(SENDER, NOWHERE, now=lambda: at("2025-03-10T14:06+01:00"))
    app = api.build(notifier.database, tokens, guard, renderer)
    pages.staff.add_to(
        app,
        notifier.database,
        pages.rendering(Sites(catalogue="http://catalogue", operations=OPERATIONS_OF), PRIVATE),
        tokens=tokens,
        guard=guard,
        renderer=renderer,
        public_url="http://courriels.example",
        signs_requests=signs_requests,
    )
    return app


@pytest.fixture
async def browser(notifier: Notifier, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(notifier, tokens))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", follow_redirects=True
    ) as client:
        yield client


@pytest.fixture
async def sent(notifier: Notifier) -> Notifier:
    """One mail, sent."""
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    await notifier.deliver()
    return notifier


async def log_in(browser: httpx.AsyncClient) -> str:
    """Log in, and say what for; the key of forms."""
    response = await browser.post("/courriels/suivi/connexion", data={"jeton": "support"})
    assert response.status_code == 200
    found = re.search('name="cle" value="([^"]+)"', response.text)
    assert found is not None
    await browser.post("/courriels/suivi", data={"cle": found[1], "motif": PURPOSE, "agent": "nobody"})
    return found[1]


async def test_the_log_is_walked_in_both_directions_and_shows_the_same(
    notifier: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(
        *(
            a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(agent_id=f"A-{number}"))
            for number in range(5)
        )
    )
    search = {"cle": await log_in(browser), "motif": PURPOSE}

    async def walk(way: str, place: str | None = None) -> tuple[list[list[str]], str | None]:
        parts = []
        while True:
            where = {} if place is None else {way: place}
            page = (await browser.post("/courriels/suivi", data=search | where)).text
            parts.append(re.findall('<a href="/courriels/suivi/([0-9a-f-]{36})">', page))
            found = re.search(f'name="{way}" value="([^"]+)"', page)
            if found is None:
                return parts, place
            place = found[1]

    ((whole,), _) = await walk("apres")
    assert len(whole) == 5
    monkeypatch.setattr("services.notifier.pages.mail_log.PAGE", 2)
    forward, last = await walk("apres")
    assert forward == [whole[:2], whole[2:4], whole[4:]]
    page = (await browser.post("/courriels/suivi", data=search | {"apres": last or ""})).text
    (back,) = re.findall('name="avant" value="([^"]+)"', page)
    backward, _ = await walk("avant", back)
    assert backward == [whole[2:4], whole[:2]]


async def test_only_support_staff_log_in(sent: Notifier, browser: httpx.AsyncClient) -> None:
    for path in ("", f"/{uuid4()}", f"/{uuid4()}/lettre"):
        door = await browser.get(f"/courriels/suivi{path}")
        assert "Jeton d’accès" in door.text
        # Under no-referrer a browser says "Origin: null" of its form, which is nobody's.
        assert door.headers["referrer-policy"] == "same-origin"
    for token in ("organiser", "nobody", ""):
        refused = await browser.post("/courriels/suivi/connexion", data={"jeton": token})
        assert refused.status_code == 403
        assert not browser.cookies
    for origin in ("https://evil.example", "http://[bad", "null"):
        foreign = await browser.post(
            "/courriels/suivi/connexion", data={"jeton": "support"}, headers={"origin": origin}
        )
        assert foreign.status_code == 403
    through_a_proxy = {"origin": "http://courriels.example"}
    known = await browser.post(
        "/courriels/suivi/connexion", data={"jeton": "support"}, headers=through_a_proxy
    )
    assert known.status_code == 200
    await log_in(browser)
    cookie = next(iter(browser.cookies.jar))
    assert cookie.path == "/"
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert "support" not in str(cookie.value)


async def test_while_the_database_is_away_a_page_says_so(tokens: Tokens) -> None:
    away = Database("postgresql://x@127.0.0.1:1/x", application_name="test")
    app = FastAPI()
    pages.staff.add_to(
        app,
        away,
        pages.rendering(Sites(catalogue="http://catalogue", operations=OPERATIONS_OF), PRIVATE),
        tokens=tokens,
        guard=a_guard(),
        renderer=Renderer(SENDER),
        public_url="http://courriels.example",
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", follow_redirects=True
    ) as client:
        response = await client.post("/courriels/suivi/connexion", data={"jeton": "support"})
    assert response.status_code == 503
    assert "momentanément indisponible" in response.text
    await away.close()


async def test_an_agents_mails_are_found_and_shown_without_links_that_work(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    row = await sent.row()
    found = await browser.post(
        "/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": "IEL-0048151", "etat": "sent"}
    )
    assert "Votre inscription est confirmée" in found.text
    assert "Remis au serveur de messagerie" in found.text
    assert '<span class="quiet">Rennes, jeudi 3 avril 2025 (IA et territoires)</span>' in found.text
    nobody = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": "OTHER"})
    assert "Aucun courriel ne correspond" in nobody.text
    assert f'name="motif" type="text" value="{PURPOSE}"' in nobody.text, "who found nobody looks again"
    wrong = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": "é à"})
    assert wrong.status_code == 422
    page = await browser.get(f"/courriels/suivi/{row.mail_id}")
    assert "zoe.durand@ville-exemple.fr" in page.text
    assert "Bonjour Zoé Durand," in page.text
    assert row.message_id.strip("<>") in page.text
    letter = await browser.get(f"/courriels/suivi/{row.mail_id}/lettre")
    assert "sandbox" in letter.headers["content-security-policy"]
    for text in (page.text, letter.text):
        assert "https://nowhere.invalid/" in text
    assert (await browser.get(f"/courriels/suivi/{uuid4()}")).status_code == 404


async def test_two_issuers_same_identifier_are_both_shown_and_told_apart(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    for issuer in ("iel", "martinique"):
        agent = an_agent(agent_id="1001", issuer=issuer)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=agent))
    key = await log_in(browser)

    both = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": "1001"})
    assert "1001, iel<" in both.text
    assert "1001, martinique<" in both.text
    only = await browser.post(
        "/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": "1001", "emetteur": "iel"}
    )
    assert "1001, iel<" in only.text
    assert "martinique" not in only.text
    wrong = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "emetteur": "I é"})
    assert wrong.status_code == 422
    (row,) = await notifier.rows(where="issuer = 'martinique'")
    assert "(1001, martinique)" in (await browser.get(f"/courriels/suivi/{row.mail_id}")).text


async def searched(browser: httpx.AsyncClient, purpose: str, **search: str) -> httpx.Response:
    headers = SUPPORT | {"read-purpose": quote(purpose)}
    return await browser.post("/api/v1/mails/search", json=search, headers=headers)


async def test_the_mails_of_an_agent_are_found_by_the_reference_that_a_letter_names(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    enrolment_id = uuid4()
    for issuer, its_id in (("iel", enrolment_id), ("martinique", uuid4())):
        agent = an_agent(agent_id="1001", issuer=issuer)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=its_id, agent=agent))
    key = await log_in(browser)
    typed = reference_of(enrolment_id).lower()
    found = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": typed})
    assert "1001, iel<" in found.text
    assert "martinique" not in found.text
    for dictated in (typed.replace("-", " "), f" {' '.join(typed)} "):
        found = await browser.post("/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": dictated})
        assert "1001, iel<" in found.text, dictated
        answer = await searched(browser, PURPOSE, agent_id=dictated)
        assert [item["issuer"] for item in answer.json()["items"]] == ["iel"], dictated
    last = "Z" if typed[-1] != "z" else "Y"
    other = await browser.post(
        "/courriels/suivi", data={"cle": key, "motif": PURPOSE, "agent": typed[:-1] + last}
    )
    assert "Aucun courriel ne correspond" in other.text


async def test_each_reference_that_a_letter_asks_to_quote_leads_to_that_letter(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    trainer = {"trainer_id": uuid4(), "name": "Léo Petit", "email": "leo@ville.example"}
    of_session = {"session_id": SESSION_ID, "session_version": 2}
    start = clock.now() + timedelta(days=30)
    when = {"starts_at": start, "ends_at": start + timedelta(hours=7)}
    led_by = a_session(version=2, trainer_ids=[trainer["trainer_id"]], **when).model_dump()
    await sent.hear(SessionChanged.model_validate(led_by))
    await sent.hear(SessionTrainersChanged.model_validate(of_session | {"trainers": [trainer]}))
    await sent.hear(
        BespokeRequestAnswered.model_validate(
            {
                "request_id": uuid4(),
                "siret": "21350238800019",
                "answer": "proposed",
                "requested_by": {"name": "Anne Le Bris", "email": "anne.lebris@ville.example"},
                "advisor": {"name": "Yann Le Goff", "email": "yann.legoff@cnfpt.example"},
                "message": "Deux journées à Rennes.",
            }
        )
    )
    await sent.deliver()
    key = await log_in(browser)
    issuers = set()
    for taken in sent.relay.taken:
        (reference,) = set(
            re.findall("référence ([0-9A-Z]{4}-[0-9A-Z]{4})", body(taken.message, "text/plain"))
        )
        (row,) = await sent.rows(where=f"message_id = '{taken.message['Message-ID']}'")
        issuers.add(row.issuer)
        searched_for = {"cle": key, "motif": PURPOSE, "agent": reference}
        found = await browser.post("/courriels/suivi", data=searched_for)
        assert f'href="/courriels/suivi/{row.mail_id}"' in found.text, row.template
        of_whom = re.search('data-label="Agent">([^<]*)<', found.text)
        assert of_whom is not None
        assert of_whom[1].split()[0] in {"IEL-0048151,", "collectivité", "formatrice"}
        people = await browser.post(
            "/courriels/suivi/personnes", data={"cle": key, "motif": PURPOSE, "cherche": reference}
        )
        leads_on = "Chercher cette référence parmi les courriels" in people.text
        assert leads_on is (row.issuer == ""), row.template
    assert issuers == {"iel", ""}


async def test_an_identifier_that_looks_like_a_reference_leads_to_no_other_agent(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    enrolment_id = uuid4()
    identifier = reference_of(enrolment_id).replace("-", "")
    for agent_id, its_id in (("1001", enrolment_id), (identifier, uuid4())):
        agent = an_agent(agent_id=agent_id, issuer="iel")
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=its_id, agent=agent))
    for state in ("pending", "failed"):
        answer = await searched(browser, PURPOSE, agent_id=identifier, state=state)
        assert {item["agent_id"] for item in answer.json()["items"]} <= {identifier}, state
    lines = await notifier.query("SELECT DISTINCT agent_id FROM read_log")
    assert [line.agent_id for line in lines] == [identifier]
    answer = await searched(browser, PURPOSE, agent_id=reference_of(enrolment_id))
    assert [item["agent_id"] for item in answer.json()["items"]] == ["1001"]


async def test_a_letter_is_sent_again_on_purpose_as_a_new_mail_with_an_audit_line(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    first = await sent.row()
    forged = await browser.post(
        f"/courriels/suivi/{first.mail_id}", data={"cle": "another", "decision": "renvoyer"}
    )
    assert forged.status_code == 403
    assert len(await sent.rows()) == 1
    page = await browser.post(f"/courriels/suivi/{first.mail_id}", data={"cle": key, "decision": "renvoyer"})
    assert "support-name\u00a0: envoyé à la demande, après le courriel" in page.text
    assert (
        "Ce nouvel envoi est inscrit à votre nom\u00a0; il part à zoe.durand@ville-exemple.fr." in page.text
    )
    assert "Ce nouvel envoi" not in (await browser.get(page.url.path)).text
    assert f'href="/courriels/suivi/{first.mail_id}">' in page.text
    before = await browser.get(f"/courriels/suivi/{first.mail_id}")
    assert "support-name\u00a0: envoyé de nouveau, sous le numéro" in before.text
    assert f'href="{page.url.path}">' in before.text
    assert await sent.deliver() == 1
    counts = sent.relay.per_message_id()
    assert sorted(counts.values()) == [1, 1]
    events = [json.loads(data) for _, data in await sent.published()]
    causes = [event["cause_id"] for event in events]
    assert causes == [str(first.event_id)] * 2, "the event that called for the letter, both times"
    assert [(event["issuer"], event["agent_id"]) for event in events] == [("iel", "IEL-0048151")] * 2
    async with sent.database.quiet_transaction() as tx:
        (line,) = await stored_mails.audit_log(tx, first.mail_id)
    assert line.actor == "support-name"


async def test_what_is_sent_again_goes_to_the_address_of_now(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    """The first may have gone to a wrong mailbox, and its link would open there again."""
    key, first = await log_in(browser), await sent.row()
    correction = {"issuer": "iel", "agent_id": first.recipient, "email": "juste@ville.example"}
    moment = {"corrected_at": clock.now()}
    await sent.hear(AgentDetailsCorrected.model_validate(correction | moment))
    await browser.post(f"/courriels/suivi/{first.mail_id}", data={"cle": key, "decision": "renvoyer"})
    await sent.deliver()
    confirmed = "template <> 'address-corrected'"
    assert [row.address for row in await sent.rows(where=confirmed)] == [first.address, "juste@ville.example"]

    await sent.change(
        "UPDATE mail SET state = 'failed', smtp_code = 550 WHERE address <> 'juste@ville.example'"
    )
    async with sent.database.transaction() as tx:
        await stored_mails.requeue_failed(tx, 550, actor="op", action="resent")
    await sent.deliver()
    assert {row.address for row in await sent.rows(where=confirmed)} == {"juste@ville.example"}


async def test_a_button_pressed_twice_sends_one_more(sent: Notifier, browser: httpx.AsyncClient) -> None:
    key = await log_in(browser)
    path = f"/courriels/suivi/{(await sent.row()).mail_id}"
    shown = await browser.get(path)
    assert 'name="vues" value="0"' in shown.text
    again = {"cle": key, "decision": "renvoyer", "vues": "0"}
    first, second = await browser.post(path, data=again), await browser.post(path, data=again)
    assert first.url == second.url != path
    assert len(await sent.rows()) == 2
    await browser.post(path, data=again | {"vues": "1"})  # on purpose, having seen the first
    assert len(await sent.rows()) == 3


async def test_a_mail_that_waits_for_its_session_is_shown_and_not_sent_again(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    row = await notifier.row()
    key = await log_in(browser)
    path = f"/courriels/suivi/{row.mail_id}"
    shown = await browser.get(path)
    assert "Il attend que sa session soit connue" in shown.text
    assert "Envoyer de nouveau" not in shown.text
    assert (await browser.get(f"{path}/lettre")).status_code == 404
    pressed = await browser.post(path, data={"cle": key, "decision": "renvoyer", "vues": "0"})
    assert pressed.status_code == 409
    assert "Rien n’a été fait" in pressed.text
    assert len(await notifier.rows()) == 1
    headers = {"authorization": "Bearer support"}
    assert (await browser.post(f"/api/v1/mails/{row.mail_id}/resend", headers=headers)).status_code == 409


async def test_what_is_not_so_any_more_is_not_sent_again_either(sent: Notifier) -> None:
    first = await sent.row()
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    async with sent.database.transaction() as tx:
        again = await mails.resend(tx, first.mail_id, actor="op")
    await sent.deliver()
    (row,) = await sent.rows(where=f"mail_id = '{again}'")
    assert row.state == "superseded"


async def test_staff_may_say_that_an_ambiguous_mail_arrived(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    sent.relay.script("DOT", Drop())
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await sent.deliver()
    (row,) = await sent.rows(where="state = 'ambiguous'")
    key = await log_in(browser)
    page = await browser.get(f"/courriels/suivi/{row.mail_id}")
    assert "Il est arrivé" in page.text
    page = await browser.post(f"/courriels/suivi/{row.mail_id}", data={"cle": key, "decision": "arrive"})
    assert "support-name\u00a0: déclaré arrivé" in page.text
    assert "Ce courriel est déclaré arrivé, à votre nom" in page.text
    assert set(await sent.states()) == {MailState.SENT}
    late = await browser.post(f"/courriels/suivi/{row.mail_id}", data={"cle": key, "decision": "arrive"})
    assert late.status_code == 409
    assert "quelqu’un l’a prise entre-temps" in late.text
    assert late.text.count("déclaré arrivé") == 1


async def test_an_ambiguous_mail_that_is_sent_again_is_resolved_and_goes_once_however_often_one_clicks(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    sent.relay.script("DOT", Drop())
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await sent.deliver()
    (row,) = await sent.rows(where="state = 'ambiguous'")
    key = await log_in(browser)
    again = {"cle": key, "decision": "renvoyer", "vues": "0"}
    page = await browser.post(f"/courriels/suivi/{row.mail_id}", data=again)
    assert page.url.path == f"/courriels/suivi/{row.mail_id}"
    assert "support-name\u00a0: remis en file d’envoi" in page.text
    late = await browser.post(f"/courriels/suivi/{row.mail_id}", data=again)
    assert late.status_code == 409
    assert await sent.deliver() == 1
    later = await browser.post(f"/courriels/suivi/{row.mail_id}", data=again)
    assert later.status_code == 409
    assert await sent.states() == [MailState.SENT] * 2


async def test_the_page_of_a_mail_names_the_address_that_it_would_be_sent_again_to(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    path = f"/courriels/suivi/{(await sent.row()).mail_id}"
    await log_in(browser)
    shown = (await browser.get(path)).text
    assert "à l’adresse d’aujourd’hui\u00a0: zoe.durand@ville-exemple.fr." in shown
    assert '<button class="second" name="decision" value="renvoyer">' in shown, "it has arrived"
    moved = {"issuer": "iel", "agent_id": "IEL-0048151", "email": "zoe@ville.example"}
    await sent.hear(AgentDetailsCorrected.model_validate(moved | {"corrected_at": clock.now()}))
    assert "à l’adresse d’aujourd’hui\u00a0: zoe@ville.example." in (await browser.get(path)).text
    await sent.change("UPDATE mail SET state = 'failed'")
    assert '<button name="decision" value="renvoyer">' in (await browser.get(path)).text


async def test_what_waits_for_support_stands_first_with_the_way_to_it(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    sent.relay.script("DOT", Drop())
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await sent.deliver()
    async with sent.database.transaction() as tx:
        await dead_letters.park(tx, [Parked(a_record(a_decision(AgentEnrolled)), None, "no JSON")])
    await log_in(browser)
    page = (await browser.get("/courriels/suivi")).text
    waiting = re.findall(
        r'<a href="([^"]*)">[^<]*</a></th><td role="cell" data-label="Combien">\s*(\d+)', page
    )
    assert waiting == [("/courriels/suivi?etat=ambiguous", "1"), ("/courriels/exploitation/incidents", "1")]
    for service in ("catalogue", "enrolment"):
        assert f'href="{OPERATIONS_OF[service]}/incidents"' in page
    assert 'value="ambiguous" selected' in (await browser.get(waiting[0][0])).text


async def test_the_api_and_the_command_send_again_too(
    sent: Notifier, browser: httpx.AsyncClient, notifier_url: str
) -> None:
    row = await sent.row()
    headers = {"authorization": "Bearer support", "read-purpose": PURPOSE}
    response = await browser.post(f"/api/v1/mails/{row.mail_id}/resend", headers=headers)
    assert response.status_code == 201
    detail = (await browser.get(f"/api/v1/mails/{row.mail_id}", headers=headers)).json()
    assert [line["actor"] for line in detail["decisions"]] == ["support-name"]
    assert (await browser.post(f"/api/v1/mails/{uuid4()}/resend", headers=headers)).status_code == 404
    environment = settings_of("notifier", notifier_url, "localhost:1")
    done = run_cli("notifier", "mails", "resend", str(row.mail_id), "--by", "ops", environment=environment)
    assert done.returncode == 0, done.stderr
    assert len(await sent.rows()) == 3


async def test_somebody_sends_letters_again_up_to_a_limit(
    sent: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mails, "RESENDS", Rate(2, 3600))
    path = f"/courriels/suivi/{(await sent.row()).mail_id}"
    key = await log_in(browser)
    again = {"cle": key, "decision": "renvoyer"}
    assert (await browser.post(path, data=again | {"vues": "0"})).status_code == 200
    headers = {"authorization": "Bearer support"}
    resend = path.replace("/courriels/suivi", "/api/v1/mails") + "/resend"
    assert (await browser.post(resend, headers=headers)).status_code == 201
    assert (await browser.post(resend, headers=headers)).status_code == 429
    assert "Trop de demandes" in (await browser.post(path, data=again | {"vues": "2"})).text
    assert len(await sent.rows()) == 3


ERASURE = "/courriels/suivi/effacement"


async def test_support_sees_who_is_to_be_forgotten_before_it_is_asked(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert "Jeton d’accès" in (await browser.get(ERASURE)).text
    key = await log_in(browser)
    mail = await sent.row()
    typed = {"cle": key, "emetteur": "iel", "agent": "IEL-0048151", "motif": PURPOSE}
    for wrong in ({"motif": ""}, {"emetteur": ""}, {"emetteur": "Iel"}, {"agent": ""}):
        refused = await browser.post(ERASURE, data=typed | wrong)
        assert refused.status_code == 422
        assert 'aria-invalid="true"' in refused.text
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(agent_id="A-2")))
    before = await sent.query("SELECT 1 FROM outbox")

    asked = await browser.post(ERASURE, data=typed)

    assert "<h1>Effacer les données de Zoé Durand\u00a0?</h1>" in asked.text
    assert mail.address in asked.text
    assert "A-2, donné par iel" in asked.text
    assert await sent.query("SELECT 1 FROM outbox") == before
    shown = await sent.query("SELECT agent_id FROM read_log WHERE kind = 'person'")
    assert {line.agent_id for line in shown} == {"IEL-0048151", "A-2"}
    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        done = await browser.post(ERASURE, data=typed | {"confirmer": "oui"})
    assert "L’effacement est demandé à tous les services, sous le numéro" in done.text
    [line] = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    assert re.fullmatch(
        rf"erasure ok who=support:[0-9a-f]{{12}} where={ERASURE} address=[0-9a-f]{{16}} times=1", line
    )
    [event] = await sent.query("SELECT event_id, key, source, data FROM outbox WHERE topic = 'portal.agents'")
    assert (event.key, event.source) == ("IEL-0048151", "/services/notifier")
    assert json.loads(event.data)["issuer"] == "iel"
    [read] = await sent.query("SELECT actor, agent_id, purpose FROM read_log WHERE kind = 'erasure'")
    assert tuple(read) == ("support-name", "IEL-0048151", PURPOSE)


async def test_who_is_nobody_here_is_said_before_they_are_forgotten(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    typed = {"cle": key, "emetteur": "iel", "agent": "IEL-0", "motif": PURPOSE}
    assert "Nous n’avons écrit à personne" in (await browser.post(ERASURE, data=typed)).text
    assert await notifier.query("SELECT 1 FROM outbox") == []


async def test_the_number_of_what_was_asked_is_said_to_be_noted(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await log_in(browser)
    [request_id] = await notifier.take(AgentErasureRequested(agent_id="IEL-1", requested_at=clock.now()))
    page = (await browser.get(f"{ERASURE}?fait={request_id}")).text
    assert f"sous le numéro <strong>{request_id}</strong>" in page
    assert "sous le numéro" not in (await browser.get(f"{ERASURE}?fait={uuid4()}")).text


async def test_who_is_to_be_forgotten_and_which_services_have_done_it_stands_on_the_page_without_a_name(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await log_in(browser)
    request = AgentErasureRequested(agent_id="IEL-0048151", requested_at=clock.now())
    [request_id] = await notifier.take(request)
    answer = AgentErased(
        request_id=request_id, request_source="/tests", service="catalogue", erased_at=clock.now()
    )
    await notifier.take(answer)
    page = (await browser.get("/courriels/suivi/effacement")).text
    assert str(request_id) in page
    assert page.count("pas encore") == 2
    assert "IEL-0048151" not in page


async def test_without_a_key_to_sign_with_nothing_can_be_requested(
    notifier: Notifier, tokens: Tokens
) -> None:
    app = application(notifier, tokens, signs_requests=False)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test", follow_redirects=True
    ) as browser:
        key = await log_in(browser)
        typed = {"cle": key, "emetteur": "iel", "agent": "IEL-1", "motif": PURPOSE, "confirmer": "oui"}
        assert "INTAKE_SIGNING_KEY" in (await browser.post("/courriels/suivi/effacement", data=typed)).text
    assert await notifier.query("SELECT 1 FROM outbox") == []

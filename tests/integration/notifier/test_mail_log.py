"""The mail log of support staff: what was sent to an agent, what became of it, and sending it again."""

import hashlib
import json
import logging
import re
from collections.abc import AsyncIterator
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
from shared.events.catalogue import SessionTrainersChanged
from shared.events.enrolment import AgentEnrolled, EnrolmentWithdrawn
from shared.events.erasure import AgentErased
from shared.events.notifier import EmailSent
from shared.events.portal import AgentErasureRequested
from shared.rates import Rate
from shared.references import reference_of
from shared.web.links import OPERATIONS, Links, Purpose
from shared.web.rendering import Sites
from shared.web.responses import PRIVATE
from tests.integration.notifier.conftest import Notifier, RunCommand, browsing
from tests.integration.notifier.events import bespoke_answered, changed, corrected, in_days, scheduled
from tests.support.guards import a_guard
from tests.support.smtp import Drop
from tests.unit.notifier.builders import SENDER, SESSION_ID, a_decision, an_agent, at
from tests.unit.notifier.reading import body

LOG = "/courriels/suivi"
OPERATIONS_OF = {service: f"http://{service}{path}" for service, path in OPERATIONS.items()}
NOWHERE = Links(["nothing else knows it"], dict.fromkeys(Purpose, "https://nowhere.invalid"))
PURPOSE = "demande 4711"
SUPPORT = {"authorization": "Bearer support"}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Those of support and of organisers: their roles."""
    file = tmp_path / "tokens.json"
    entries = [
        {
            "name": f"{role}-name",
            "role": role,
            "delegation": delegation,
            "sha256": hashlib.sha256(token.encode()).hexdigest(),
        }
        for token, role, delegation in (
            ("support", "support", None),
            ("organiser", "organiser", None),
            ("bretagne", "organiser", "bretagne"),
        )
    ]
    file.write_text(json.dumps(entries))
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
    async with browsing(application(notifier, tokens), follow_redirects=True) as client:
        yield client


@pytest.fixture
async def sent(queued: Notifier) -> Notifier:
    """One mail, sent."""
    await queued.deliver()
    return queued


async def log_in(browser: httpx.AsyncClient) -> str:
    """Log in, and say what for; the key of forms."""
    response = await browser.post(f"{LOG}/connexion", data={"jeton": "support"})
    assert response.status_code == 200
    found = re.search('name="cle" value="([^"]+)"', response.text)
    assert found is not None
    await browser.post(LOG, data={"cle": found[1], "motif": PURPOSE, "agent": "nobody"})
    return found[1]


async def path_of(notifier: Notifier) -> str:
    """The page of the only mail."""
    return f"{LOG}/{(await notifier.row()).mail_id}"


async def an_ambiguous_mail(notifier: Notifier) -> str:
    """Make a mail ambiguous. Returns its page."""
    notifier.relay.script("DOT", Drop())
    await notifier.hear(a_decision(EnrolmentWithdrawn, version=2))
    await notifier.deliver()
    (row,) = await notifier.rows(where="state = 'ambiguous'")
    return f"{LOG}/{row.mail_id}"


async def searched(browser: httpx.AsyncClient, purpose: str, **search: str) -> httpx.Response:
    headers = SUPPORT | {"read-purpose": quote(purpose)}
    return await browser.post("/api/v1/mails/search", json=search, headers=headers)


async def found_in(browser: httpx.AsyncClient, **search: str) -> list[tuple[str, str]]:
    """The agents whose mails a search finds."""
    answer = await searched(browser, PURPOSE, **search)
    return sorted((item["issuer"], item["agent_id"]) for item in answer.json()["items"])


async def test_the_log_of_an_issuer_is_walked_in_both_directions_and_shows_the_same(
    notifier: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for issuer in (*["iel"] * 5, "martinique"):
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(issuer=issuer)))
    search = {"cle": await log_in(browser), "motif": PURPOSE, "emetteur": "iel"}

    async def part(**place: str) -> tuple[list[str], dict[str, str]]:
        page = (await browser.post(LOG, data=search | place)).text
        shown = re.findall('<a href="/courriels/suivi/([0-9a-f-]{36})">', page)
        return shown, dict(re.findall('name="(avant|apres)" value="([^"]+)"', page))

    whole, _ = await part()
    monkeypatch.setattr("services.notifier.pages.mail_log.PAGE", 2)
    first, places = await part()
    second, places = await part(apres=places["apres"])
    back, _ = await part(avant=places["avant"])
    assert (len(whole), first, second, back) == (5, whole[:2], whole[2:4], whole[:2])


async def test_no_page_of_support_is_shown_before_a_log_in(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    mail = await path_of(sent)
    for path in (LOG, mail, f"{mail}/lettre", f"{LOG}/personnes", f"{LOG}/effacement", f"{LOG}/chiffres"):
        door = await browser.get(path)
        assert door.url.path == f"{LOG}/connexion", path
        # Under no-referrer a browser says "Origin: null" of its form, which is nobody's.
        assert door.headers["referrer-policy"] == "same-origin"


async def test_a_letter_is_shown_without_links_that_work(sent: Notifier, browser: httpx.AsyncClient) -> None:
    await log_in(browser)
    page = await browser.get(await path_of(sent))
    letter = await browser.get(f"{await path_of(sent)}/lettre")
    assert "sandbox" in letter.headers["content-security-policy"]
    for text in (page.text, letter.text):
        assert "https://nowhere.invalid/" in text
    assert (await browser.get(f"{LOG}/{uuid4()}")).status_code == 404


async def test_the_mails_of_an_agent_are_found_by_the_reference_that_a_letter_names(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    enrolment_id = uuid4()
    for issuer, its_id in (("iel", enrolment_id), ("martinique", uuid4())):
        agent = an_agent(agent_id="1001", issuer=issuer)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=its_id, agent=agent))
    typed = reference_of(enrolment_id).lower()
    for dictated in (typed, typed.replace("-", " "), f" {' '.join(typed)} "):
        assert await found_in(browser, agent_id=dictated) == [("iel", "1001")], dictated
    other = typed[:-1] + ("z" if typed[-1] != "z" else "y")
    assert await found_in(browser, agent_id=other) == []


async def test_each_reference_that_a_letter_asks_to_quote_leads_to_that_letter(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    trainer = {"trainer_id": uuid4(), "name": "Léo Petit", "email": "leo@ville.example"}
    of_session = {"session_id": SESSION_ID, "session_version": 2, "trainers": [trainer]}
    await sent.hear(changed(trainer_ids=[trainer["trainer_id"]], **in_days(30)))
    await sent.hear(SessionTrainersChanged.model_validate(of_session))
    await sent.hear(bespoke_answered())
    await sent.deliver()
    key = await log_in(browser)
    for taken in sent.relay.taken:
        text = body(taken.message, "text/plain")
        (reference,) = set(re.findall("référence ([0-9A-Z]{4}-[0-9A-Z]{4})", text))
        (row,) = await sent.rows(where=f"message_id = '{taken.message['Message-ID']}'")
        search = {"cle": key, "motif": PURPOSE, "agent": reference}
        assert f'href="{LOG}/{row.mail_id}"' in (await browser.post(LOG, data=search)).text, row.template
    assert {row.issuer for row in await sent.rows()} == {"iel", ""}


async def test_an_identifier_that_looks_like_a_reference_leads_to_no_other_agent(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    enrolment_id = uuid4()
    identifier = reference_of(enrolment_id).replace("-", "")
    for agent_id, its_id in (("1001", enrolment_id), (identifier, uuid4())):
        agent = an_agent(agent_id=agent_id)
        await notifier.hear(a_decision(AgentEnrolled, enrolment_id=its_id, agent=agent))
    assert await found_in(browser, agent_id=identifier, state="pending") == [("iel", identifier)]
    assert await found_in(browser, agent_id=identifier, state="failed") == []
    lines = await notifier.query("SELECT DISTINCT agent_id FROM read_log")
    assert [line.agent_id for line in lines] == [identifier]
    assert await found_in(browser, agent_id=reference_of(enrolment_id)) == [("iel", "1001")]


async def test_a_letter_is_sent_again_on_purpose_as_a_new_mail_with_an_audit_line(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key, first = await log_in(browser), await sent.row()
    path = await path_of(sent)
    forged = await browser.post(path, data={"cle": "another", "decision": "renvoyer"})
    assert (forged.status_code, len(await sent.rows())) == (403, 1)

    page = await browser.post(path, data={"cle": key, "decision": "renvoyer"})

    assert f'href="{path}">' in page.text
    assert f'href="{page.url.path}">' in (await browser.get(path)).text
    assert await sent.deliver() == 1
    assert sorted(sent.relay.per_message_id().values()) == [1, 1]
    events = [(event["cause_id"], event["agent_id"]) for event in await sent.events(EmailSent)]
    assert events == [(str(first.event_id), "IEL-0048151")] * 2, "the event that called for it, both times"
    async with sent.database.quiet_transaction() as tx:
        (line,) = await stored_mails.audit_log(tx, first.mail_id)
    assert line.actor == "support-name"


async def test_what_is_sent_again_goes_to_the_address_of_now(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    """The first may have gone to a wrong mailbox, and its link would open there again."""
    key, path, first = await log_in(browser), await path_of(sent), await sent.row()
    await sent.hear(corrected("juste@ville.example"))
    assert "juste@ville.example" in (await browser.get(path)).text
    await browser.post(path, data={"cle": key, "decision": "renvoyer"})
    await sent.deliver()
    confirmed = "template <> 'address-corrected'"
    assert [row.address for row in await sent.rows(where=confirmed)] == [first.address, "juste@ville.example"]


async def test_a_button_pressed_twice_sends_one_more(sent: Notifier, browser: httpx.AsyncClient) -> None:
    key, path = await log_in(browser), await path_of(sent)
    assert 'name="vues" value="0"' in (await browser.get(path)).text
    again = {"cle": key, "decision": "renvoyer", "vues": "0"}
    first, second = await browser.post(path, data=again), await browser.post(path, data=again)
    assert first.url == second.url != path
    assert len(await sent.rows()) == 2
    await browser.post(path, data=again | {"vues": "1"})  # on purpose, having seen the first
    assert len(await sent.rows()) == 3


@pytest.mark.parametrize("known", [True, False], ids=["as-it-was", "not-at-all"])
async def test_a_mail_that_waits_for_its_session_is_not_sent_again(
    notifier: Notifier, browser: httpx.AsyncClient, *, known: bool
) -> None:
    if known:
        await notifier.hear(scheduled())
    await notifier.hear(a_decision(AgentEnrolled, session_version=3))
    key, path = await log_in(browser), await path_of(notifier)
    assert "Il attend que ce service connaisse l’état de la session" in (await browser.get(path)).text
    assert (await browser.get(f"{path}/lettre")).status_code == 404
    pressed = await browser.post(path, data={"cle": key, "decision": "renvoyer", "vues": "0"})
    called = await browser.post(path.replace(LOG, "/api/v1/mails") + "/resend", headers=SUPPORT)
    assert (pressed.status_code, called.status_code, len(await notifier.rows())) == (409, 409, 1)


@pytest.mark.parametrize(("decision", "delivered"), [("arrive", 0), ("renvoyer", 1)])
async def test_of_an_ambiguous_mail_it_is_decided_once_however_often_one_clicks(
    sent: Notifier, browser: httpx.AsyncClient, decision: str, delivered: int
) -> None:
    path, key = await an_ambiguous_mail(sent), await log_in(browser)
    (ambiguous,) = await sent.rows(where="state = 'ambiguous'")
    form = {"cle": key, "decision": decision, "vues": "0"}
    first, second = [await browser.post(path, data=form) for _ in range(2)]
    assert (first.status_code, first.url.path, second.status_code) == (200, path, 409)
    assert await sent.deliver() == delivered
    assert (await browser.post(path, data=form)).status_code == 409
    assert await sent.states() == [MailState.SENT] * 2
    assert (len(await sent.events(EmailSent)), len(await sent.query("SELECT 1 FROM mail_audit"))) == (2, 1)
    assert sent.relay.per_message_id()[ambiguous.message_id] == 1 + delivered, "under its Message-ID"


async def test_the_api_and_the_command_send_again_too(
    sent: Notifier, browser: httpx.AsyncClient, command: RunCommand
) -> None:
    row = await sent.row()
    of_mail = f"/api/v1/mails/{row.mail_id}"
    headers = SUPPORT | {"read-purpose": PURPOSE}
    assert (await browser.post(f"{of_mail}/resend", headers=headers)).status_code == 201
    detail = (await browser.get(of_mail, headers=headers)).json()
    assert [line["actor"] for line in detail["decisions"]] == ["support-name"]
    assert (await browser.post(f"/api/v1/mails/{uuid4()}/resend", headers=headers)).status_code == 404
    done = await command("mails", "resend", str(row.mail_id), "--by", "ops")
    assert (done.exit_code, len(await sent.rows())) == (0, 3), done.output


async def test_somebody_sends_letters_again_up_to_a_limit(
    sent: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mails, "RESENDS", Rate(2, 3600))
    path, key = await path_of(sent), await log_in(browser)
    again = {"cle": key, "decision": "renvoyer"}
    resend = path.replace(LOG, "/api/v1/mails") + "/resend"
    answers = [
        await browser.post(path, data=again | {"vues": "0"}),
        await browser.post(resend, headers=SUPPORT),
        await browser.post(resend, headers=SUPPORT),
        await browser.post(path, data=again | {"vues": "2"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 201, 429, 429]
    assert len(await sent.rows()) == 3


async def test_a_letter_is_sent_again_three_times_a_day_from_whichever_of_its_mails(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    path, key = await path_of(sent), await log_in(browser)
    statuses = []
    for seen in "0111":
        await sent.deliver()
        answer = await browser.post(path, data={"cle": key, "decision": "renvoyer", "vues": seen})
        statuses.append(answer.status_code)
        path = answer.url.path
    assert statuses == [200, 200, 200, 429]
    assert len(await sent.rows()) == 4


ERASURE = f"{LOG}/effacement"
TYPED = {"emetteur": "iel", "agent": "IEL-0048151", "motif": PURPOSE}


async def test_support_sees_the_person_before_an_erasure_is_requested(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    form = TYPED | {"cle": await log_in(browser)}
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4(), agent=an_agent(agent_id="A-2")))
    asked = "SELECT key, source, data FROM outbox WHERE topic = 'portal.agents'"

    shown = await browser.post(ERASURE, data=form)
    assert "A-2, donné par iel" in shown.text, "who has the same address"
    assert await sent.query(asked) == []
    lines = await sent.query("SELECT agent_id FROM read_log WHERE kind = 'person'")
    assert {line.agent_id for line in lines} == {"IEL-0048151", "A-2"}

    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        await browser.post(ERASURE, data=form | {"confirmer": "oui"})
    [event] = await sent.query(asked)
    assert (event.key, event.source) == ("IEL-0048151", "/services/notifier")
    assert json.loads(event.data)["issuer"] == "iel"
    [read] = await sent.query("SELECT actor, agent_id, purpose FROM read_log WHERE kind = 'erasure'")
    assert tuple(read) == ("support-name", "IEL-0048151", PURPOSE)
    [line] = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    assert re.fullmatch(
        rf"erasure ok who=support:[0-9a-f]{{12}} where={ERASURE} address=[0-9a-f]{{16}} times=1", line
    )


async def test_the_page_of_erasures_has_the_number_and_the_answers_of_each_and_no_name(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await log_in(browser)
    request = AgentErasureRequested(agent_id="IEL-0048151", requested_at=clock.now())
    [request_id] = await notifier.take(request)
    answered = {"request_id": request_id, "request_source": "/tests", "service": "catalogue"}
    await notifier.take(AgentErased.model_validate(answered | {"erased_at": clock.now()}))
    page = (await browser.get(f"{ERASURE}?fait={request_id}")).text
    assert (page.count("pas encore"), page.count(str(request_id)), "IEL-0048151" in page) == (2, 2, False)
    invented = uuid4()
    assert str(invented) not in (await browser.get(f"{ERASURE}?fait={invented}")).text


@pytest.mark.parametrize("path", [ERASURE, f"{LOG}/personnes/correction"])
async def test_without_a_key_to_sign_with_nothing_can_be_requested(
    notifier: Notifier, tokens: Tokens, path: str
) -> None:
    await notifier.hear(scheduled())
    await notifier.hear(a_decision(AgentEnrolled))
    address = {"avant": an_agent().email, "nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
    app = application(notifier, tokens, signs_requests=False)
    async with browsing(app, follow_redirects=True) as browser:
        form = TYPED | address | {"cle": await log_in(browser), "confirmer": "oui"}
        assert "INTAKE_SIGNING_KEY" in (await browser.post(path, data=form)).text
    assert await notifier.query("SELECT 1 FROM outbox") == []

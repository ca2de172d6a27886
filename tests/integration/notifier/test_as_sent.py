"""A letter is shown as it was sent, with the relay's answers; and the address that it should have gone to."""

import html
import json
import logging
import re
from uuid import uuid4

import httpx
import pytest

from services.notifier.app import eraser
from services.notifier.service import corrections
from shared import clock, security_log
from shared.auth import Tokens
from shared.events.catalogue import BespokeRequestAnswered, SessionChanged, SessionScheduled
from shared.events.enrolment import AgentDetailsCorrected, AgentEnrolled, EnrolmentWithdrawn
from shared.limits import Rate
from shared.messaging.portals.registry import PortalsFile
from shared.personal_data import Subject
from tests.integration.notifier.conftest import Notifier
from tests.integration.notifier.test_mail_log import PURPOSE, application, browser, log_in, sent, tokens
from tests.integration.notifier.test_people import PEOPLE
from tests.integration.notifier.test_read_log import ZOE
from tests.support.smtp import Drop, Reply
from tests.unit.notifier.builders import ENROLMENT_ID, a_decision, a_session

__all__ = ["browser", "sent", "tokens"]
LOG = "/courriels/suivi"
CORRECTION = f"{PEOPLE}/correction"
WRITTEN_AGAIN = f"{PEOPLE}/ecrire-de-nouveau"


async def test_a_letter_is_shown_as_it_was_sent_whatever_has_changed_since(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    (row,) = await sent.rows()
    elsewhere = a_session(version=2, venue="Palais des congrès, Saint-Brieuc", title="IA et métiers")
    await sent.hear(SessionChanged.model_validate(elsewhere.model_dump()))
    await sent.hear(a_decision(EnrolmentWithdrawn, version=2))
    await log_in(browser)
    page = (await browser.get(f"{LOG}/{row.mail_id}")).text
    assert "Tel qu’il a été envoyé" in page
    (subject,) = re.findall("<dt>Objet</dt><dd>([^<]*)</dd>", page)
    sent_with = str(sent.relay.taken[0].message["Subject"])
    assert html.unescape(subject).replace("\u00a0", " ") == sent_with
    assert "<dt>Joint</dt><dd>inscription.ics</dd>" in page
    assert "Couvent des Jacobins" in page
    assert "Saint-Brieuc" not in page
    assert "Couvent des Jacobins" in (await browser.get(f"{LOG}/{row.mail_id}/lettre")).text
    await sent.change("UPDATE mail_attempt SET written_by = '0.9.0-12345678'")
    page = (await browser.get(f"{LOG}/{row.mail_id}")).text
    assert "les mots ceux des modèles d’aujourd’hui, qui ont changé" in page
    assert "0.9.0-12345678" in page


async def test_a_letter_whose_words_cannot_be_read_any_more_is_shown_as_it_would_be_now(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = await sent.rows()
    await sent.change('UPDATE mail_attempt SET written_from = \'{"session": {"of_an_older_version": 1}}\'')
    await log_in(browser)
    assert "Tel qu’il serait écrit maintenant" in (await browser.get(f"{LOG}/{row.mail_id}")).text
    assert (await browser.get(f"{LOG}/{row.mail_id}/lettre")).status_code == 200
    assert f"What mail {row.mail_id} said cannot be read any more" in caplog.text


async def test_of_a_letter_that_never_left_nothing_is_kept_of_what_it_said(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    notifier.relay.script("RCPT", Reply("550 5.2.1 mailbox disabled"))
    await notifier.deliver()
    (attempt,) = await notifier.query("SELECT state, code, written_from FROM mail_attempt")
    assert (attempt.state, attempt.code, attempt.written_from) == ("failed", 550, None)
    (row,) = await notifier.rows()
    await log_in(browser)
    assert "Tel qu’il serait écrit maintenant" in (await browser.get(f"{LOG}/{row.mail_id}")).text


async def test_every_answer_of_the_relay_is_shown(notifier: Notifier, browser: httpx.AsyncClient) -> None:
    await notifier.hear(SessionScheduled.model_validate(a_session().model_dump()))
    await notifier.hear(a_decision(AgentEnrolled))
    notifier.relay.script("RCPT", Reply("451 4.7.1 come back later"))
    notifier.relay.script("DOT", Drop())
    await notifier.deliver()
    await notifier.change("UPDATE mail SET due_at = now()")
    await notifier.deliver()
    attempts = await notifier.query("SELECT number, state, code FROM mail_attempt ORDER BY number")
    assert [tuple(attempt) for attempt in attempts] == [(1, "retry", 451), (2, "ambiguous", None)]
    (row,) = await notifier.rows()
    await log_in(browser)
    page = (await browser.get(f"{LOG}/{row.mail_id}")).text
    assert '451 <span lang="en">4.7.1 come back later</span>' in page
    assert "aucune réponse après l’envoi du message" in page, "what no server said is in French"
    assert "Tel qu’il a été envoyé" in page, "the relay may have it"


async def test_what_was_sent_ends_with_the_agent(sent: Notifier, portals: PortalsFile) -> None:
    assert len(await sent.query("SELECT mail_id FROM mail_attempt")) == 1
    async with sent.database.transaction() as tx:
        subject = Subject(agent=ZOE, until=clock.now())
        await eraser(sent.database, portals, b"")._erase(tx, subject)
    assert await sent.query("SELECT mail_id FROM mail_attempt") == []


async def test_support_has_an_address_corrected_that_is_typed_twice(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    key = await log_in(browser)
    form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
    form["avant"] = "zoe.durand@ville-exemple.fr"
    right = {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
    for wrong in ({"encore": "zoe@ville.exampl"}, {"nouvelle": "zoe", "encore": "zoe"}):
        refused = await browser.post(CORRECTION, data=form | right | wrong)
        assert refused.status_code == 422
        assert 'aria-invalid="true"' in refused.text
    before = await sent.query("SELECT id FROM outbox WHERE topic = 'portal.agents'")
    assert before == []
    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        done = await browser.post(CORRECTION, data=form | right)
    assert "La correction est demandée" in done.text
    (event,) = await sent.query(
        "SELECT event_id, type, source, data FROM outbox WHERE topic = 'portal.agents'"
    )
    corrected = json.loads(event.data)
    assert (event.source, corrected["email"]) == ("/services/notifier", "zoe@ville.example")
    assert [corrected["issuer"], corrected["agent_id"]] == list(ZOE)
    (line,) = await sent.query("SELECT actor, agent_id, about FROM read_log WHERE kind = 'correction'")
    assert tuple(line) == ("support-name", ZOE.agent_id, str(event.event_id))
    [logged] = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    assert logged.startswith("correction ok who=support:")
    assert "zoe@ville" not in logged


async def test_an_address_that_changed_since_the_form_was_shown_is_not_written_over(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
    shown = (await browser.post(PEOPLE, data=form)).text
    form |= {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
    (form["avant"],) = re.findall(r'name="avant" value="([^"]+)"', shown)
    own = {"issuer": ZOE.issuer, "agent_id": ZOE.agent_id, "email": "zoe.elle-meme@ville.example"}
    await sent.hear(AgentDetailsCorrected.model_validate(own | {"corrected_at": clock.now()}))
    mistyped = await browser.post(CORRECTION, data=form | {"encore": ""})
    (form["avant"],) = re.findall(r'name="avant" value="([^"]+)"', mistyped.text)
    refused = await browser.post(CORRECTION, data=form)
    assert refused.status_code == 409
    assert "c’est maintenant zoe.elle-meme@ville.example" in refused.text
    assert 'value="zoe@ville.example"' in refused.text, "what was typed is still there"
    assert await sent.query("SELECT id FROM outbox WHERE topic = 'portal.agents'") == []
    (form["avant"],) = re.findall(r'name="avant" value="([^"]+)"', refused.text)
    again = await browser.post(CORRECTION, data=form)
    assert "La correction est demandée" in again.text


async def test_without_a_key_to_sign_with_no_address_is_corrected(notifier: Notifier, tokens: Tokens) -> None:
    await notifier.hear(a_decision(AgentEnrolled))
    app = application(notifier, tokens, signs_requests=False)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test", follow_redirects=True
    ) as client:
        key = await log_in(client)
        form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
        address = {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
        assert "INTAKE_SIGNING_KEY" in (await client.post(CORRECTION, data=form | address)).text
    assert await notifier.query("SELECT id FROM outbox WHERE topic = 'portal.agents'") == []


async def test_no_address_is_corrected_of_whom_no_service_would_know(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key = await log_in(browser)
    address = {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
    for issuer, agent, why in (
        ("", ZOE.agent_id, "On ne sait pas qui a donné cet identifiant"),
        ("iel", "IEL-UNKNOWN", "Aucune adresse n’est conservée"),
    ):
        form = {"cle": key, "motif": PURPOSE, "agent": agent, "emetteur": issuer}
        assert 'name="nouvelle"' not in (await browser.post(PEOPLE, data=form)).text
        refused = await browser.post(CORRECTION, data=form | address)
        assert refused.status_code == 422
        assert why in refused.text
    assert await sent.query("SELECT id FROM outbox WHERE topic = 'portal.agents'") == []


async def test_support_hears_that_an_address_is_written_to_no_more_and_has_it_written_to_again(
    sent: Notifier, browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = await sent.rows()
    sent.relay.script("RCPT", Reply("550 5.1.1 unknown"))
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    await sent.deliver()
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    await sent.deliver()
    (untried,) = await sent.rows(where="state = 'failed' AND smtp_code IS NULL")
    key = await log_in(browser)
    form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
    shown = (await browser.post(PEOPLE, data=form)).text
    assert "Plus rien n’est envoyé à cette adresse" in shown
    assert "(des courriels à cette adresse sont revenus\u00a0: plus rien ne lui est envoyé)" in shown
    for mail in (first, untried):
        page = (await browser.get(f"{LOG}/{mail.mail_id}")).text
        assert "Plus rien n’est envoyé à zoe.durand@ville-exemple.fr" in page
        assert "Envoyer de nouveau" not in page

    stale = await browser.post(WRITTEN_AGAIN, data=form | {"avant": "zoe@ville.example"})
    assert stale.status_code == 409
    assert "Rien n’a été fait" in stale.text
    assert len(await sent.query("SELECT 1 FROM suppression")) == 1
    assert (await browser.post(WRITTEN_AGAIN, data=form | {"cle": "another"})).status_code == 403
    (form["avant"],) = set(re.findall(r'name="avant" value="([^"]+)"', shown))
    with caplog.at_level(logging.INFO, logger=security_log.LOGGER):
        lifted = await browser.post(WRITTEN_AGAIN, data=form)
    assert "Les courriels vont de nouveau à cette adresse" in lifted.text
    assert await sent.query("SELECT 1 FROM suppression") == []
    (line,) = await sent.query("SELECT actor, agent_id, purpose FROM read_log WHERE kind = 'written_again'")
    assert tuple(line) == ("support-name", ZOE.agent_id, PURPOSE)
    [logged] = [record.getMessage() for record in caplog.records if record.name == security_log.LOGGER]
    assert logged.startswith("correction ok who=support:")
    assert "Envoyer de nouveau" in (await browser.get(f"{LOG}/{untried.mail_id}")).text


async def test_support_has_the_address_of_who_is_no_agent_written_to_again_from_a_mail(
    notifier: Notifier, browser: httpx.AsyncClient
) -> None:
    notifier.relay.script("RCPT", Reply("550 5.1.1 unknown"))
    officer = "anne.lebris@ville.example"
    answered = {
        "request_id": uuid4(),
        "siret": "21350238800019",
        "answer": "proposed",
        "requested_by": {"name": "Anne Le Bris", "email": officer},
        "advisor": {"name": "Yann Le Goff", "email": "yann.legoff@cnfpt.example"},
        "message": "Deux journées à Rennes.",
    }
    await notifier.hear(BespokeRequestAnswered.model_validate(answered))
    await notifier.deliver()
    mail = await notifier.row()
    key, path = await log_in(browser), f"{LOG}/{mail.mail_id}"
    await browser.post(LOG, data={"cle": key, "motif": PURPOSE})
    page = (await browser.get(path)).text
    assert f"Plus rien n’est envoyé à {officer}" in page
    assert f'name="avant" value="{officer}"' in page
    form = {"cle": key, "decision": "ecrire", "avant": officer}
    stale = await browser.post(path, data=form | {"avant": "another@ville.example"})
    assert stale.status_code == 409
    assert len(await notifier.query("SELECT 1 FROM suppression")) == 1
    lifted = await browser.post(path, data=form)
    assert f"Les courriels vont de nouveau à {officer}" in lifted.text
    assert "Envoyer de nouveau" in lifted.text
    assert await notifier.query("SELECT 1 FROM suppression") == []
    (line,) = await notifier.query("SELECT actor, agent_id FROM read_log WHERE kind = 'written_again'")
    assert tuple(line) == ("support-name", mail.recipient)


async def test_an_address_that_the_agent_has_everywhere_is_not_corrected_to_itself(
    sent: Notifier, browser: httpx.AsyncClient
) -> None:
    key, own = await log_in(browser), "zoe.durand@ville-exemple.fr"
    form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
    form |= {"avant": own, "nouvelle": own, "encore": own}
    refused = await browser.post(CORRECTION, data=form)
    assert refused.status_code == 422
    assert "C’est déjà son adresse" in refused.text
    await sent.hear(a_decision(AgentEnrolled, enrolment_id=uuid4()))
    older = "UPDATE enrolment SET address = 'z@ville.example', since = since - interval '1 day' "
    await sent.change(f"{older} WHERE enrolment_id <> :first", first=ENROLMENT_ID)
    assert "La correction est demandée" in (await browser.post(CORRECTION, data=form)).text


async def test_how_many_addresses_one_person_corrects_has_a_limit(
    sent: Notifier, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "CORRECTIONS", Rate(1, 3600))
    key = await log_in(browser)
    form = {"cle": key, "motif": PURPOSE, "agent": ZOE.agent_id, "emetteur": ZOE.issuer}
    address = {"nouvelle": "zoe@ville.example", "encore": "zoe@ville.example"}
    address["avant"] = "zoe.durand@ville-exemple.fr"
    statuses = [(await browser.post(CORRECTION, data=form | address)).status_code for _ in range(2)]
    assert statuses == [200, 429]
    assert len(await sent.query("SELECT id FROM outbox WHERE topic = 'portal.agents'")) == 1
